"""A removal takes the whole tree, whatever stands in the way, and not one file more."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.errors import SystemFailure
from cstore.fs.tree import remove_tree
from cstore.kernel import ioctl
from cstore.kernel.mount import MNT_DETACH, MS_BIND, mount, unmount
from cstore.kernel.mountinfo import is_mountpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.fs.conftest import TmpfsMaker


def set_flag(path: str | Path, flag: int) -> None:
    """Set a flag of chattr(1), or skip."""
    fd = os.open(path, os.O_RDONLY)
    try:
        ioctl.set_file_flags(fd, ioctl.file_flags(fd) | flag)
    except OSError:
        pytest.skip("this file system has no such flags")
    finally:
        os.close(fd)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with something of every kind, beside something precious that it points to."""
    precious = tmp_path / "precious"
    (precious / "dir").mkdir(parents=True)
    (precious / "file").write_bytes(b"precious")
    root = tmp_path / "tree"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "file").write_bytes(b"x")
    os.link(precious / "file", root / "a" / "b" / "linked")
    (root / "link").symlink_to("../precious")
    (root / "a" / "dir-link").symlink_to(precious / "dir")
    os.mkfifo(root / "pipe")
    with open(os.fsencode(root) + b"/a/\xff\n", "wb"):
        pass
    return root


def gone(tree: Path) -> bool:
    """The tree is gone, and what it pointed to is whole."""
    precious = tree.parent / "precious"
    assert (precious / "file").read_bytes() == b"precious"
    assert (precious / "dir").is_dir()
    return not os.path.lexists(tree)


def test_everything_goes(tree: Path) -> None:
    """Links are removed, not followed; files with other names keep those."""
    remove_tree(str(tree))

    assert gone(tree)


@pytest.mark.parametrize("ending", ["", "/"])
def test_other_kinds_of_roots(tree: Path, ending: str) -> None:
    """A link or a file instead of a directory; a missing path, or one whose parent is missing, is no error."""
    remove_tree(str(tree / "link") + ending)
    remove_tree(str(tree / "pipe"))
    remove_tree(str(tree / "missing") + ending)
    remove_tree(str(tree / "no" / "way") + ending)

    assert sorted(os.listdir(tree)) == ["a"]


