"""Copying into a place that is not ours alone: whenever that ends, nothing is left there but copies."""

from __future__ import annotations

import mmap
import os
import signal
import sys
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest

from cstore.fs.tree.merge import merge_tree, part_name, place_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STEPS = frozenset({"open", "os.link", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.symlink", "os.chown"})
"""Events that the interpreter announces before it does them."""


def unchanged(uid: int, gid: int) -> tuple[int, int]:
    """The owner that a copy gets."""
    return uid, gid


def kills(work: Callable[[], None]) -> Iterator[int]:
    """Do some work again and again, killed with its workers before its first step, its second, and so on to the end."""
    taken = mmap.mmap(-1, 8)  # shared with the workers
    for step in count(1):
        taken[:8] = bytes(8)
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)

            def watch(event: str, _arguments: tuple[object, ...], step: int = step) -> None:
                if event in STEPS:
                    number = int.from_bytes(taken[:8], "little") + 1
                    taken[:8] = number.to_bytes(8, "little")
                    if number == step:
                        os.killpg(0, signal.SIGKILL)

            sys.addaudithook(watch)
            work()
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        yield step
        if code == 0:
            return
        assert code == -signal.SIGKILL


def merge(source: Path, target: Path) -> None:
    """Copy what is in one directory into another."""
    fds = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for path in (source, target)]
    try:
        merge_tree(str(source), fds[0], fds[1], unchanged)
    finally:
        for fd in fds:
            os.close(fd)


def place(source: Path, target: Path, name: str) -> None:
    """Copy one file into a directory."""
    fds = os.open(source, os.O_PATH if source.is_symlink() else os.O_RDONLY), os.open(target, os.O_RDONLY)
    try:
        place_file(str(source), fds[0], fds[1], name, unchanged, sync=False)
    finally:
        for fd in fds:
            os.close(fd)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a file of three names, and a link of two."""
    top = tmp_path / "source"
    (top / "d" / "e").mkdir(parents=True)
    (top / "f").write_bytes(b"contents")
    os.link(top / "f", top / "d" / "again")
    os.link(top / "f", top / "d" / "e" / "third")
    os.symlink("f", top / "link")
    os.link(top / "link", top / "d" / "link", follow_symlinks=False)
    return top


def names(top: Path) -> set[str]:
    """All that is in a directory."""
    return {str(path.relative_to(top)) for path in top.rglob("*")}


def test_names_of_one_file_are_names_of_one_copy(tree: Path, tmp_path: Path) -> None:
    """Files and links alike, at every depth, with nothing else beside them."""
    target = tmp_path / "target"
    (target / "d").mkdir(parents=True)
    (target / "d" / "kept").touch()

    merge(tree, target)

    assert names(target) == names(tree) | {"d/kept"}
    copies = {os.lstat(target / name).st_ino for name in ("f", "d/again", "d/e/third")}
    assert len(copies) == 1
    assert os.lstat(target / "link").st_ino == os.lstat(target / "d" / "link").st_ino


def test_a_merge_that_is_killed_anywhere_leaves_nothing_but_copies(tree: Path, tmp_path: Path) -> None:
    """No name of its own: nobody would sweep it, in a container or on the host."""
    target = tmp_path / "target"
    target.mkdir()

    for step in kills(partial(merge, tree, target)):
        assert names(target) <= names(tree), f"killed before step {step}"

    assert names(target) == names(tree)


@pytest.mark.parametrize("old", ["nothing", "a file"])
def test_a_copy_of_a_file_that_is_killed_is_swept_by_the_next(tree: Path, tmp_path: Path, old: str) -> None:
    """The name has the old file or the new one; what it was called meanwhile is gone when the same copy is made."""
    target = tmp_path / "target"
    target.mkdir()

    for step in kills(partial(place, tree / "f", target, "new")):
        if old == "a file":
            (target / "new").write_bytes(b"old")
        assert names(target) <= {"new", part_name("new")}, f"killed before step {step}"
        place(tree / "f", target, "new")
        assert names(target) == {"new"}
        assert (target / "new").read_bytes() == b"contents"
        if old == "nothing":
            (target / "new").unlink()
        else:
            (target / "new").write_bytes(b"old")
