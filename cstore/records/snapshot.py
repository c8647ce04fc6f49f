"""Read a consistent state of several files without a lock.

Record files are only replaced by renaming. So if every path still leads to the file that was read after all of them
were read, there was a moment when all of them were current.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.fs import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

Identity = tuple[int, int, int, int]
"""Device, inode, size in bytes, modification time in ns: they differ after every write."""

_ATTEMPTS = 100
_BLOCK = 1 << 20
_LARGEST = 1 << 27
_NOT_OURS = {errno.EACCES, errno.EPERM}
"""Errors that mean a lack of permission, not damage."""


def identity_of(status: os.stat_result) -> Identity:
    """Return the part of a file's status that differs from those of its successors."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def identity_at(path: str) -> Identity | None:
    """Return the identity of the file at `path`; None if it does not exist.

    Raises:
        SystemFailure: its status cannot be read.
    """
    try:
        return identity_of(os.lstat(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise errors.SystemFailure("look at", path, error) from None


def read_file(path: str) -> tuple[bytes, Identity | None]:
    """Read one record file; a missing one has no bytes and no identity.

    Raises:
        RecordsDamaged: it is not a regular file, or is too large.
        SystemFailure: it cannot be read.
    """
    try:
        _refuse_other_types(path, os.lstat(path).st_mode)  # opening a device may have side effects
        fd = _open_quietly(path)
    except FileNotFoundError:
        return b"", None
    except OSError as error:
        raise errors.SystemFailure("read", path, error) from None
    try:
        status = os.fstat(fd)
        _refuse_other_types(path, status.st_mode)
        if status.st_size > _LARGEST:
            raise errors.RecordsDamaged(path, f"it has {status.st_size} bytes, more than the records of any store")
        return _read_all(fd, status.st_size), identity_of(status)
    except OSError as error:
        raise errors.SystemFailure("read", path, error) from None
    finally:
        os.close(fd)


def _refuse_other_types(path: str, mode: int) -> None:
    if stat.S_ISLNK(mode):
        raise errors.RecordsDamaged(path, "it is a symbolic link")
    if not stat.S_ISREG(mode):
        raise errors.RecordsDamaged(path, "it is not a regular file")


def _open_quietly(path: str) -> int:
    """Open a file for reading, without updating its access time if permitted: for its owner and root."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    with within.holder(path) as (folder, name):
        return within.open_quietly(name, flags, 0, folder)


def _read_all(fd: int, size: int) -> bytes:
    data = os.read(fd, size + 1)
    if len(data) == size:
        return data
    parts = [data]
    while part := os.read(fd, _BLOCK):
        parts.append(part)
    return b"".join(parts)


def read_together(paths: Sequence[str]) -> list[tuple[bytes, Identity | None]]:
    """Read a consistent state of all `paths`.

    Raises:
        RecordsDamaged: a file is not a regular file, or is too large.
        SystemFailure: a file cannot be read, or they keep changing.
    """
    for _ in range(_ATTEMPTS):
        contents = [read_file(path) for path in paths]
        if all(_unchanged(path, *content) for path, content in zip(paths, contents, strict=True)):
            return contents
        from cstore.traces import trace

        trace("read %s again, which changed meanwhile", paths[0])
    raise errors.SystemFailure("read a consistent state of", paths[0], OSError(errno.EAGAIN, ""), hint="try again")


def read_readable(paths: Sequence[str]) -> tuple[list[tuple[bytes, Identity | None]], dict[str, errors.RecordsDamaged]]:
    """Read a consistent state of the readable files of `paths`; return their contents, and the errors of the others.

    Raises:
        SystemFailure: they keep changing, or this process has no permission to read them.
    """
    try:
        return read_together(paths), {}
    except errors.CstoreError:
        unreadable = {path: flaw for path in paths if (flaw := _flaw_in_reading(path))}
        if not unreadable:
            raise
    readable = [path for path in paths if path not in unreadable]
    contents = dict(zip(readable, read_together(readable), strict=True))
    return [contents.get(path, (b"", None)) for path in paths], unreadable


def _flaw_in_reading(path: str) -> errors.RecordsDamaged | None:
    try:
        read_file(path)
    except errors.RecordsDamaged as error:
        return error
    except errors.SystemFailure as error:
        if error.errno in _NOT_OURS:
            raise
        return errors.RecordsDamaged(path, error.message)
    return None


def _unchanged(path: str, data: bytes, identity: Identity | None) -> bool:
    return identity_at(path) == identity and (identity is None or len(data) == identity[2])
