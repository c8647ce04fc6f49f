"""Staging directories: whose they are, who may sweep them, and what never breaks a peer."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.errors import SystemFailure
from cstore.fs.staging import StagingRoot, SweepResult
from cstore.kernel import ioctl
from cstore.kernel.mount import MNT_DETACH, MS_BIND, mount, unmount
from cstore.kernel.mountinfo import is_mountpoint
from tests.unit.kernel.other_process import POSIX_HOLDER, another_process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.fs.conftest import TmpfsMaker


@pytest.fixture
def root(tmp_path: Path) -> StagingRoot:
    """A staging root that does not exist yet."""
    return StagingRoot(str(tmp_path / "home" / "tempdirs"))


def abandon(root: StagingRoot, number: str = "77", *, lock: bool = True) -> str:
    """Leave what a killed owner leaves, with a file in it; return the tree's path."""
    os.makedirs(root.path, exist_ok=True)
    tree = os.path.join(root.path, f"temp-dir-{number}")
    os.makedirs(os.path.join(tree, "0-layer", "sub"))
    with open(os.path.join(tree, "0-layer", "sub", "file"), "wb") as file:
        file.write(b"x")
    if lock:
        with open(os.path.join(root.path, f"lock-{number}"), "wb"):
            pass
    return tree


def test_layout(root: StagingRoot) -> None:
    """A lock and a directory of one number, with the modes the peers use (store-format 10.1)."""
    with root.reserve() as staging:
        lock, tree = sorted(os.listdir(root.path))
        assert lock.removeprefix("lock-") == tree.removeprefix("temp-dir-")
        assert int(lock.removeprefix("lock-")) < 2**32
        assert stat.S_IMODE(os.stat(root.path).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(os.path.join(root.path, lock)).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(staging.path).st_mode) == 0o700
        assert staging.path == os.path.join(root.path, tree)

    assert os.listdir(root.path) == []


def test_take(root: StagingRoot, tmp_path: Path) -> None:
    """Things move in under numbered names; what does not exist is no error."""
    (tmp_path / "layer").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    with root.reserve() as staging:
        assert staging.take(str(tmp_path / "layer") + "/") == os.path.join(staging.path, "0-layer")
        assert staging.take(str(tmp_path / "missing")) == ""
        assert staging.take(str(tmp_path / "file")) == os.path.join(staging.path, "2-file")
        assert staging.next_name("new") == os.path.join(staging.path, "3-new")
        assert sorted(os.listdir(staging.path)) == ["0-layer", "2-file"]

    assert sorted(os.listdir(tmp_path)) == ["home"]


def test_take_what_is_mounted(root: StagingRoot, tmpfs: TmpfsMaker) -> None:
    """A mount point cannot be moved; the error names it and nothing is lost."""
    point = tmpfs("mounted")
    with root.reserve() as staging, pytest.raises(SystemFailure, match=r"cannot move .*mounted"):
        staging.take(point)

    assert is_mountpoint(point)


def test_remove_twice(root: StagingRoot) -> None:
    """A second removal, and one by the context, do nothing."""
    with root.reserve() as staging:
        assert staging.remove() == []
        assert staging.remove() == []


