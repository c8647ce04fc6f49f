"""A copy is the same tree again: everything that two trees can be told apart by, but their place."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from cstore.errors import InvalidIDMap, InvalidOption, SystemFailure
from cstore.fs.tree import copy_tree, remove_tree
from cstore.kernel.mount import MNT_DETACH, MS_BIND, mount, unmount
from cstore.kernel.namespaces import enter_user_namespace
from tests.unit.fs.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.unit.fs.conftest import TmpfsMaker

NOBODY = 2**32 - 1
ACL = struct.pack("<I" + "HHI" * 5, 2, 1, 7, NOBODY, 2, 6, 12345, 4, 5, NOBODY, 16, 7, NOBODY, 32, 4, NOBODY)
"""An access list: the owner, user 12345, the group, the mask, everybody else."""

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0)
"""cap_net_bind_service, permitted and effective."""


class Trees:
    """A source to fill and a destination to copy to."""

    def __init__(self, folder: str) -> None:
        self.source, self.target = os.path.join(folder, "source"), os.path.join(folder, "target")
        os.mkdir(self.source)
        os.mkdir(self.target)

    def __truediv__(self, name: str) -> str:
        return os.path.join(self.source, name)

    def file(self, name: str, content: bytes = b"x", mode: int = 0o644) -> str:
        """Make a file in the source."""
        path = self / name
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    def mode(self, name: str, mode: int) -> None:
        """Change the mode of something in the source."""
        os.chmod(self / name, mode)

    def copied(self, *, workers: int | None = None) -> None:
        """Copy, and compare."""
        before = snapshot(self.source)
        copy_tree(self.source, self.target, workers=workers)
        assert snapshot(self.source) == before, "the source is left as it is"
        assert snapshot(self.target) == before


@pytest.fixture
def trees(tmp_path: Path) -> Iterator[Trees]:
    """On whatever the temporary directory is. Removed here: some are deeper than pytest's own clean-up can go."""
    made = Trees(str(tmp_path))
    paths = (made.source, made.target)
    yield made
    for path in paths:
        remove_tree(path)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_plain_things(trees: Trees, workers: int) -> None:
    """Files, directories in directories, links to anywhere, and every mode, whatever the umask."""
    for number in range(7):
        folder = trees / f"d{number}"
        os.makedirs(f"{folder}/e/f")
        trees.file(f"d{number}/empty", b"")
        trees.file(f"d{number}/e/file", b"content" * number * 1000, 0o400 + number)
        os.symlink("/etc/passwd", f"{folder}/absolute")
        os.symlink("missing", f"{folder}/e/f/dangling")
        os.mkfifo(f"{folder}/pipe", 0o640)
        os.chmod(f"{folder}/e", 0o1777 - number)
    trees.mode("", 0o1755)
    old = os.umask(0o077)
    try:
        trees.copied(workers=workers)
    finally:
        os.umask(old)


def test_an_empty_tree(trees: Trees) -> None:
    """Only the root: its mode and times."""
    os.chmod(trees.source, 0o700)
    os.utime(trees.source, ns=(1, 1_234_567_890_123_456_789))
    trees.copied()


@pytest.mark.usefixtures("needs_root")
def test_owners_and_special_bits(trees: Trees) -> None:
    """Set-user-ID and set-group-ID survive the change of owner; each kind of file has its owner."""
    for number, mode in enumerate((0o4755, 0o2755, 0o6711, 0o1644, 0o000, 0o7777)):
        os.chown(trees.file(f"file{number}"), 1000 + number, 2000 + number)
        os.chmod(trees / f"file{number}", mode)
        os.mkdir(trees / f"dir{number}")
        trees.file(f"dir{number}/inside")
        os.chown(trees / f"dir{number}", 3000 + number, 4000 + number)
        os.chmod(trees / f"dir{number}", mode)
    os.symlink("x", trees / "link")
    os.chown(trees / "link", 5, 6, follow_symlinks=False)
    os.mkfifo(trees / "pipe")
    os.chown(trees / "pipe", 7, 8)
    os.chmod(trees / "pipe", 0o6600)
    os.chown(trees.source, 9, 10)
    trees.copied()


