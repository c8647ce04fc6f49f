"""Names and metadata: given, taken, moved."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import InvalidName, LayerUnknown, NotAnItem
from cstore.store import NewImage, NewLayer, Store, open_store
from tests.unit.store.test_removal import write_records

if TYPE_CHECKING:
    from collections.abc import Callable


def test_names_are_set_added_and_removed(store: Store) -> None:
    """New names come first, repeated ones once, unknown ones to remove are ignored."""
    store.layers.create(NewLayer(id="it", names=("c",)))

    assert store.add_names("it", ["x", "a", "x"]) == ("x", "a", "c")
    assert store.remove_names("it", ["a", "nothing"]) == ("x", "c")
    assert store.set_names("it", []) == ()
    assert store.names("it") == ()


def test_a_name_moves_from_its_holder(store: Store, reopen: Callable[[], Store]) -> None:
    """And stays where it moved, for every later reader."""
    store.layers.create(NewLayer(id="old", names=("name", "other")))
    store.layers.create(NewLayer(id="new"))
    store.add_names("new", ["name"])

    assert reopen().layers.get("name").id == "new"
    assert reopen().names("old") == ("other",)


def test_a_name_stays_moved_between_stable_and_volatile_layers(
    store: Store, reopen: Callable[[], Store], graph: str
) -> None:
    """Both record files are saved; the peer saves one, and its next load takes the name back."""
    store.layers.create(NewLayer(id="first"))
    with open(os.path.join(graph, "vfs-layers", "volatile-layers.json"), "w", encoding="ascii") as file:
        file.write("[]")
    store.layers.create(NewLayer(id="volatile", names=("name",), volatile=True))
    store.layers.create(NewLayer(id="stable"))
    store.set_names("stable", ["name"])

    assert reopen().layers.get("name").id == "stable"


def test_metadata_is_kept_and_may_be_emptied(store: Store) -> None:
    """Any text, also none."""
    store.layers.create(NewLayer(id="it", metadata="first"))
    store.set_metadata("it", "é <&> \u2028")
    assert store.metadata("it") == "é <&> \u2028"
    store.set_metadata("it", "")
    assert store.metadata("it") == ""


def test_unknown_items_are_named(store: Store) -> None:
    """Names speak of layers, metadata of items, as the peer does."""
    with pytest.raises(LayerUnknown, match="nothing"):
        store.set_names("nothing", ["n"])
    with pytest.raises(NotAnItem, match="nothing"):
        store.set_metadata("nothing", "m")


def test_a_name_that_no_record_can_hold_is_refused(store: Store) -> None:
    """It would not be found again."""
    store.layers.create(NewLayer(id="it"))
    for hostile in ("a\0b", "\udcff"):
        with pytest.raises(InvalidName):
            store.add_names("it", [hostile])


def test_damage_of_other_kinds_is_tolerated_after_a_change_as_before(store: Store, graph: str) -> None:
    """A degraded store stays so: what a writer has read of it, others read as if it had not."""
    store.images.create(NewImage(id="image"))
    write_records(graph, "layer", [{"id": "sound"}, {"id": "broken", "diff-size": "x"}])
    degraded = open_store(store.config, degraded=True)

    degraded.add_names("image", ["name"])

    assert [layer.id for layer in degraded.layers.list()] == ["sound"]
    assert [os.path.basename(flaw.path) for flaw in degraded.flaws] == ["layers.json"]
