"""Comparing trees: each kind of difference, what does not count, and the order of the answer (archive 7.1)."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.archive.changes import Change, ChangeKind, changes_size, compare_trees
from cstore.errors import SystemFailure
from cstore.idmap import IDMap, IDRange
from tests.builders import make_tree
from tests.unit.archive.deep_tree import deep_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Runner

CONTENTS: dict[str, bytes | str | None] = {
    "etc/hosts": b"one", "etc/deep/er/file": b"two", "bin": "usr/bin", "usr/bin/tool": b"three", "empty": None,
}  # fmt: skip


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """An old tree and an exact copy: times to the nanosecond, no shared inodes."""
    make_tree(str(tmp_path / "old"), CONTENTS)
    subprocess.run(["cp", "-a", str(tmp_path / "old"), str(tmp_path / "new")], check=True)
    return tmp_path / "old", tmp_path / "new"


def compared(new: Path, old: Path | None) -> list[str]:
    """The changes in the peer's short form: `C /path`."""
    found = compare_trees(str(new), None if old is None else str(old))
    return [f"{'CAD'[change.kind]} {os.fsdecode(change.path)}" for change in found]


def keeping_time(path: Path, deed: Callable[[Path], object]) -> None:
    """Do something to a path and put its directory's time back, so that it does not count as well."""
    folder = path.parent
    before = os.stat(folder)
    deed(path)
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


# ── what counts ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_equal(trees: tuple[Path, Path]) -> None:
    """Equal trees have no changes, nor has a tree against itself."""
    old, new = trees
    assert compared(new, old) == []
    assert compared(old, old) == []


def test_everything_is_new(trees: tuple[Path, Path]) -> None:
    """Without an old tree all of it is added, each directory before its contents, the root not at all."""
    assert compared(trees[1], None) == [
        "A /bin", "A /empty", "A /etc", "A /etc/deep", "A /etc/deep/er", "A /etc/deep/er/file", "A /etc/hosts",
        "A /usr", "A /usr/bin", "A /usr/bin/tool",
    ]  # fmt: skip


