"""Images out: with exactly the layers that go with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.errors import ImageUsedByContainer, NotAnImage, RecordsDamaged, UnsafeID
from cstore.store import NewImage, NewLayer, Store
from tests.builders import listing, typical_tar
from tests.unit.store.conftest import kept, killed_at
from tests.unit.store.test_removal import write_records

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.store.conftest import Import


def layers(store: Store, *chains: str) -> None:
    """Make layers: "a b c" is three, each on top of the one before."""
    for chain in chains:
        parent = ""
        for layer in chain.split():
            if store.layers.find(layer) is None:
                store.layers.create(NewLayer(id=layer, parent=parent))
            parent = layer


def mapped_layers(graph: str, image: str, layer: str, *mapped: str) -> None:
    """Put an image with mapped top layers into the store, as another program would."""
    record: dict[str, Any] = {"id": image, "layer": layer, "mapped-layers": list(mapped)}
    write_records(graph, "image", [{**record, "created": "2026-01-01T00:00:00Z"}])


def ids(store: Store) -> set[str]:
    """The layers that are left."""
    return set(store.layers.ids())


def test_layers_that_only_the_image_needs_go_from_the_top(store: Store) -> None:
    """What is shared with another image stays, and everything below it."""
    layers(store, "base shared one two", "base shared other")
    store.images.create(NewImage(id="i1", names=("it",), layer="two"))
    store.images.create(NewImage(id="i2", layer="other"))

    assert store.images.delete("it", commit=False) == ("two", "one")
    assert ids(store) == {"base", "shared", "one", "two", "other"}
    assert store.images.delete("it") == ("two", "one")
    assert ids(store) == {"base", "shared", "other"}
    assert store.images.delete("i2") == ("other", "shared", "base")
    assert (ids(store), list(store.images.list())) == (set(), [])


def test_a_layer_in_the_middle_that_another_image_has_on_top_stays(store: Store) -> None:
    """And what is below."""
    layers(store, "base middle top")
    store.images.create(NewImage(id="i1", layer="top"))
    store.images.create(NewImage(id="i2", layer="middle"))

    assert store.images.delete("i1") == ("top",)


def test_two_images_of_one_layer(store: Store) -> None:
    """The first to go leaves it."""
    layers(store, "base")
    for image in ("i1", "i2"):
        store.images.create(NewImage(id=image, layer="base"))

    assert store.images.delete("i1") == ()
    assert store.images.delete("i2") == ("base",)


def test_a_container_layer_on_top_keeps_the_layers(store: Store, graph: str) -> None:
    """Though the container says that it came from no image."""
    layers(store, "base own")
    store.images.create(NewImage(id="i1", layer="base"))
    created = "2026-01-01T00:00:00Z"
    write_records(graph, "container", [{"id": "c1", "image": "", "layer": "own", "created": created}])

    assert store.images.delete("i1") == ()
    assert ids(store) == {"base", "own"}


def test_an_image_that_a_container_came_from_stays(store: Store, graph: str) -> None:
    """Asked in earnest or not; the container is named."""
    layers(store, "base")
    store.images.create(NewImage(id="i1", names=("it",), layer="base"))
    write_records(graph, "container", [{"id": "c1", "image": "i1", "layer": "x", "created": "2026-01-01T00:00:00Z"}])

    for commit in (True, False):
        with pytest.raises(ImageUsedByContainer, match="c1"):
            store.images.delete("it", commit=commit)
    assert store.images.get("it").id == "i1"


def test_mapped_twins_go_first(store: Store, graph: str) -> None:
    """Then the top layer, and what is below."""
    layers(store, "base top", "base twin1", "base twin2")
    mapped_layers(graph, "i1", "top", "twin1", "twin2")

    assert store.images.delete("i1") == ("twin1", "twin2", "top", "base")
    assert ids(store) == set()


def test_a_twin_that_something_builds_on_stays(store: Store, graph: str) -> None:
    """And the top layer with it, which it is a copy of."""
    layers(store, "base top", "base twin1", "base twin2 mine")
    mapped_layers(graph, "i1", "top", "twin1", "twin2")

    assert store.images.delete("i1") == ("twin1",)
    assert ids(store) == {"base", "top", "twin2", "mine"}


def test_layers_that_are_gone_are_no_obstacle(store: Store, graph: str) -> None:
    """The image was damaged; it goes."""
    layers(store, "base")
    mapped_layers(graph, "i1", "nowhere", "neither", "base")

    assert store.images.delete("i1") == ("base",)
    assert list(store.images.list()) == []


def test_a_deleted_image_leaves_nothing(store: Store, put: Import, graph: str, tmp_path: Any) -> None:
    """No record, data, directory, layer or mount."""
    store.layers.create(NewLayer(id="other"))
    store.images.create(NewImage(id="other"))
    before = kept(graph)
    put(typical_tar(), id="base")
    store.images.create(NewImage(id="it", layer="base", data={"manifest": b"{}"}))
    store.images.directory("it")
    store.images.run_directory("it")
    store.mount("base")

    assert store.images.delete("it") == ("base",)
    assert kept(graph) == before
    assert not os.path.exists(tmp_path / "run" / "vfs-images" / "it")
    assert not store.layers.mount_points()


def test_what_is_not_there_cannot_be_deleted(store: Store, graph: str) -> None:
    """And asking makes no store."""
    with pytest.raises(NotAnImage):
        store.images.delete("nothing")
    assert not os.path.exists(graph)
    layers(store, "base")
    for word in ("nothing", "", "base"):
        with pytest.raises(NotAnImage):
            store.images.delete(word)


def test_a_record_with_a_hostile_id_goes_and_nothing_else(store: Store, graph: str, tmp_path: Any) -> None:
    """Its data would be anywhere."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "manifest").write_text("mine")
    store.layers.create(NewLayer(id="base"))
    mapped_layers(graph, "../../precious", "base")

    with pytest.raises(UnsafeID):
        store.images.get_data("../../precious", "manifest")
    assert store.images.delete("../../precious") == ("base",)
    assert (tmp_path / "precious" / "manifest").read_text() == "mine"
    assert list(store.images.list()) == []