@pytest.mark.usefixtures("needs_root")
def test_devices(trees: Trees) -> None:
    """Block and character devices, whiteouts among them."""
    os.mknod(trees / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(trees / "loop", stat.S_IFBLK | 0o660, os.makedev(7, 300))
    os.mknod(trees / "whiteout", stat.S_IFCHR, os.makedev(0, 0))
    os.chown(trees / "loop", 0, 6)
    trees.copied()


def test_times_of_everything(trees: Trees) -> None:
    """Nanoseconds, before 1970 and far ahead; of links and directories as well, and not disturbed by the copying."""
    os.makedirs(trees / "a/b/c")
    trees.file("a/b/c/file")
    os.symlink("file", trees / "a/b/c/link")
    for number, name in enumerate(("a/b/c/file", "a/b/c/link", "a/b/c", "a/b", "a")):
        os.utime(trees / name, ns=(987_654_321 + number, -1_000_000_001 - number), follow_symlinks=False)
    os.utime(trees.source, ns=(5, 4_000_000_000_123_456_789))
    names = ("", "a", "a/b", "a/b/c", "a/b/c/file", "a/b/c/link")
    before = [os.lstat(trees / name) for name in names]
    copy_tree(trees.source, trees.target)
    after = [os.lstat(os.path.join(trees.target, name)) for name in names]

    for now, was in zip(after, before, strict=True):
        assert (now.st_atime_ns, now.st_mtime_ns) == (was.st_atime_ns, was.st_mtime_ns)


def test_reading_leaves_no_access_time(trees: Trees) -> None:
    """Copying reads; the owner's copy does not show in the source."""
    os.mkdir(trees / "dir")
    trees.file("dir/file")
    for name in ("dir/file", "dir", ""):
        os.utime(trees / name, ns=(0, 10**18))
    copy_tree(trees.source, trees.target)

    assert [os.stat(trees / name).st_atime_ns for name in ("dir/file", "dir", "")] == [0, 0, 0]


@pytest.mark.usefixtures("needs_root")
def test_hard_links_of_every_type(trees: Trees) -> None:
    """Across directories, with several workers: files, links, pipes and devices with several names stay one."""
    for number in range(10):
        os.makedirs(trees / f"d{number}/e")
    trees.file("d0/file", b"content" * 10000, 0o4750)
    os.chown(trees / "d0/file", 1, 2)
    trees.mode("d0/file", 0o4750)
    os.symlink("target", trees / "d0/link")
    os.mkfifo(trees / "d0/pipe")
    os.mknod(trees / "d0/device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    for kind in ("file", "link", "pipe", "device"):
        for number in range(1, 10):
            os.link(trees / f"d0/{kind}", trees / f"d{number}/e/{kind}", follow_symlinks=False)
            os.utime(trees / f"d{number}/e", ns=(1, number))
    trees.copied()

    assert os.stat(os.path.join(trees.target, "d5/e/file")).st_nlink == 10


def test_a_file_with_names_elsewhere(trees: Trees, tmp_path: Path) -> None:
    """Its names outside the tree are not touched, and the copy has one name."""
    trees.file("file")
    os.link(trees / "file", tmp_path / "outside")
    trees.copied()

    assert os.stat(os.path.join(trees.target, "file")).st_nlink == 1
    assert os.stat(trees / "file").st_nlink == 2


def test_as_many_links_as_the_file_system_allows(ext4: str) -> None:
    """The place where linked files are made needs one name more; at the limit it gives that name away."""
    trees = Trees(ext4)
    os.mkdir(trees / "d")
    trees.file("d/0")
    for number in range(1, 65000):
        os.link(trees / "d/0", trees / f"d/{number}")
    with pytest.raises(OSError, match="Too many links"):
        os.link(trees / "d/0", trees / "d/more")
    copy_tree(trees.source, trees.target)

    assert os.stat(trees / "d/0").st_nlink == 65000
    assert os.stat(os.path.join(trees.target, "d/1")).st_nlink == 65000
    assert sorted(os.listdir(trees.target)) == ["d"]


@pytest.mark.usefixtures("needs_root")
def test_attributes(ext4: str) -> None:
    """User, trusted and security attributes, file capabilities, access lists and default access lists."""
    trees = Trees(ext4)
    trees.file("program", b"x", 0o755)
    os.chown(trees / "program", 1, 1)
    os.setxattr(trees / "program", "security.capability", CAPABILITY)
    os.setxattr(trees / "program", "user.\udcff", b"\0\xff")
    trees.file("shared", b"x", 0o640)
    os.setxattr(trees / "shared", "system.posix_acl_access", ACL)
    os.makedirs(trees / "dir/sub")
    os.setxattr(trees / "dir", "system.posix_acl_default", ACL)
    os.setxattr(trees / "dir", "trusted.overlay.opaque", b"y")
    os.symlink("x", trees / "link")
    os.setxattr(trees / "link", "trusted.mark", b"l", follow_symlinks=False)
    os.mkfifo(trees / "pipe")
    os.setxattr(trees / "pipe", "trusted.mark", b"p")
    os.setxattr(trees.source, "system.posix_acl_default", ACL)
    trees.file("later", b"x", 0o600)
    trees.copied()

    assert os.getxattr(os.path.join(trees.target, "program"), "security.capability") == CAPABILITY


@pytest.mark.usefixtures("needs_root")
def test_what_the_destination_would_give_is_not_taken(ext4: str) -> None:
    """A set-group-ID directory with a default access list does not leak into the copy."""
    trees = Trees(ext4)
    os.mkdir(trees / "dir")
    trees.file("dir/file", b"x", 0o600)
    os.setxattr(ext4, "system.posix_acl_default", ACL)
    os.rmdir(trees.target)
    os.chown(ext4, 0, 55)
    subprocess.run(["chmod", "2775", ext4], check=True)
    os.mkdir(trees.target)
    assert os.listxattr(trees.target)
    assert os.stat(trees.target).st_gid == 55
    trees.copied()


def test_holes_stay_holes(trees: Trees) -> None:
    """A file of a gigabyte that holds two pages takes no more in the copy."""
    with open(trees / "sparse", "wb") as file:
        file.seek(300 << 20)
        file.write(b"middle" * 1000)
        file.seek(700 << 20)
        file.write(b"end" * 1000)
        file.truncate(1 << 30)
    with open(trees / "hole", "wb") as file:
        file.truncate(1 << 20)
    with open(trees / "tail", "wb") as file:
        file.write(b"head" * 5000)
        file.truncate(5 << 20)
    copy_tree(trees.source, trees.target)

    for name in ("sparse", "hole", "tail"):
        before, after = os.stat(trees / name), os.stat(os.path.join(trees.target, name))
        assert after.st_size == before.st_size
        assert after.st_blocks <= before.st_blocks + 64
    with open(os.path.join(trees.target, "sparse"), "rb") as file:
        file.seek((300 << 20) - 10)
        assert file.read(6020) == bytes(10) + b"middle" * 1000 + bytes(10)
        file.seek((700 << 20) - 10)
        assert file.read(3020) == bytes(10) + b"end" * 1000 + bytes(10)
    with open(trees / "tail", "rb") as one, open(os.path.join(trees.target, "tail"), "rb") as other:
        assert one.read() == other.read()


def test_between_file_systems(tmpfs: TmpfsMaker, trees: Trees) -> None:
    """Where the kernel cannot copy by itself, reading and writing does."""
    trees.file("big", os.urandom(3_000_001))
    trees.file("empty", b"")
    with open(trees / "sparse", "wb") as file:
        file.seek(1 << 20)
        file.write(b"x")
    trees.target = tmpfs("memory")
    trees.mode("", 0o750)
    trees.copied()


def test_reflinks(reflinks: str) -> None:
    """Where the file system shares blocks, a copy of 100 MB takes next to nothing."""
    trees = Trees(reflinks)
    for number in range(4):
        trees.file(f"big{number}", os.urandom(25 << 20))
    os.sync()
    before = os.statvfs(reflinks)
    trees.copied()
    os.sync()
    after = os.statvfs(reflinks)

    assert (before.f_bfree - after.f_bfree) * before.f_frsize < 2 << 20


def test_sockets_are_left_out(trees: Trees) -> None:
    """One without its process is of no use."""
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(trees.source, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
    trees.file("file")
    trees.copied()

    assert os.listdir(trees.target) == ["file"]


def test_names_of_any_bytes(trees: Trees) -> None:
    """Not text, newlines, the longest, and names that look like options or ours."""
    odd = (b"\xff\xfe", b"a\nb", b"-rf", b"n" * 255, b"\xc3\xa9" * 127, b" ", b"\\", b".links-0", b".wh.x", b"...")
    for name in odd:
        os.makedirs(os.path.join(os.fsencode(trees.source), name, name))
        with open(os.path.join(os.fsencode(trees.source), name, b"file" + name[:200]), "wb"):
            pass
    trees.copied()


def test_a_tree_deeper_than_paths_and_descriptors(trees: Trees) -> None:
    """3000 levels, 60 KB of path, with 200 descriptors: the way back is found by dots."""
    folder = os.open(trees.source, os.O_RDONLY)
    for level in range(3000):
        name = f"level-{level:04}-of-depth"
        os.mkdir(name, dir_fd=folder)
        below = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    with open(os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=folder), "wb") as file:
        file.write(b"deep")
    os.close(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        copy_tree(trees.source, trees.target)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    folder = os.open(trees.target, os.O_RDONLY)
    for level in range(3000):
        below = os.open(f"level-{level:04}-of-depth", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    assert os.stat("bottom", dir_fd=folder).st_size == 4
    os.close(folder)


def test_a_wide_tree_with_few_descriptors(trees: Trees) -> None:
    """2000 directories side by side are not all open at once."""
    for number in range(2000):
        os.mkdir(trees / str(number))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        copy_tree(trees.source, trees.target)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert len(os.listdir(trees.target)) == 2000


@pytest.mark.usefixtures("needs_root")
def test_owner_map(trees: Trees) -> None:
    """Each owner is mapped; -1 leaves what a new file gets; the root is mapped as well."""
    os.chown(trees.file("a"), 5, 6)
    os.chown(trees.file("b"), 7, 8)
    os.symlink("x", trees / "link")

    copy_tree(trees.source, trees.target, owner=lambda uid, gid: (-1, -1) if uid == 7 else (uid + 1000, gid + 2000))

    owners = {name: os.lstat(os.path.join(trees.target, name)) for name in ("a", "b", "link", "")}
    assert {name: (status.st_uid, status.st_gid) for name, status in owners.items()} == {
        "a": (1005, 2006), "b": (0, 0), "link": (1000, 2000), "": (1000, 2000),
    }  # fmt: skip


def test_an_owner_that_cannot_be_mapped(trees: Trees) -> None:
    """The map's own error is raised, and not one about processes."""
    trees.file("a")

    def refuse(uid: int, gid: int) -> tuple[int, int]:
        raise InvalidIDMap(f"{uid}:{gid}", "not covered")

    with pytest.raises(InvalidIDMap, match="not covered"):
        copy_tree(trees.source, trees.target, owner=refuse)


def test_as_an_ordinary_user(trees: Trees, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """Own files copy without privileges, also those that nobody may write."""
    os.makedirs(trees / "a/b")
    trees.file("a/file", b"x", 0o400)
    trees.file("a/b/set", b"x", 0o4755)
    os.link(trees / "a/file", trees / "a/b/again")
    os.symlink("x", trees / "a/link")
    os.mkfifo(trees / "a/pipe", 0o600)
    os.chmod(trees / "a/b", 0o500)
    subprocess.run(["chown", "-hR", "12345:12345", trees.source, trees.target], check=True)
    trees.mode("a/b/set", 0o4755)

    as_ordinary(trees.copied)


def test_deep_directories_that_end_closed(trees: Trees, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """An ordinary user's way back up does not depend on a mode that was just set."""
    path = trees.source
    for _ in range(150):
        path += "/d"
        os.mkdir(path)
    subprocess.run(["chown", "-R", "12345:12345", trees.source, trees.target], check=True)

    def act() -> None:
        os.chmod(path, 0o400)
        copy_tree(trees.source, trees.target)

    as_ordinary(act)
    assert stat.S_IMODE(os.stat(path.replace(trees.source, trees.target)).st_mode) == 0o400


def test_in_a_user_namespace(trees: Trees, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """Whiteouts, capabilities and links copy as for root; devices, which nobody can make there, are left out."""
    os.makedirs(trees / "a/b")
    trees.file("a/file", b"x", 0o755)
    os.link(trees / "a/file", trees / "a/b/again")
    os.mknod(trees / "a/device", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(trees / "a/linked-device", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.link(trees / "a/linked-device", trees / "a/b/linked-device")
    subprocess.run(["chown", "-hR", "12345:12345", trees.source, trees.target], check=True)

    def act() -> None:
        enter_user_namespace()
        os.setxattr(trees / "a/file", "security.capability", CAPABILITY)
        os.mknod(trees / "a/whiteout", stat.S_IFCHR, os.makedev(0, 0))
        copy_tree(trees.source, trees.target)

    as_ordinary(act)
    before, after = snapshot(trees.source, times=False), snapshot(trees.target, times=False)
    for name in (b"a/device", b"a/linked-device", b"a/b/linked-device"):
        del before[name]
    assert after == before
    assert before[b"a/file"].attributes


def test_owners_unknown_in_a_user_namespace(trees: Trees, as_ordinary: Callable[[Callable[[], None]], None]) -> None:
    """They cannot be given to a copy; the error says where IDs are granted."""
    trees.file("a")
    os.chown(trees.source, 12345, 12345)
    os.chown(trees.target, 12345, 12345)

    def act() -> None:
        enter_user_namespace()
        with pytest.raises(SystemFailure, match=r"cannot copy .*/a: ") as caught:
            copy_tree(trees.source, trees.target)
        assert "/etc/subuid" in caught.value.hint

    as_ordinary(act)


@pytest.mark.parametrize("kind", ["file", "dir"])
def test_what_cannot_be_read_is_named(
    trees: Trees, as_ordinary: Callable[[Callable[[], None]], None], kind: str
) -> None:
    """Another user's file or directory: the error names it, and no worker is left."""
    os.mkdir(trees / "some")
    os.mkdir(trees / "some/dir", 0o700)
    trees.file("some/file", b"x", 0o600)
    subprocess.run(["chown", "-R", "12345:12345", trees.source, trees.target], check=True)
    os.chown(trees / f"some/{kind}", 0, 0)

    def act() -> None:
        with pytest.raises(SystemFailure) as caught:
            copy_tree(trees.source, trees.target)
        assert caught.value.path == trees / f"some/{kind}"
        assert caught.value.errno == errno.EACCES

    as_ordinary(act)


@pytest.mark.usefixtures("needs_root")
def test_an_attribute_that_cannot_be_kept(trees: Trees, tmpfs: TmpfsMaker) -> None:
    """A destination that has no such attribute: the copy is refused, and the attribute named, not silently dropped."""
    os.setxattr(trees.file("a"), "user.comment", b"kept")
    point = tmpfs("ramfs")
    mount("ramfs", point, "ramfs")
    trees.target = point
    try:
        with pytest.raises(SystemFailure, match=r"cannot copy .*/a: ") as caught:
            copy_tree(trees.source, trees.target)
    finally:
        unmount(point, MNT_DETACH)

    assert caught.value.hint == "its attribute user.comment was refused"


def test_no_space(tmpfs: TmpfsMaker, trees: Trees) -> None:
    """The error says that the disk is full, and which file did not fit."""
    trees.file("a", b"x" * 300_000)
    trees.target = tmpfs("small", "size=64k")

    with pytest.raises(SystemFailure, match=r"cannot copy .*/a: No space left") as caught:
        copy_tree(trees.source, trees.target)

    assert "free some space" in caught.value.hint


def test_a_mount_inside_is_refused(tmpfs: TmpfsMaker, trees: Trees) -> None:
    """What is mounted in a tree is no part of it, and what lies below cannot be seen: both copies would be wrong."""
    other = tmpfs("other")
    os.makedirs(trees / "a/proc")
    for source in (other, trees.target):
        mount(source, trees / "a/proc", flags=MS_BIND)
        try:
            with pytest.raises(SystemFailure, match=r"a/proc: ") as caught:
                copy_tree(trees.source, trees.target)
        finally:
            unmount(trees / "a/proc", MNT_DETACH)
        assert "umount" in caught.value.hint
        subprocess.run(["find", trees.target, "-mindepth", "1", "-delete"], check=True)


def test_a_destination_that_is_not_empty(trees: Trees) -> None:
    """Nothing is mixed with what is there."""
    with open(os.path.join(trees.target, "there"), "wb"):
        pass

    with pytest.raises(SystemFailure, match="Directory not empty"):
        copy_tree(trees.source, trees.target)

    assert os.listdir(trees.target) == ["there"]


@pytest.mark.parametrize("way", ["in", "out", "same"])
def test_one_inside_the_other(trees: Trees, way: str) -> None:
    """A copy into itself would never end."""
    inner = trees / "inner"
    os.mkdir(inner)
    source, target = {"in": (trees.source, inner), "out": (inner, trees.source), "same": (inner, inner)}[way]

    with pytest.raises(InvalidOption, match="inside"):
        copy_tree(source, target)

    assert os.listdir(inner) == []


def test_missing_directories_are_named(trees: Trees) -> None:
    """The source, and the destination."""
    with pytest.raises(SystemFailure, match="no-source: No such file"):
        copy_tree(trees / "no-source", trees.target)
    with pytest.raises(SystemFailure, match="no-target: No such file"):
        copy_tree(trees.source, trees.target + "/no-target")


def test_links_are_not_directories(trees: Trees) -> None:
    """A link as source or destination is not followed."""
    os.symlink(trees.source, trees.target + "-link")

    with pytest.raises(SystemFailure):
        copy_tree(trees.target + "-link", trees.target)


def test_a_process_with_threads_can_copy(trees: Trees) -> None:
    """Other threads run on while workers are forked, and none of their locks is needed."""
    for number in range(50):
        os.mkdir(trees / f"{number}")
        trees.file(f"{number}/file", b"content")
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            print(end="", flush=True)
            time.sleep(0.0001)

    threads = [threading.Thread(target=busy) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        trees.copied()
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_nothing_stays_open(trees: Trees) -> None:
    """Neither after success nor after failure."""
    trees.file("file")
    os.mkdir(trees / "dir")
    before = sorted(os.listdir("/proc/self/fd"))
    copy_tree(trees.source, trees.target)
    with pytest.raises(SystemFailure):
        copy_tree(trees.source, trees.target)

    assert sorted(os.listdir("/proc/self/fd")) == before
