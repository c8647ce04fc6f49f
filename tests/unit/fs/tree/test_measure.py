"""Each inode counts once; directories count as inodes but not as bytes."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from cstore.errors import SystemFailure
from cstore.fs.tree import Usage, newest_change, usage
from cstore.fs.tree.measure import entries
from cstore.fs.tree.trail import Trail
from cstore.kernel.mount import MNT_DETACH, MS_BIND, mount, unmount

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.fs.conftest import TmpfsMaker


def test_what_counts(tmp_path: Path) -> None:
    """Files by their length, holes included; links by the length of their target; several names once."""
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").write_bytes(b"x" * 1000)
    os.link(root / "a" / "file", root / "a" / "b" / "again")
    (root / "link").symlink_to("12345")
    with open(root / "sparse", "wb") as file:
        file.truncate(1 << 30)
    os.mkfifo(root / "pipe")

    assert usage(str(root)) == Usage(bytes=1000 + 5 + (1 << 30), inodes=3 + 4)


def test_an_empty_directory(tmp_path: Path) -> None:
    """The root itself is an inode."""
    assert usage(str(tmp_path)) == Usage(0, 1)


@pytest.mark.usefixtures("usual_umask")
def test_failures_are_named(tmp_path: Path, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """A missing root, and a directory that may not be read."""
    with pytest.raises(SystemFailure, match=r"missing: No such file"):
        usage(str(tmp_path / "missing"))
    (tmp_path / "a" / "closed").mkdir(parents=True)
    (tmp_path / "a" / "closed").chmod(0)

    def act() -> None:
        with pytest.raises(SystemFailure) as caught:
            usage(str(tmp_path))
        assert caught.value.path == str(tmp_path / "a" / "closed")

    as_ordinary(act)


def test_what_goes_while_it_is_measured_counts_no_more(tmp_path: Path) -> None:
    """Others are at work: a directory that was listed may be gone before the walk is there."""
    for name in ("one", "two", "three"):
        (tmp_path / name / "inside").mkdir(parents=True)

    with Trail(str(tmp_path), os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)) as trail:
        walk = entries(trail)
        met = [next(walk)[0], next(walk)[0]]
        for rest in {"one", "two", "three"} - set(met):
            (tmp_path / rest / "inside").rmdir()
            (tmp_path / rest).rmdir()
        met += [name for name, _ in walk]

    assert met == ["", met[1], "inside"]


def test_mounts_are_left_out(tmpfs: TmpfsMaker) -> None:
    """What is mounted inside is no part of the tree; the place where it is counts as a directory."""
    root = tmpfs("root")
    os.makedirs(os.path.join(root, "a", "place"))
    os.makedirs(os.path.join(root, "b"))
    with open(os.path.join(root, "b", "file"), "wb") as file:
        file.write(b"x" * 10)
    before = usage(root)
    mount(root, os.path.join(root, "a", "place"), flags=MS_BIND)
    try:
        assert usage(root) == before == Usage(10, 5)
    finally:
        unmount(os.path.join(root, "a", "place"), MNT_DETACH)


def test_the_newest_change_is_seen_wherever_it_is(tmp_path: Path) -> None:
    """Deep down, in a file, in a directory that lost an entry, or in the root."""
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    for act in (
        lambda: (deep / "file").write_bytes(b""),
        lambda: (deep / "file").chmod(0o600),
        lambda: os.unlink(deep / "file"),
        lambda: os.mkdir(tmp_path / "top"),
    ):
        before = newest_change(str(tmp_path))
        time.sleep(0.02)
        assert newest_change(str(tmp_path)) == before
        act()
        assert newest_change(str(tmp_path)) > before
