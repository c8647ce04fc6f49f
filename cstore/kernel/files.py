"""File calls beyond the os module: openat2, renameat2, syncfs."""

from __future__ import annotations

import os
import sys

from cstore.kernel.libc import call, system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_SYS_OPENAT2 = 437
"""Numbers from 424 on are the same on every architecture."""

_SYNC_FILE_RANGE_WRITE = 2
AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_FALLOC_FL_KEEP_SIZE = 1
_FALLOC_FL_PUNCH_HOLE = 2


_made: list[Callable[..., int]] = []
"""The openat2 system call, once it is prepared."""


def openat2(dir_fd: int, path: bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """Open `path` below `dir_fd` under the RESOLVE_* rules; the descriptor is always close-on-exec.

    `mode` matters only with O_CREAT or O_TMPFILE, as in open(2).

    Raises:
        OSError: EXDEV if the path leaves its boundary, ELOOP at a forbidden link, EAGAIN if a concurrent rename made
            the result uncertain, ENOSYS before Linux 5.6, and what open(2) raises.
    """
    creating = flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE
    if b"\0" in path:
        raise ValueError("embedded null byte")
    fields = flags | os.O_CLOEXEC, mode if creating else 0, resolve
    how = b"".join(field.to_bytes(8, sys.byteorder) for field in fields)  # struct open_how
    if not _made:
        from ctypes import c_char_p, c_long

        _made.append(system_call(_SYS_OPENAT2, c_long, c_char_p, c_char_p, c_long))
    return _made[0](dir_fd, path, how, len(how))


def punch_hole(fd: int, offset: int, size: int) -> None:
    """Free the disk space of a part of a file, which then reads as zeros.

    Raises:
        OSError: EOPNOTSUPP where the file system cannot, and what fallocate(2) raises.
    """
    from ctypes import c_int, c_long

    call("fallocate", fd, c_int(_FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE), c_long(offset), c_long(size))


def rename_exchange(old: str, new: str, dir_fd: int = AT_FDCWD, new_dir_fd: int | None = None) -> None:
    """Exchange two existing paths in one step; relative ones start at `dir_fd`, `new` at `new_dir_fd` if given.

    Raises:
        OSError: EINVAL or ENOSYS where the file system or kernel cannot, and what rename(2) raises.
    """
    _rename(old, new, _RENAME_EXCHANGE, dir_fd, dir_fd if new_dir_fd is None else new_dir_fd)


def rename_noreplace(old: str, new: str) -> None:
    """Rename `old` to `new` unless `new` exists.

    Raises:
        OSError: EEXIST if it does; EINVAL or ENOSYS where the file system or kernel cannot; what rename(2) raises.
    """
    _rename(old, new, _RENAME_NOREPLACE, AT_FDCWD, AT_FDCWD)


def _rename(old: str, new: str, flags: int, dir_fd: int, new_dir_fd: int) -> None:
    try:
        call("renameat2", dir_fd, os.fsencode(old), new_dir_fd, os.fsencode(new), flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, old, None, new) from None


def syncfs(fd: int) -> None:
    """Write the whole file system that contains `fd` to disk.

    Raises:
        OSError: a write failed, now or since the last syncfs through a descriptor as old as `fd`.
    """
    call("syncfs", fd)


def start_writing(fd: int) -> None:
    """Ask the kernel to start writing a file's dirty pages, without waiting. Errors are ignored: this is a hint."""
    from ctypes import c_int64

    from cstore.contexts import suppress

    with suppress(OSError):
        call("sync_file_range", fd, c_int64(0), c_int64(0), _SYNC_FILE_RANGE_WRITE)


_STATX = "80x qI4x 160x"
"""struct statx: only the birth time, in seconds and nanoseconds."""
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_BTIME = 0x800
_NANOSECONDS = 1_000_000_000


def birth_time(path: bytes) -> int:
    """Return a file's birth time in nanoseconds since 1970; 0 if its file system records none. Follows no link."""
    import struct
    from ctypes import create_string_buffer

    found = create_string_buffer(struct.calcsize(_STATX))
    try:
        call("statx", AT_FDCWD, path, _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, found)
    except OSError:
        return 0
    seconds, nanoseconds = struct.unpack(_STATX, found.raw)
    return int(seconds * _NANOSECONDS + nanoseconds)