def test_a_relative_path(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any directory in it."""
    monkeypatch.chdir(tree.parent)
    remove_tree("tree")

    assert gone(tree)


def test_deep_and_wide_with_few_descriptors(tree: Path) -> None:
    """2000 levels and 1000 neighbours, 80 descriptors."""
    for number in range(1000):
        (tree / str(number)).mkdir()
    folder = os.open(tree, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("some-directory", dir_fd=folder)
        below = os.open("some-directory", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        remove_tree(str(tree))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert gone(tree)


@pytest.mark.usefixtures("needs_root")
def test_flags_of_every_place(tree: Path) -> None:
    """Immutable files, append-only files and directories, and the root of the tree itself."""
    (tree / "a" / "log").write_bytes(b"x")
    set_flag(tree / "a" / "log", ioctl.FLAG_APPEND_ONLY)
    set_flag(tree / "a" / "file", ioctl.FLAG_IMMUTABLE)
    set_flag(tree / "a" / "b", ioctl.FLAG_APPEND_ONLY)
    set_flag(tree / "a", ioctl.FLAG_IMMUTABLE)
    set_flag(tree, ioctl.FLAG_IMMUTABLE)

    remove_tree(str(tree))

    assert gone(tree)


@pytest.mark.usefixtures("needs_root")
def test_flags_of_a_file_with_other_names_are_put_back(tree: Path) -> None:
    """The file lives on elsewhere, and is as protected there as before."""
    precious = tree.parent / "precious" / "file"
    set_flag(precious, ioctl.FLAG_IMMUTABLE)
    try:
        remove_tree(str(tree))
        with pytest.raises(PermissionError):
            precious.write_bytes(b"overwritten")
    finally:
        fd = os.open(precious, os.O_RDONLY)
        ioctl.set_file_flags(fd, ioctl.file_flags(fd) & ~ioctl.FLAG_IMMUTABLE)
        os.close(fd)

    assert gone(tree)


@pytest.mark.usefixtures("needs_root")
def test_the_parent_is_left_as_it_is(tree: Path) -> None:
    """Its flags are not ours to clear: the tree is emptied, its root stays, and is named."""
    set_flag(tree.parent, ioctl.FLAG_APPEND_ONLY)
    try:
        with pytest.raises(SystemFailure) as caught:
            remove_tree(str(tree))
    finally:
        fd = os.open(tree.parent, os.O_RDONLY)
        flags = ioctl.file_flags(fd)
        ioctl.set_file_flags(fd, flags & ~ioctl.FLAG_APPEND_ONLY)
        os.close(fd)

    assert flags & ioctl.FLAG_APPEND_ONLY
    assert caught.value.path == str(tree)
    assert os.listdir(tree) == []


@pytest.mark.usefixtures("needs_root")
@pytest.mark.parametrize("of_root", [False, True])
def test_mounts_are_obstacles(tree: Path, of_root: bool) -> None:
    """What is mounted is not touched, bind mounts of the same file system included; the rest goes."""
    place = tree if of_root else tree / "a" / "b"
    mount(str(tree.parent / "precious"), str(place), flags=MS_BIND)
    try:
        with pytest.raises(SystemFailure) as caught:
            remove_tree(str(tree))
        assert is_mountpoint(str(place))
    finally:
        unmount(str(place), MNT_DETACH)

    assert caught.value.errno == errno.EBUSY
    assert caught.value.path == str(place)
    assert caught.value.hint == f"a file system is mounted there: umount {place}"
    assert (tree.parent / "precious" / "file").read_bytes() == b"precious"
    if not of_root:
        assert os.listdir(tree) == ["a"]
        assert os.listdir(tree / "a") == ["b"]


def test_mounts_are_detached_if_asked(tree: Path, tmpfs: TmpfsMaker) -> None:
    """On directories, one above the other, on files and on the root of the tree; mounts outside stay."""
    outside = tmpfs("outside")
    precious = str(tree.parent / "precious")
    for source, place in (
        (outside, tree / "a" / "b"),
        (precious, tree / "a" / "b"),
        (precious + "/file", tree / "a" / "file"),
        (str(tree), tree),
    ):
        mount(source, str(place), flags=MS_BIND)

    remove_tree(str(tree), detach_mounts=True)

    assert gone(tree)
    assert is_mountpoint(outside)


def test_an_ordinary_users_closed_directories(tree: Path, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """Directories without any permission are opened up by their owner."""
    subprocess.run(["chown", "-hR", "12345", str(tree)], check=True)
    (tree / "a" / "b").chmod(0)
    (tree / "a").chmod(0o500)
    tree.chmod(0)

    as_ordinary(lambda: remove_tree(str(tree)))

    assert gone(tree)


def test_closed_directories_far_down(tree: Path, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """The way back up from a directory that cannot be searched is found, even if it was not held open."""
    path = str(tree / "a")
    for _ in range(200):
        path += "/d"
        os.mkdir(path)
    subprocess.run(["chown", "-hR", "12345", str(tree)], check=True)

    def act() -> None:
        os.chmod(path, 0o400)
        os.chmod(os.path.dirname(path), 0o500)
        remove_tree(str(tree))

    as_ordinary(act)
    assert gone(tree)


def test_what_resists_is_named_and_the_rest_goes(tree: Path, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """Another user's directory inside: everything around it is gone."""
    subprocess.run(["chown", "-hR", "12345", str(tree)], check=True)
    (tree / "a" / "theirs").mkdir()
    (tree / "a" / "theirs").chmod(0o755)
    (tree / "a" / "theirs" / "file").write_bytes(b"x")

    def act() -> None:
        with pytest.raises(SystemFailure) as caught:
            remove_tree(str(tree))
        assert caught.value.path == str(tree / "a" / "theirs" / "file")
        assert caught.value.errno == errno.EACCES

    as_ordinary(act)
    assert os.listdir(tree) == ["a"]
    assert os.listdir(tree / "a") == ["theirs"]


def test_two_at_once(tree: Path) -> None:
    """Who comes too late for an entry does not mind."""
    for number in range(300):
        (tree / "a" / str(number)).mkdir()
        (tree / "a" / str(number) / "file").write_bytes(b"")
    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                remove_tree(str(tree))
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)

    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0, 0, 0]
    assert gone(tree)


def test_nothing_stays_open(tree: Path) -> None:
    """No descriptor is left behind."""
    before = sorted(os.listdir("/proc/self/fd"))
    remove_tree(str(tree))

    assert sorted(os.listdir("/proc/self/fd")) == before