@pytest.mark.parametrize("damage", ["images", "containers", "layers"])
def test_nothing_is_deleted_by_damaged_records(store: Store, graph: str, damage: str) -> None:
    """Nobody can tell what they said."""
    layers(store, "base")
    store.images.create(NewImage(id="it", layer="base"))
    path = os.path.join(graph, f"vfs-{damage}", f"{damage}.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write('[{"id":"it"')
    before = listing(graph)

    for commit in (True, False):
        with pytest.raises(RecordsDamaged):
            store.images.delete("it", commit=commit)
    assert {path: kind for path, kind in listing(graph).items() if not path.endswith((".lock", "tmp"))} == {
        path: kind for path, kind in before.items() if not path.endswith((".lock", "tmp"))
    }


@pytest.mark.parametrize("kill_at", [1, 2, 3])
def test_an_interrupted_delete_leaves_no_image_without_layers(
    store: Store, reopen: Callable[[], Store], kill_at: int
) -> None:
    """Before the first save everything is there; later the next writer lets the layers go with the image."""
    layers(store, "base top")
    store.images.create(NewImage(id="it", layer="top", data={"manifest": b"{}"}))
    with killed_at(kill_at):
        store.images.delete("it")
    after = reopen()
    after.layers.create(NewLayer(id="next"))  # a writer, which concludes

    left = {1: {"base", "top", "next"}, 2: {"next"}, 3: {"next"}}
    assert set(after.layers.ids()) == left[kill_at]
    assert [image.id for image in after.images.list()] == (["it"] if kill_at == 1 else [])
    assert set(after.layers.trees()) == set(after.layers.ids())
    if kill_at == 1:
        assert after.images.get_data("it", "manifest") == b"{}"
