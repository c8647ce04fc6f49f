"""File requests to a file system: clone or share data, list extents, read or set flags."""

from __future__ import annotations

import os
import struct
from fcntl import ioctl

from cstore.values import Value

_FICLONE = 0x40049409
_FIDEDUPERANGE = 0xC0189436
_DEDUPE = struct.Struct("=QQHHIqQQiI")
"""struct file_dedupe_range followed by one struct file_dedupe_range_info."""

_FIEMAP = 0xC020660B
_FIEMAP_HEAD = struct.Struct("=QQIIII")
_FIEMAP_EXTENT = struct.Struct("=QQQQQIIII")
_EXTENTS_AT_ONCE = 128
_SYNC_FIRST = 1
_LONG = struct.calcsize("l")
_FS_IOC_GETFLAGS = 0x80006601 | _LONG << 16
_FS_IOC_SETFLAGS = 0x40006602 | _LONG << 16

FLAG_APPEND_ONLY = 0x20
FLAG_IMMUTABLE = 0x10


def clone_file(source_fd: int, target_fd: int) -> None:
    """Make the file at `target_fd` share all data blocks of the file at `source_fd`.

    Raises:
        OSError: EOPNOTSUPP, ENOTTY or EXDEV if the file system cannot share them; EINVAL for files that it refuses.
    """
    ioctl(target_fd, _FICLONE, source_fd)


def share_range(source_fd: int, target_fd: int, offset: int, length: int) -> int:
    """Make a range of the target share its blocks with the same range of the source, if their bytes are equal.

    The kernel compares them with both files locked; the target does not visibly change, not even its times.

    Returns:
        The number of bytes shared now, which may be fewer than `length`; 0 if the ranges differ.

    Raises:
        OSError: EOPNOTSUPP or ENOTTY if the file system cannot share; EXDEV for files on different file systems; EINVAL
            for a range that overlaps itself.
    """
    request = bytearray(_DEDUPE.pack(offset, length, 1, 0, 0, target_fd, offset, 0, 0, 0))
    ioctl(source_fd, _FIDEDUPERANGE, request)
    *_, shared, status, _ = _DEDUPE.unpack(request)
    if status < 0:
        raise OSError(-status, os.strerror(-status))
    return int(shared) if status == 0 else 0


EXTENT_LAST = 0x1
EXTENT_UNKNOWN = 0x2
EXTENT_DELAYED = 0x4
EXTENT_ENCODED = 0x8
EXTENT_INLINE = 0x200
EXTENT_SHARED = 0x2000


class Extent(Value):
    """A run of a file's bytes and its position on disk, all in bytes; flags are EXTENT_*."""

    logical: int
    physical: int
    length: int
    flags: int


def extents(fd: int) -> list[Extent]:
    """List the extents of a file; holes have none. Unwritten data is flushed first.

    Raises:
        OSError: EOPNOTSUPP or ENOTTY if the file system does not report extents.
    """
    found: list[Extent] = []
    start = 0
    while True:
        request = bytearray(_FIEMAP_HEAD.size + _EXTENTS_AT_ONCE * _FIEMAP_EXTENT.size)
        _FIEMAP_HEAD.pack_into(request, 0, start, (1 << 64) - 1 - start, _SYNC_FIRST, 0, _EXTENTS_AT_ONCE, 0)
        ioctl(fd, _FIEMAP, request)
        count = _FIEMAP_HEAD.unpack_from(request)[3]
        for number in range(count):
            logical, physical, length, _, _, flags, *_ = _FIEMAP_EXTENT.unpack_from(
                request, _FIEMAP_HEAD.size + number * _FIEMAP_EXTENT.size
            )
            found.append(Extent(logical, physical, length, flags))
        if not count or found[-1].flags & EXTENT_LAST:
            return found
        start = found[-1].logical + found[-1].length


def file_flags(fd: int) -> int:
    """Return the flags that chattr(1) sets: FLAG_IMMUTABLE, FLAG_APPEND_ONLY and others.

    Raises:
        OSError: ENOTTY or EOPNOTSUPP if the file system has no such flags.
    """
    # The request is defined with a long, but file systems write an int: leave room for either.
    return int(struct.unpack("i", ioctl(fd, _FS_IOC_GETFLAGS, bytes(_LONG))[:4])[0])


def set_file_flags(fd: int, flags: int) -> None:
    """Replace the flags that `file_flags` reads.

    Raises:
        OSError: EPERM without the capability to change the immutable and append-only flags.
    """
    ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("i", flags).ljust(_LONG, b"\0"))
