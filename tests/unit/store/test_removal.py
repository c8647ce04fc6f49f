"""Layers out: what is in use stays, what is removed leaves nothing."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import LayerHasChildren, LayerUnknown, LayerUsedByContainer, LayerUsedByImage, NotALayer
from cstore.store import NewLayer, Store
from tests.builders import typical_tar
from tests.unit.store.conftest import kept, killed_at

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.store.conftest import Import


def write_records(graph: str, kind: str, records: list[dict[str, object]]) -> None:
    """Put image or container records into the store, as another program would."""
    directory = os.path.join(graph, f"vfs-{kind}s")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, f"{kind}s.json"), "w", encoding="utf-8") as file:
        json.dump(records, file, separators=(",", ":"))


@pytest.mark.parametrize("word", ["base", "its-name", "bas"])
def test_a_parent_is_not_deleted_however_it_is_called(store: Store, word: str) -> None:
    """By ID, name and prefix: the checks look at the layer, not at the word."""
    store.layers.create(NewLayer(id="base", names=("its-name",)))
    store.layers.create(NewLayer(id="child", parent="base"))

    with pytest.raises(LayerHasChildren) as caught:
        store.layers.delete(word)
    assert caught.value.children == ("child",)
    assert [layer.id for layer in store.layers.list()] == ["base", "child"]


def test_layers_of_images_and_containers_are_not_deleted(store: Store, graph: str) -> None:
    """Whoever holds the layer is named."""
    for layer in ("for-image", "for-container"):
        store.layers.create(NewLayer(id=layer))
    created = "2026-01-01T00:00:00Z"
    write_records(graph, "image", [{"id": "i1", "layer": "for-image", "created": created}])
    write_records(graph, "container", [{"id": "c1", "image": "", "layer": "for-container", "created": created}])

    with pytest.raises(LayerUsedByImage, match="i1"):
        store.layers.delete("for-image")
    with pytest.raises(LayerUsedByContainer, match="c1"):
        store.layers.delete("for-container")


def test_a_deleted_layer_leaves_nothing(store: Store, put: Import, graph: str) -> None:
    """No record, tree, tar-split, data item or mount count."""
    store.layers.create(NewLayer(id="other"))
    before = kept(graph)
    put(typical_tar(), id="it")
    store.layers.set_data("it", "key", b"value")
    store.mount("it")
    store.layers.delete("it")

    assert kept(graph) == before
    assert not store.layers.mount_point("it")


def test_deleting_what_is_not_there_says_so(store: Store) -> None:
    """The safe and the unchecked command each in the peer's words."""
    with pytest.raises(NotALayer):
        store.layers.delete("nothing")
    with pytest.raises(LayerUnknown):
        store.delete("nothing")


def test_unchecked_delete_takes_a_layer_with_children(store: Store) -> None:
    """Its users asked for it."""
    store.layers.create(NewLayer(id="base"))
    store.layers.create(NewLayer(id="child", parent="base"))
    store.delete("base")

    assert [layer.id for layer in store.layers.list()] == ["child"]


def test_unchecked_delete_of_a_container_takes_its_layer(store: Store, graph: str) -> None:
    """Record, layer and directory go together."""
    store.layers.create(NewLayer(id="own"))
    created = "2026-01-01T00:00:00Z"
    write_records(graph, "container", [{"id": "c1", "names": ["c"], "image": "", "layer": "own", "created": created}])
    os.makedirs(os.path.join(graph, "vfs-containers", "c1", "userdata"))
    store.delete("c")

    assert store.containers.list() == []
    assert store.layers.list() == []
    assert not os.path.exists(os.path.join(graph, "vfs-containers", "c1"))


@pytest.mark.parametrize("kill_at", [1, 2, 3])
def test_a_delete_of_a_container_that_was_interrupted_can_be_concluded(
    store: Store, graph: str, reopen: Callable[[], Store], kill_at: int
) -> None:
    """Before its record is gone by another delete, after that by the next writer."""
    store.layers.create(NewLayer(id="own"))
    write_records(graph, "container", [{"id": "c1", "image": "", "layer": "own", "created": "2026-01-01T00:00:00Z"}])
    with killed_at(kill_at):
        store.delete("c1")
    if kill_at == 1:
        reopen().delete("c1")
    else:
        store.layers.create(NewLayer(id="next"))

    with open(os.path.join(graph, "vfs-layers", "layers.json"), encoding="utf-8") as file:
        assert "own" not in [record["id"] for record in json.load(file)]
    assert store.containers.list() == []
    assert "own" not in store.layers.trees()


def test_wipe_takes_everything(store: Store, put: Import, graph: str) -> None:
    """Layers, images, containers, and trees without a record."""
    put(typical_tar(), id="base")
    store.layers.create(NewLayer(id="child", parent="base"))
    store.layers.create_tree(NewLayer(id="e" * 64))
    write_records(graph, "image", [{"id": "i1", "layer": "base", "created": "2026-01-01T00:00:00Z"}])
    store.wipe()

    assert (store.layers.list(), store.images.list(), store.layers.trees()) == ([], [], [])
    assert os.listdir(os.path.join(graph, "vfs", "dir")) == []
