"""A layer that cannot be removed now is nobody else's trouble, and is not half removed either."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.check import check_store
from cstore.errors import NotALayer, SystemFailure
from cstore.store import NewLayer, Store
from tests.builders import typical_tar
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.store.conftest import Import

BUSY = "b5" * 32


@pytest.fixture
def busy(store: Store, put: Import, graph: str, needs_root: None) -> Iterator[str]:
    """The ID of a layer whose directory is a mount point, as some other program left it."""
    del needs_root
    put(typical_tar(), id=BUSY, names=("its-name",))
    tree = os.path.join(graph, "vfs", "dir", BUSY)
    subprocess.run(["mount", "--bind", tree, tree], check=True)
    try:
        yield BUSY
    finally:
        detach_all(graph)


def test_a_delete_that_fails_leaves_the_layer_as_it_was(store: Store, busy: str) -> None:
    """It is still listed, by its name too, and can be deleted once the way is free."""
    before = store.layers.get(busy)
    with pytest.raises(SystemFailure, match=busy):
        store.layers.delete("its-name")

    assert store.layers.get("its-name") == before
    store.layers.create(NewLayer(id="other"))
    assert store.layers.ids() == [busy, "other"]


def test_a_layer_that_cannot_be_recovered_stops_no_writer(store: Store, busy: str, graph: str) -> None:
    """It stays flagged until a writer finds the way free."""
    path = os.path.join(graph, "vfs-layers", "layers.json")
    with open(path, encoding="utf-8") as file:
        records = json.load(file)
    records[0]["flags"] = {"incomplete": True}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(records, file)

    store.layers.create(NewLayer(id="other"))
    assert store.layers.trees() == [busy, "other"]
    detach_all(graph)
    store.set_names("other", ["name"])
    assert store.layers.trees() == ["other"]


def test_wipe_goes_on_behind_a_layer_that_stays(store: Store, busy: str) -> None:
    """All that can go goes, and the error names what did not."""
    store.layers.create(NewLayer(id="other"))
    with pytest.raises(SystemFailure, match=busy):
        store.wipe()

    assert store.layers.trees() == [busy]
    with pytest.raises(NotALayer):
        store.layers.delete("other")


def test_wipe_leaves_what_a_layer_that_stays_lies_on(store: Store, put: Import, graph: str, needs_root: None) -> None:
    """Without the record of its parent, its own would be damage; the next writer takes all of them."""
    del needs_root
    put(typical_tar(), id="base")
    put(typical_tar(), id="middle", parent="base")
    put(typical_tar(), id=BUSY, parent="middle")
    put(typical_tar(), id="beside", parent="base")
    tree = os.path.join(graph, "vfs", "dir", BUSY)
    subprocess.run(["mount", "--bind", tree, tree], check=True)
    try:
        with pytest.raises(SystemFailure, match=BUSY):
            store.wipe()
        assert {finding.kind for finding in check_store(store).findings} == {"layer-unfinished"}
        assert store.layers.trees() == sorted([BUSY, "base", "middle"])
    finally:
        detach_all(graph)

    store.wipe()
    assert store.layers.trees() == []


def test_gc_goes_on_behind_a_leftover_that_stays(store: Store, busy: str, graph: str) -> None:
    """All that can go goes, and the error names what did not."""
    with open(os.path.join(graph, "vfs-layers", "layers.json"), "w", encoding="utf-8") as file:
        file.write("[]")
    os.mkdir(os.path.join(graph, "vfs", "dir", "5" * 64))
    with pytest.raises(SystemFailure, match=busy):
        store.gc()

    assert store.layers.trees() == [busy]
