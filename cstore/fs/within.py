"""The way to what lies in a store: from one of its top directories down, past no symbolic link, to the right type.

A *top* is a root of the store, or one of the driver's own directories in it; an administrator may have made it a link.
Nothing below it may be one. A file is looked at before it is opened, because opening a device is an act of its own, and
once more afterwards; it is opened without blocking, and one of no sane size is not read.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress

from cstore.errors import ForeignThing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SMALL = 1 << 20
"""Bytes that a small text file of a store has at most."""

_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NAMES = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a file",
}


@contextmanager
def parent_of(top: str, relative: str) -> Iterator[tuple[int, str]]:
    """Open the directory that holds `relative`, below `top`; give its descriptor and the last part of the path.

    Raises:
        ForeignThing: something on the way is no directory.
        OSError: as open(2).
    """
    *folders, name = relative.split("/")
    path, fd = top, os.open(top or ".", _FOLDER)
    try:
        for folder in folders:
            path = os.path.join(path, folder)
            _require(path, os.stat(folder, dir_fd=fd, follow_symlinks=False), stat.S_IFDIR)
            below = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
            os.close(fd)
            fd = below
        yield fd, name
    finally:
        os.close(fd)


def open_file(top: str, relative: str, flags: int = os.O_RDONLY, mode: int = 0o600, limit: int = 0) -> int:
    """Open the regular file `relative` below `top`; the caller closes it. With a `limit` it has at most so many bytes.

    Raises:
        ForeignThing: there is something else, also on the way, or the file is larger.
        OSError: as open(2).
    """
    path = os.path.join(top, relative)
    with parent_of(top, relative) as (folder, name):
        try:
            _require(path, os.stat(name, dir_fd=folder, follow_symlinks=False), stat.S_IFREG)
        except FileNotFoundError:
            if not flags & os.O_CREAT:
                raise
        fd = _open(name, flags | _FILE, mode, folder)
    try:
        _require(path, os.fstat(fd), stat.S_IFREG, limit)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open(name: str, flags: int, mode: int, folder: int) -> int:
    """Open a file, to read without a trace in its access time where that is allowed: to its owner, and to root."""
    if flags & os.O_ACCMODE == os.O_RDONLY:
        with suppress(PermissionError):
            return os.open(name, flags | os.O_NOATIME, dir_fd=folder)
    return os.open(name, flags, mode, dir_fd=folder)


def read_small(top: str, relative: str, limit: int = SMALL) -> bytes:
    """Read a small file below `top` whole.

    Raises:
        ForeignThing: there is something else, or the file is larger than `limit` bytes.
        OSError: as open(2).
    """
    fd = open_file(top, relative, limit=limit)
    try:
        return os.read(fd, limit)
    finally:
        os.close(fd)


def is_file(top: str, relative: str) -> bool:
    """Whether `relative`, below `top`, is a regular file, and everything on the way to it a directory."""
    try:
        with parent_of(top, relative) as (folder, name):
            return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except (ForeignThing, OSError):
        return False


def is_directory(top: str, relative: str) -> bool:
    """Whether `relative`, below `top`, is a directory, and everything on the way to it too."""
    try:
        require_directory(top, relative)
    except (ForeignThing, OSError):
        return False
    return True


def require_directory(top: str, relative: str, *, missing: bool = False) -> None:
    """Make sure that `relative`, below `top`, is a directory; with `missing` it need not be there.

    Raises:
        ForeignThing: it, or something on the way, is something else.
        FileNotFoundError: it is not there, and not allowed to be `missing`.
        OSError: it cannot be looked at.
    """
    try:
        with parent_of(top, relative) as (folder, name):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        if missing:
            return
        raise
    _require(os.path.join(top, relative), status, stat.S_IFDIR)


def make_directories(top: str, relative: str, mode: int = 0o700) -> None:
    """Make the directory `relative` below `top`, and what is missing on the way to it.

    Raises:
        ForeignThing: it, or something on the way, is something else.
        OSError: as mkdir(2).
    """
    parts = relative.split("/")
    for end in range(1, len(parts) + 1):
        part = "/".join(parts[:end])
        with parent_of(top, part) as (folder, name), suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=folder)
    require_directory(top, relative)


def list_directory(top: str, relative: str) -> list[str]:
    """List the directory `relative` below `top`.

    Raises:
        ForeignThing: it, or something on the way, is something else.
        OSError: as open(2).
    """
    require_directory(top, relative)
    with parent_of(top, relative) as (folder, name):
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def names_in(top: str, relative: str = "") -> list[str]:
    """List a directory below `top`, or `top` itself, sorted; nothing if it is no directory, or cannot be read."""
    try:
        return sorted(list_directory(top, relative) if relative else os.listdir(top))
    except (OSError, ForeignThing):
        return []


def read_link(top: str, relative: str) -> str:
    """Read the symbolic link `relative` below `top`, without going where it leads.

    Raises:
        ForeignThing: something on the way is no directory.
        OSError: as readlink(2).
    """
    with parent_of(top, relative) as (folder, name):
        return os.readlink(name, dir_fd=folder)


def _require(path: str, status: os.stat_result, wanted: int, limit: int = 0) -> None:
    found = stat.S_IFMT(status.st_mode)
    if found != wanted:
        raise ForeignThing(path, _NAMES.get(found, "something unknown"), _NAMES[wanted])
    if limit and status.st_size > limit:
        raise ForeignThing(path, f"a file of {status.st_size} bytes", f"one of at most {limit} bytes")
