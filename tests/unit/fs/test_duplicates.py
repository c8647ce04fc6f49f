"""Equal files share their blocks afterwards, unequal ones never, and the figures say what was gained."""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from cstore.errors import InvalidOption
from cstore.fs.duplicates import Duplicates, Sharing
from cstore.kernel import ioctl

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 200_000


@pytest.fixture(params=["btrfs_disk", "xfs_disk"])
def disk(request: pytest.FixtureRequest) -> str:
    """A directory on each file system that can share blocks."""
    parent: str = request.getfixturevalue(request.param)
    return tempfile.mkdtemp(dir=parent)


def tree(disk: str, name: str, files: dict[str, bytes]) -> str:
    """Make a tree of files, in directories where their names say so."""
    root = os.path.join(disk, name)
    for path, data in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "wb") as file:
            file.write(data)
    return root


def places(path: str) -> list[tuple[int, int]]:
    """Where the blocks of a file are."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return [(extent.logical, extent.physical) for extent in ioctl.extents(fd)]
    finally:
        os.close(fd)


def used(disk: str) -> int:
    """The bytes that are in use on a disk."""
    subprocess.run(["sync", "--file-system", disk], check=True)
    status = os.statvfs(disk)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


def share(*roots: str, method: str = "crc", dry_run: bool = False) -> Sharing:
    search = Duplicates(method, dry_run=dry_run)
    for root in roots:
        search.add(root)
    return search.share()


@pytest.mark.parametrize("method", ["crc", "size", "sha256"])
def test_equal_files_share_and_others_do_not(disk: str, method: str) -> None:
    """The blocks are the same ones, the contents and times are as before."""
    same, other = os.urandom(SIZE), os.urandom(SIZE)
    one = tree(disk, "one", {"a": same, "b": other})
    two = tree(disk, "two", {"deep/er/c": same, "d": os.urandom(SIZE)})
    copy = os.path.join(two, "deep/er/c")
    before = os.stat(copy)
    found = share(one, two, method=method)

    assert (found.files, found.shared, found.failures) == (1, SIZE, ())
    assert places(copy) == places(os.path.join(one, "a"))
    assert places(os.path.join(two, "d")) != places(os.path.join(one, "b"))
    with open(copy, "rb") as file:
        assert file.read() == same
    assert os.stat(copy).st_mtime_ns == before.st_mtime_ns
    assert os.stat(copy).st_ctime_ns == before.st_ctime_ns


def test_what_was_predicted_is_what_is_saved(disk: str) -> None:
    """Of four files with two places on the disk, half goes; the disk agrees, and a second run finds nothing to do."""
    data = os.urandom(4 << 20)
    one = tree(disk, "one", {"a": data})
    two = tree(disk, "two", {"a": data})
    for root in (one, two):
        subprocess.run(["cp", "--reflink=always", f"{root}/a", f"{root}/b"], check=True)
    before = used(disk)
    predicted = share(one, two, dry_run=True)

    assert used(disk) == before
    real = share(one, two)
    assert real == predicted
    assert real.saved == len(data)
    assert abs(before - used(disk) - real.saved) < 1 << 20
    assert share(one, two) == Sharing(shared=3 * len(data))


def test_a_large_file_is_shared_whole(disk: str) -> None:
    """The kernel does a part at a time."""
    data = os.urandom(1 << 20) * 40
    one, two = (tree(disk, name, {"f": data}) for name in ("one", "two"))

    assert share(one, two).shared == len(data)
    assert places(os.path.join(one, "f")) == places(os.path.join(two, "f"))


def test_files_of_one_size_that_differ_in_the_middle(disk: str) -> None:
    """With `size` the kernel alone decides, and what differs stays apart."""
    data = bytearray(os.urandom(1 << 20) * 20)
    one = tree(disk, "one", {"f": bytes(data)})
    data[-5] ^= 1
    two = tree(disk, "two", {"f": bytes(data)})
    share(one, two, method="size")

    with open(os.path.join(two, "f"), "rb") as file:
        assert file.read() == data


def test_links_names_and_special_files(disk: str) -> None:
    """A file with two names is one file; links, pipes and empty files are none."""
    data = os.urandom(SIZE)
    root = tree(disk, "one", {"a": data, "empty": b"", "other-empty": b""})
    os.link(f"{root}/a", f"{root}/b")
    os.symlink("a", f"{root}/link")
    os.mkfifo(f"{root}/pipe")

    assert share(root) == Sharing()


def test_snapshots_count_as_nothing(btrfs_disk: str) -> None:
    """What a snapshot shares with its origin nobody has deduplicated."""
    folder = tempfile.mkdtemp(dir=btrfs_disk)
    origin, copy = f"{folder}/origin", f"{folder}/copy"
    subprocess.run(["btrfs", "-q", "subvolume", "create", origin], check=True)
    tree(folder, "origin", {"f": os.urandom(SIZE)})
    subprocess.run(["btrfs", "-q", "subvolume", "snapshot", origin, copy], check=True)

    assert share(origin, copy) == Sharing()


def test_elsewhere_nothing_happens(tmp_path: Path) -> None:
    """A file system that cannot share is left alone after one question."""
    root = tree(str(tmp_path), "one", {"a": b"x" * SIZE, "b": b"x" * SIZE})
    search = Duplicates()
    if search.add(root):
        pytest.skip("the temporary directory is on a file system that shares blocks")

    assert not search.add(root)
    assert search.share() == Sharing()


def test_a_directory_on_another_disk_inside_is_passed_over(xfs_disk: str, btrfs_disk: str) -> None:
    """What is mounted in a tree is not part of it, and files of different disks stay as they are."""
    data = os.urandom(SIZE)
    one, other = (tree(tempfile.mkdtemp(dir=disk), "one", {"f": data}) for disk in (xfs_disk, btrfs_disk))
    os.mkdir(f"{one}/inside")
    subprocess.run(["mount", "--bind", other, f"{one}/inside"], check=True)
    try:
        assert share(one) == Sharing()
        assert share(one, other) == share(one, other, dry_run=True) == Sharing()
    finally:
        subprocess.run(["umount", f"{one}/inside"], check=True)


def test_there_is_no_other_method() -> None:
    """The error lists those that there are."""
    with pytest.raises(InvalidOption, match="invalid hash method: md5") as told:
        Duplicates("md5")
    assert "crc, size, sha256" in told.value.hint
