"""Clones share content, and the flags of chattr(1) are read and set."""

from __future__ import annotations

import errno
import os
import tempfile
from typing import TYPE_CHECKING

import pytest

from cstore.kernel import ioctl

if TYPE_CHECKING:
    from pathlib import Path


def test_clone_copies_or_says_that_it_cannot(tmp_path: Path) -> None:
    """Afterwards the target has the content, or nothing was written and the error says why."""
    (tmp_path / "a").write_bytes(b"x" * 10000)
    number, expected = 0, b"x" * 10000
    with open(tmp_path / "a", "rb") as source, open(tmp_path / "b", "wb") as target:
        try:
            ioctl.clone_file(source.fileno(), target.fileno())
        except OSError as error:
            number, expected = error.errno or -1, b""

    assert number in {0, errno.EOPNOTSUPP, errno.ENOTTY}
    assert (tmp_path / "b").read_bytes() == expected


@pytest.mark.usefixtures("needs_root")
def test_flags_hold_and_go(tmp_path: Path) -> None:
    """An immutable file cannot be unlinked, even by root, until the flag is cleared."""
    path = tmp_path / "file"
    path.write_bytes(b"")
    fd = os.open(path, os.O_RDONLY)
    try:
        before = ioctl.file_flags(fd)
        ioctl.set_file_flags(fd, before | ioctl.FLAG_IMMUTABLE)
    except OSError:
        os.close(fd)
        pytest.skip("this file system has no such flags")
    with pytest.raises(PermissionError):
        path.unlink()

    assert ioctl.file_flags(fd) & ioctl.FLAG_IMMUTABLE
    ioctl.set_file_flags(fd, before)
    assert ioctl.file_flags(fd) == before
    os.close(fd)
    path.unlink()


def test_extents_say_where_a_file_is(xfs_disk: str) -> None:
    """Holes have none, and a file may have more of them than fit one answer."""
    block, count = 4096, 300
    with tempfile.TemporaryFile(dir=xfs_disk, buffering=0) as file:
        file.truncate(count * 2 * block)  # or the file system would keep room behind each block
        for number in range(count):
            os.pwrite(file.fileno(), b"x" * block, number * 2 * block)
        found = ioctl.extents(file.fileno())

    assert [extent.logical for extent in found] == [number * 2 * block for number in range(count)]
    assert all(extent.length == block and extent.physical for extent in found)
    assert found[-1].flags & ioctl.EXTENT_LAST


def test_ranges_are_shared_only_if_they_are_equal(xfs_disk: str) -> None:
    """The kernel says how much; the target is as it was in either case."""
    size = 1 << 20
    with tempfile.TemporaryFile(dir=xfs_disk) as one, tempfile.TemporaryFile(dir=xfs_disk) as two:
        for file, last in ((one, b"a"), (two, b"b")):
            file.write(b"x" * (size - 1) + last)
            file.flush()
        source, target = one.fileno(), two.fileno()

        assert ioctl.share_range(source, target, 0, size // 2) == size // 2
        assert ioctl.share_range(source, target, 0, size) == 0
        assert os.pread(target, 1, size - 1) == b"b"
        with pytest.raises(OSError, match="Invalid argument"):
            ioctl.share_range(source, source, 0, size)