def rewrite(path: Path) -> None:
    before = os.stat(path)
    path.write_bytes(b"longer than before")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "deed",
    [
        rewrite,
        lambda path: path.chmod(0o604),
        lambda path: path.chmod(0o4644),
        lambda path: os.utime(path, (5, 5)),
        lambda path: os.utime(path, ns=(0, os.stat(path).st_mtime_ns // 10**9 * 10**9 + 1)),
        lambda path: os.setxattr(path, "user.new", b""),
    ],
    ids=["size", "mode", "set-ID", "time", "nanoseconds", "attribute"],
)
def test_modified(trees: tuple[Path, Path], deed: Callable[[Path], object]) -> None:
    """Each of these makes a file modified; the directories that lead to it come before it."""
    old, new = trees
    for tree in trees:
        os.utime(tree / "etc/hosts", ns=(0, 1_600_000_000_500_000_000))
    deed(new / "etc/hosts")
    assert compared(new, old) == ["C /etc", "C /etc/hosts"]


@pytest.mark.parametrize(
    "deed",
    [
        lambda path: os.utime(path, ns=(5, 1_600_000_000_500_000_000)),
        lambda path: os.utime(path, ns=(0, 1_600_000_000_000_000_000)),
        lambda path: path.write_bytes(b"two"),
        lambda path: os.setxattr(path, "trusted.x", b"y"),
    ],
    ids=["access time", "lost nanoseconds", "same size, same time", "other attributes"],
)
def test_not_modified(trees: tuple[Path, Path], needs_root: None, deed: Callable[[Path], object]) -> None:
    """Access times, a time kept in whole seconds, contents that nothing tells of, and the system's attributes."""
    old, new = trees
    for tree in trees:
        os.utime(tree / "etc/deep/er/file", ns=(0, 1_600_000_000_500_000_000))
    file = new / "etc/deep/er/file"
    deed(file)
    if os.stat(file).st_mtime_ns % 10**9:
        os.utime(file, ns=(0, 1_600_000_000_500_000_000))
    assert compared(new, old) == []


def test_attributes(trees: tuple[Path, Path], needs_root: None) -> None:
    """A changed value, a lost name and a capability count, on directories too."""
    old, new = trees
    os.setxattr(old / "etc/hosts", "user.x", b"1")
    os.setxattr(new / "etc/hosts", "user.x", b"2")
    os.setxattr(old / "empty", "user.x", b"")
    os.setxattr(new / "usr/bin/tool", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    assert compared(new, old) == ["C /empty", "C /etc", "C /etc/hosts", "C /usr", "C /usr/bin", "C /usr/bin/tool"]


def test_targets_and_devices(trees: tuple[Path, Path], needs_root: None) -> None:
    """Another target of a link, of the same length and time, and another device number."""
    old, new = trees
    for tree, target, number in ((old, "aa", 3), (new, "bb", 5)):
        (tree / "link").symlink_to(target)
        os.mknod(tree / "device", stat.S_IFCHR | 0o600, os.makedev(1, number))
        for name in ("link", "device"):
            os.utime(tree / name, (5, 5), follow_symlinks=False)
    assert compared(new, old) == ["C /device", "C /link"]


def test_owners(trees: tuple[Path, Path], needs_root: None) -> None:
    """Another owner counts."""
    old, new = trees
    os.chown(new / "bin", 7, 0, follow_symlinks=False)
    os.chown(new / "empty", 0, 7)
    assert compared(new, old) == ["C /bin", "C /empty"]


def test_mapped_owners(trees: tuple[Path, Path], needs_root: None) -> None:
    """Owners are compared as they are in the containers, whichever of the trees is mapped."""
    old, new = trees
    for folder, _, files in os.walk(new):
        for name in [".", *files]:
            os.chown(os.path.join(folder, name), 100_000, 100_000, follow_symlinks=False)
    for link in ("bin",):
        os.chown(new / link, 100_007, 100_000, follow_symlinks=False)
    mapped = IDMap((IDRange(0, 100_000, 10),), (IDRange(0, 100_000, 10),))
    found = compare_trees(str(new), str(old), mapped, IDMap())
    assert found == [Change(b"/bin", ChangeKind.MODIFY)]
    assert compare_trees(str(old), str(new), IDMap(), mapped) == found
    assert len(compare_trees(str(new), str(old), IDMap(), mapped)) == 10  # the map covers none of the old ones


def test_owner_outside_its_map(trees: tuple[Path, Path], needs_root: None) -> None:
    """An owner that a map does not cover is compared as it is on disk."""
    old, new = trees
    mapped = IDMap((IDRange(0, 100_000, 10),), (IDRange(0, 100_000, 10),))
    assert compare_trees(str(new), str(old), mapped, mapped) == []


# ── shape ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_added_and_deleted(trees: tuple[Path, Path]) -> None:
    """What is new is added with all below it; of what is gone only the top is deleted."""
    old, new = trees
    keeping_time(new / "etc/deep", shutil.rmtree)
    keeping_time(new / "usr/lib", lambda path: make_tree(str(path), {"a/b": b""}))
    assert compared(new, old) == [
        "C /etc", "D /etc/deep", "C /usr", "A /usr/lib", "A /usr/lib/a", "A /usr/lib/a/b",
    ]  # fmt: skip


def test_listed_once(trees: tuple[Path, Path]) -> None:
    """A directory that is changed itself and holds changes is listed once, before them."""
    old, new = trees
    (new / "etc").chmod(0o700)
    (new / "etc/deep/er/file").write_bytes(b"more than before")
    (new / "etc/zz").write_bytes(b"")
    assert compared(new, old) == ["C /etc", "C /etc/deep", "C /etc/deep/er", "C /etc/deep/er/file", "A /etc/zz"]


def into_directory(path: Path) -> None:
    path.unlink()
    make_tree(str(path), {"a/b": b""})


def into_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_bytes(b"")


def test_kinds_exchanged(trees: tuple[Path, Path]) -> None:
    """A file that became a directory is modified and its contents added; the other way round is one change."""
    old, new = trees
    keeping_time(new / "etc/hosts", into_directory)
    keeping_time(new / "etc/deep", into_file)
    assert compared(new, old) == ["C /etc", "C /etc/deep", "C /etc/hosts", "A /etc/hosts/a", "A /etc/hosts/a/b"]


def test_order_is_that_of_bytes(tmp_path: Path) -> None:
    """Names are sorted by their bytes, a directory's contents directly behind it."""
    make_tree(str(tmp_path / "old"), {"a/x": b"", "a-b": b"", "é": b"", "gone/x": b"", "B": b""})
    new = make_tree(str(tmp_path / "new"), {"a/y": b"", "a.": b"", "\udcff": b"", "b/x": b""})
    paths = [change.path for change in compare_trees(new, str(tmp_path / "old"))]
    assert sorted(paths, key=lambda path: path.split(b"/")) == paths
    assert paths[-1] == b"/\xff"


def test_shared_inodes_are_not_walked(trees: tuple[Path, Path]) -> None:
    """A hard link from one tree to the other is the same file, whatever is done to it."""
    old, new = trees
    (new / "etc/hosts").unlink()
    os.link(old / "etc/hosts", new / "etc/hosts")
    os.utime(new / "etc", ns=(0, os.stat(old / "etc").st_mtime_ns))
    (new / "etc/hosts").write_bytes(b"changed in both")
    assert compared(new, old) == []


def test_deep_trees(tmp_path: Path) -> None:
    """Trees deeper than any path can say are compared to their end."""
    with deep_tree(str(tmp_path / "old"), 450) as old, deep_tree(str(tmp_path / "new"), 500) as new:
        added = [change for change in compare_trees(new, old) if change.kind is ChangeKind.ADD]
        assert len(added) == 100
        assert changes_size(new, added) == 0


def test_unreadable(tmp_path: Path) -> None:
    """A tree that is not there is an error, not a tree without contents."""
    for new, old in ((tmp_path / "x", tmp_path), (tmp_path, tmp_path / "x")):
        with pytest.raises(SystemFailure):
            compare_trees(str(new), str(old))


# ── sizes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_size(trees: tuple[Path, Path]) -> None:
    """Files and links that are added or modified, a file with two names once, nothing of what is deleted."""
    old, new = trees
    make_tree(str(new), {"a": bytes(1000), "etc/link": "12345"})
    os.link(new / "a", new / "b")
    (new / "etc/hosts").write_bytes(bytes(200))
    (new / "usr/bin/tool").unlink()
    assert changes_size(str(new), compare_trees(str(new), str(old))) == 1205
    assert changes_size(str(new), compare_trees(str(new), None)) == 1000 + 5 + 200 + 3 + 7


def test_size_of_what_vanished(tmp_path: Path) -> None:
    """A change whose file is gone cannot be measured."""
    with pytest.raises(SystemFailure, match="gone"):
        changes_size(str(tmp_path), [Change(b"/gone", ChangeKind.ADD)])


# ── against the peer ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.peer
@pytest.mark.slow
def test_the_peers_changes(peer: Runner) -> None:
    """The same changes as the Go tool lists, in whatever order that does."""
    parent = peer("create-layer").ok().lines[0]
    old = peer("mount", parent).ok().lines[0]
    make_tree(old, CONTENTS)
    child = peer("create-layer", parent).ok().lines[0]
    new = peer("mount", child).ok().lines[0]
    make_tree(new, {"etc/new/file": b"", "usr/bin/tool2": b""})
    shutil.rmtree(os.path.join(new, "etc/deep"))
    os.setxattr(os.path.join(new, "usr/bin/tool"), "user.x", b"y")
    os.chmod(os.path.join(new, "empty"), 0o700)
    theirs = peer("changes", child).ok().lines
    words = {ChangeKind.MODIFY: "Modify", ChangeKind.ADD: "Add", ChangeKind.DELETE: "Delete"}
    ours = [f'{words[change.kind]} "{os.fsdecode(change.path)}"' for change in compare_trees(new, old)]
    assert sorted(ours) == sorted(theirs)
