"""Killed before every single step that touches a file: images are there whole or not at all, and everything goes on."""

from __future__ import annotations

import os
import sys
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from cstore.config import Overrides, load_config
from cstore.errors import DataItemUnknown
from cstore.store import NewImage, NewLayer, Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ID = "e0" * 32
STEPS = frozenset({"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "fcntl.fcntl"})
"""Events that the interpreter announces before it does them."""


def opened(root: str, **settings: Any) -> Store:
    """The store in a directory, as a new process sees it."""
    overrides = Overrides(graph_root=f"{root}/graph", run_root=f"{root}/run", driver="vfs", **settings)
    return open_store(load_config(overrides, environ={"HOME": root}))


RENAMES = frozenset({"os.rename"})
"""The steps that make something visible."""


def killed_before(step: int, work: Callable[[], object], steps: frozenset[str] = STEPS) -> bool:
    """Do `work` in a process that dies just before its step of that number; whether it came to that."""
    child = os.fork()
    if child == 0:
        taken = 0

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal taken
            if event not in steps or (event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)):
                return
            taken += 1
            if taken == step:
                os._exit(9)

        sys.addaudithook(watch)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9


def each_crash(
    tmp_path: Path,
    prepare: Callable[[Store], object],
    work: Callable[[Store], object],
    which: frozenset[str] = STEPS,
    **settings: Any,
) -> Iterator[Store]:
    """Give the store as it is after a crash before the first step, the second, and so on to the last."""
    steps = 0
    for step in count(1):
        root = str(tmp_path / str(step))
        prepare(opened(root))
        if not killed_before(step, partial(_work_at, root, work, settings), which):
            break
        steps = step
        yield opened(root, **settings)
    assert steps > 1


def _work_at(root: str, work: Callable[[Store], object], settings: dict[str, Any]) -> None:
    work(opened(root, **settings))


def test_creation(tmp_path: Path) -> None:
    """The first image of a store, with data: there with all of them, or not there; and then it can be made."""
    wanted = NewImage(id=ID, names=("name",), data={"manifest": b"{}", "Config": b"1"})

    seen = set()
    for store in each_crash(tmp_path, lambda _: None, lambda store: store.images.create(wanted)):
        there = bool(store.images.list())
        seen.add(there)
        if not there:
            store.images.create(wanted)
        assert [store.images.get_data("name", key) for key in ("manifest", "Config")] == [b"{}", b"1"]
        assert store.flaws == []
    assert seen == {False, True}


def test_deletion(tmp_path: Path) -> None:
    """The image has all its layers, or is gone; what is left of them is whole, and can be deleted."""

    def prepare(store: Store) -> None:
        store.layers.create(NewLayer(id="base"))
        store.layers.create(NewLayer(id="top", parent="base"))
        store.layers.create(NewLayer(id="other"))
        store.images.create(NewImage(id=ID, layer="top", data={"manifest": b"{}"}))
        store.images.directory(ID)

    seen = set()
    for store in each_crash(tmp_path, prepare, lambda store: store.images.delete(ID)):
        there = bool(store.images.list())
        seen.add((there, tuple(store.layers.ids())))
        if there:
            assert store.images.get_data(ID, "manifest") == b"{}"
            assert store.images.size(ID) == 2
            assert store.images.delete(ID) == ("top", "base")
        store.layers.create(NewLayer(id="next"))  # a writer, which concludes
        for layer in ("top", "base"):
            if store.layers.find(layer):
                store.layers.delete(layer)
        assert set(store.layers.ids()) == set(store.layers.trees()) == {"other", "next"}
        assert store.flaws == []
        store.gc()
        assert sorted(os.listdir(f"{store.config.graph_root}/vfs-images")) == ["images.json", "images.lock"]
    assert (True, ("base", "top", "other")) in seen
    assert (False, ("other",)) in seen


@pytest.mark.parametrize("key", ["manifest", "new"])
def test_data(tmp_path: Path, key: str) -> None:
    """An item has its old value or its new one."""

    def prepare(store: Store) -> None:
        store.images.create(NewImage(id=ID, data={"manifest": b"old"}))

    seen = set()
    for store in each_crash(tmp_path, prepare, lambda store: store.images.set_data(ID, key, b"young")):
        try:
            seen.add(store.images.get_data(ID, key))
        except DataItemUnknown:
            seen.add(b"")
        store.images.set_data(ID, key, b"young")
        assert (store.images.get_data(ID, key), store.images.data_size(ID, key)) == (b"young", 5)
    assert seen == {b"old" if key == "manifest" else b"", b"young"}


def test_pulling_up(tmp_path: Path) -> None:
    """An image of another store is there under its old name or its new ones, always with its data."""
    extra = opened(str(tmp_path / "extra"))
    extra.images.create(NewImage(id=ID, names=("old",), data={"manifest": b"{}"}))
    options = (f"vfs.imagestore={tmp_path}/extra/graph",)

    seen = set()
    for store in each_crash(
        tmp_path, lambda _: None, lambda store: store.add_names("old", ["new"]), driver_options=options
    ):
        seen.add(store.names(ID))
        assert store.images.get_data("old", "manifest") == b"{}"
        assert store.add_names("old", ["new"]) == ("new", "old")
        assert store.images.get_data("new", "manifest") == b"{}"
        assert not store.images.read_only(ID)
    assert seen == {("old",), ("new", "old")}
