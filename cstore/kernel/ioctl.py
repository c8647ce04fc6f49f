"""Requests to a file system about one file: clone its data, read or set its flags."""

from __future__ import annotations

import struct
from fcntl import ioctl

_FICLONE = 0x40049409
_LONG = struct.calcsize("l")
_FS_IOC_GETFLAGS = 0x80006601 | _LONG << 16
_FS_IOC_SETFLAGS = 0x40006602 | _LONG << 16

FLAG_APPEND_ONLY = 0x20
FLAG_IMMUTABLE = 0x10


def clone_file(source_fd: int, target_fd: int) -> None:
    """Make the file at `target_fd` share all data blocks of the one at `source_fd`.

    Raises:
        OSError: EOPNOTSUPP, ENOTTY or EXDEV where the file system cannot; EINVAL for files that it will not share.
    """
    ioctl(target_fd, _FICLONE, source_fd)


def file_flags(fd: int) -> int:
    """Return the flags that chattr(1) sets: FLAG_IMMUTABLE, FLAG_APPEND_ONLY and others.

    Raises:
        OSError: ENOTTY or EOPNOTSUPP where the file system has none.
    """
    # The request is defined with a long, but file systems write an int: leave room for either.
    return int(struct.unpack("i", ioctl(fd, _FS_IOC_GETFLAGS, bytes(_LONG))[:4])[0])


def set_file_flags(fd: int, flags: int) -> None:
    """Replace the flags that `file_flags` reads.

    Raises:
        OSError: EPERM without the capability to change the immutable and append-only flags.
    """
    ioctl(fd, _FS_IOC_SETFLAGS, struct.pack("i", flags).ljust(_LONG, b"\0"))
