"""A store on btrfs: contents are replaced whole or not at all, though all subvolumes' roots have one inode number."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.store import NewLayer, Store, open_store, replacing
from tests.builders import typical_tar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def graph(btrfs_disk: str) -> str:
    """A graph root on btrfs, not there yet."""
    return os.path.join(tempfile.mkdtemp(dir=btrfs_disk), "graph")


@pytest.fixture
def reopen(graph: str, tmp_path: Path) -> Callable[[], Store]:
    """Open the store once more, as another process would."""

    def open_it() -> Store:
        overrides = Overrides(graph_root=graph, run_root=str(tmp_path / "run"), driver="btrfs", lock_timeout=20)
        return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))

    return open_it


def killed(act: Callable[[], object]) -> None:
    """Do something in a process that dies of it."""
    pid = os.fork()
    if not pid:
        try:
            act()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9


def die(*_: object, **__: object) -> None:
    os._exit(9)


@pytest.mark.parametrize("exchanged", [False, True])
def test_a_killed_replacement_leaves_the_old_or_the_new(
    exchanged: bool, reopen: Callable[[], Store], graph: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next writer tells by the tree in place which it is, and the record says the same."""
    archive = tmp_path / "archive"
    archive.write_bytes(typical_tar())
    store = reopen()
    store.layers.create(NewLayer(id="it"))

    def apply() -> None:
        with archive.open("rb") as stream:
            store.layers.apply_diff("it", stream.fileno())

    with monkeypatch.context() as patched:
        if exchanged:
            patched.setattr(replacing, "_conclude", die)
        else:
            patched.setattr("cstore.drivers.btrfs.driver.BtrfsDriver.replace", die)
        killed(apply)

    after = reopen()
    after.layers.create(NewLayer(id="next"))
    tree = os.path.join(graph, "btrfs", "subvolumes", "it")
    assert bool(os.listdir(tree)) == exchanged
    assert (after.layers.get("it").diff_size == len(typical_tar())) == exchanged
    assert sorted(os.listdir(os.path.join(graph, "btrfs"))) == ["subvolumes"]


def test_garbage_is_found_and_removed(reopen: Callable[[], Store], graph: str) -> None:
    """A subvolume without a record goes like any other tree."""
    store = reopen()
    store.layers.create(NewLayer(id="kept"))
    store.layers.create_tree(NewLayer(id="stray", parent="kept"))

    assert [leftover.kind for leftover in store.gc()] == ["layer"]
    assert os.listdir(os.path.join(graph, "btrfs", "subvolumes")) == ["kept"]
    store.wipe()
    assert os.listdir(os.path.join(graph, "btrfs", "subvolumes")) == []