def test_sweep_leaves_the_living_alone(root: StagingRoot) -> None:
    """A staging directory in use survives every sweep of ours, in this process or another."""
    with root.reserve() as staging:
        pid = os.fork()
        if pid == 0:
            os.closerange(3, 256)
            result = StagingRoot(root.path).sweep()
            os._exit(0 if result == SweepResult([], []) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert root.sweep() == SweepResult([], [])
        assert root.stale() == []
        assert os.path.isdir(staging.path)


def test_sweep_leaves_a_peers_alone(root: StagingRoot) -> None:
    """So does the directory of a peer, who holds a classic lock."""
    tree = abandon(root)
    with another_process(POSIX_HOLDER, os.path.join(root.path, "lock-77"), "exclusive"):
        assert root.sweep() == SweepResult([], [])
        assert root.stale() == []
        assert os.path.isdir(tree)

    assert root.sweep() == SweepResult([tree], [])


@pytest.mark.parametrize("lock", [True, False])
def test_sweep_removes_what_a_killed_owner_left(root: StagingRoot, lock: bool) -> None:
    """With its lock file, or without."""
    tree = abandon(root, lock=lock)

    assert root.stale() == [tree]
    assert os.path.isdir(tree), "asking changes nothing"
    assert root.sweep() == SweepResult([tree], [])
    assert os.listdir(root.path) == []


def test_sweep_removes_a_lone_lock(root: StagingRoot) -> None:
    """A lock file without a directory is swept as well; nothing of worth was there."""
    os.makedirs(root.path)
    with open(os.path.join(root.path, "lock-5"), "wb"):
        pass

    assert root.stale() == []
    assert root.sweep() == SweepResult([], [])
    assert os.listdir(root.path) == []


def test_sweep_of_nothing_makes_nothing(root: StagingRoot) -> None:
    """No staging root, no work, and none is made."""
    assert root.sweep() == SweepResult([], [])
    assert root.stale() == []
    assert not os.path.exists(root.path)


def test_sweep_leaves_other_names(root: StagingRoot) -> None:
    """Only the three kinds of names are ours."""
    os.makedirs(os.path.join(root.path, "backup"))

    root.sweep()

    assert os.listdir(root.path) == ["backup"]


def test_a_killed_owner(root: StagingRoot) -> None:
    """The lock dies with the process, and the next sweep takes the tree."""
    pid = os.fork()
    if pid == 0:
        staging = root.reserve()
        os.mkdir(staging.next_name("half-made"))
        os._exit(0)
    os.waitpid(pid, 0)

    assert len(root.sweep().removed) == 1
    assert os.listdir(root.path) == []


def test_a_hostile_lock_file(root: StagingRoot, tmp_path: Path) -> None:
    """A link in place of a lock file is not followed: nothing is made or locked elsewhere."""
    tree = abandon(root, lock=False)
    os.symlink(tmp_path / "elsewhere", os.path.join(root.path, "lock-77"))

    result = root.sweep()

    assert result.stuck == [os.path.join(root.path, "lock-77")]
    assert os.path.isdir(tree)
    assert not (tmp_path / "elsewhere").exists()


def test_links_are_not_followed(root: StagingRoot, tmp_path: Path) -> None:
    """A staged link goes; what it points to stays."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("precious")
    with root.reserve() as staging:
        staging.take(str(tmp_path / "link"))
        os.symlink(tmp_path / "precious", staging.next_name("another"))

    assert (tmp_path / "precious" / "file").exists()


@pytest.mark.usefixtures("needs_root")
def test_immutable_files_go(root: StagingRoot) -> None:
    """What would stop every peer from loading its layers is removed, flags and all."""
    tree = abandon(root)
    folder = os.path.join(tree, "0-layer", "sub")
    for path, flag in (
        (os.path.join(folder, "file"), ioctl.FLAG_IMMUTABLE),
        (folder, ioctl.FLAG_APPEND_ONLY),
        (tree, ioctl.FLAG_IMMUTABLE),
    ):
        fd = os.open(path, os.O_RDONLY)
        try:
            ioctl.set_file_flags(fd, ioctl.file_flags(fd) | flag)
        except OSError:
            pytest.skip("this file system has no such flags")
        finally:
            os.close(fd)

    assert root.sweep() == SweepResult([tree], [])


def test_mounts_inside_go(root: StagingRoot, tmpfs: TmpfsMaker) -> None:
    """A forgotten mount is detached; what is mounted keeps its files."""
    precious = tmpfs("precious")
    with open(os.path.join(precious, "file"), "wb"):
        pass
    tree = abandon(root)
    for place in (os.path.join(tree, "0-layer", "sub"), os.path.join(tree, "0-layer", "sub"), tree):
        mount(precious, place, flags=MS_BIND)

    assert root.sweep() == SweepResult([tree], [])
    assert os.path.exists(os.path.join(precious, "file"))


@pytest.mark.usefixtures("needs_root")
def test_what_resists_is_put_aside(root: StagingRoot) -> None:
    """An undeletable tree loses the name that would break the peers, and is tried again by every sweep."""
    tree = abandon(root)
    place = os.path.join(tree, "0-layer")
    aside = os.path.join(root.path, "stuck-77")
    # A directory inside is mounted in this process's own view only when the sweep runs without the right to unmount.
    mount(place, place, flags=MS_BIND)
    pid = os.fork()
    if pid == 0:
        os.chown(root.path, 12345, 12345)
        os.chown(tree, 12345, 12345)
        for name in os.listdir(root.path):
            os.chown(os.path.join(root.path, name), 12345, 12345)
        parent = root.path
        while parent != "/":
            parent = os.path.dirname(parent)
            os.chmod(parent, os.stat(parent).st_mode | 0o011)  # noqa: S103  - search only, on the way to the test's directory
        os.setresuid(12345, 12345, 12345)
        os._exit(0 if root.sweep() == SweepResult([], [aside]) and root.stale() == [aside] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert os.listdir(root.path) == ["stuck-77"]

    unmount(os.path.join(aside, "0-layer"), MNT_DETACH)
    assert root.sweep() == SweepResult([aside], [])
    assert os.listdir(root.path) == []


def test_owners_and_sweepers_at_once(root: StagingRoot) -> None:
    """Three processes reserve and fill while two sweep without pause: no owner ever loses a thing."""
    os.makedirs(root.path)
    pids = []
    for number in range(5):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                for _ in range(60):
                    if number < 2:
                        assert root.sweep().stuck == []
                    else:
                        _own_for_a_moment(root)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)

    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * 5
    root.sweep()
    assert os.listdir(root.path) == []


def _own_for_a_moment(root: StagingRoot) -> None:
    with root.reserve() as staging:
        made = staging.next_name("thing")
        os.mkdir(made)
        for name in range(5):
            with open(os.path.join(made, str(name)), "wb"):
                pass
        assert len(os.listdir(made)) == 5


@pytest.mark.parametrize("inodes", [2, 3], ids=["lock file", "directory"])
def test_no_space(tmpfs: TmpfsMaker, inodes: int) -> None:
    """Whether the lock file or the directory finds no place: the error says so, and nothing is left."""
    root = StagingRoot(os.path.join(tmpfs("small", f"nr_inodes={inodes}"), "tempdirs"))
    os.mkdir(root.path)

    with pytest.raises(SystemFailure, match=r"staging directory .*: No space left"):
        root.reserve()

    assert os.listdir(root.path) == []


def test_no_permission(root: StagingRoot, tmp_path: Path) -> None:
    """A root that cannot be made is a named error."""
    (tmp_path / "home").write_bytes(b"a file is in the way")

    with pytest.raises(SystemFailure, match="staging directory"):
        root.reserve()
