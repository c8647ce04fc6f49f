"""Layers that the caller fills: a directory is handed out, and becomes a layer by one rename."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.check import check_store
from cstore.errors import DriverUnusable, InvalidDigest, LayerUnknown, NameTaken, SystemFailure
from cstore.store import NewLayer, Store, open_store
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

TOC = "sha256:" + "1" * 64


@pytest.fixture(params=["vfs", "overlay"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store on a driver of whole trees, and on one of changes."""
    if request.param == "overlay" and os.geteuid() != 0:
        pytest.skip("needs root: layers are mounted")
    opened = open_store(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver=request.param)
    try:
        opened.context.driver.require()
    except DriverUnusable as error:
        pytest.skip(error.message)
    return opened


def write(directory: str, name: str, data: bytes) -> int:
    """Write a file, and return its inode."""
    path = os.path.join(directory, name)
    with open(path, "wb") as file:
        file.write(data)
        return os.fstat(file.fileno()).st_ino


def test_a_staged_directory_becomes_a_layer_by_rename(store: Store) -> None:
    """What was written is there, in the same file, above the parent; nothing is seen of it before."""
    store.layers.put(NewLayer(id="below"), make_tar(regular("base", b"1")))
    staged = store.layers.stage(NewLayer(id="it", parent="below", names=("name",), data={"key": b"value"}))
    inode = write(staged.directory, "own", b"2")
    assert staged.whole == (store.driver_name == "vfs")
    assert store.layers.ids() == ["below"]

    layer = store.layers.apply_staged(staged)

    assert (layer.id, layer.names, layer.parent) == ("it", ("name",), "below")
    assert store.layers.get_data("it", "key") == b"value"
    with store.mounting("it") as path:
        assert sorted(os.listdir(path)) == ["base", "own"]
    own = store.context.driver.content_roots("it")[0]
    assert os.stat(os.path.join(own, "own")).st_ino == inode
    assert [change.path for change in store.layers.changes("it")] == [b"/own"]
    assert check_store(store).serious == ()


def test_a_staged_directory_is_had_once(store: Store) -> None:
    """A second layer of it is refused, and so is one of what was cleaned."""
    staged = store.layers.stage(NewLayer())
    store.layers.apply_staged(staged)
    with store.layers.stage(NewLayer()) as cleaned:
        write(cleaned.directory, "file", b"")
    store.layers.clean_staged(cleaned)

    assert not os.path.exists(cleaned.directory)
    for gone in (staged, cleaned):
        with pytest.raises(SystemFailure, match="cannot find"):
            store.layers.apply_staged(gone)
    assert len(store.layers.ids()) == 1


def test_what_cannot_become_a_layer_stays_until_it_is_cleaned(store: Store) -> None:
    """The name may be free the next time; without its parent there is nothing to wait for."""
    store.layers.create(NewLayer(id="parent"))
    staged = store.layers.stage(NewLayer(id="it", parent="parent", names=("name",)))
    write(staged.directory, "file", b"data")
    other = store.layers.create(NewLayer(names=("name",)))

    with pytest.raises(NameTaken):
        store.layers.apply_staged(staged)
    assert store.layers.find("it") is None
    store.remove_names(other.id, ("name",))
    assert store.layers.apply_staged(staged).names == ("name",)

    orphan = store.layers.stage(NewLayer(parent=other.id))
    store.layers.delete(other.id)
    with orphan, pytest.raises(LayerUnknown):
        store.layers.apply_staged(orphan)
    assert not os.path.exists(orphan.directory)
    assert sorted(store.layers.ids()) == ["it", "parent"]


def test_a_layer_chosen_by_its_table_of_contents_has_no_known_size(store: Store) -> None:
    """The digest of the table is recorded; one that is none is refused before anything is made."""
    layer = store.layers.apply_staged(store.layers.stage(NewLayer(toc_digest=TOC)))

    assert (layer.toc_digest, layer.diff_size, layer.known_size) == (TOC, -1, None)
    with pytest.raises(InvalidDigest):
        store.layers.stage(NewLayer(toc_digest="none"))
