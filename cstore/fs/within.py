"""Access to files in a store: from one of its top directories down, through no symbolic link, to the right type.

A *top* is a root of the store, or one of the driver's own directories in it; an administrator may have made it a link.
Nothing below it may be one. A file is looked at before it is opened, because opening a device is an act of its own, and
once more afterwards; it is opened without blocking, and one of no sane size is not read.

Who opens a store declares its tops here, once. From then on every path below one of them is walked from a descriptor of
the top, one directory at a time, by whatever function of this module it is given to: a directory that somebody swaps
for a link at any moment is refused, never followed. A path below no top means what it means to the kernel.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.values import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from typing import TypeVar

    _T = TypeVar("_T")
else:
    _T = None


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


_tops: set[str] = set()


def declare_tops(tops: Iterable[str]) -> None:
    """Declare directories, given by absolute paths, as tops: from now on, no link is followed below them."""
    _tops.update(tops)


def _parts_below_top(path: str) -> tuple[str, list[str]]:
    """Split a path into the nearest top at or above it and the names below that; no names if it is below no top."""
    end = len(path.rstrip("/"))
    while end > 0:
        if path[:end] in _tops:
            return path[:end], [name for name in path[end:].split("/") if name]
        end = path.rfind("/", 0, end)
    return path, []


def open_folder(path: str, flags: int = _FOLDER) -> int:
    """Open a directory by its path, to look things up in or, with `flags`, to read; the caller closes it.

    Raises:
        OSError: as open(2); ENOTDIR if it, or something between a top and it, is a link or anything else.
    """
    top, names = _parts_below_top(path)
    if not names:
        return os.open(path or ".", flags | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _descend(top, os.open(top, _FOLDER), names, flags)
    except errors.ForeignThing as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.path) from None


def _descend(path: str, fd: int, names: list[str], flags: int = _FOLDER) -> int:
    """Go down from an open directory, which is closed; the last one is opened with `flags`."""
    try:
        for number, name in enumerate(names, 1):
            path = os.path.join(path, name)
            wanted = flags | os.O_DIRECTORY | os.O_CLOEXEC if number == len(names) else _FOLDER
            try:
                below = os.open(name, wanted | os.O_NOFOLLOW, dir_fd=fd)
            except OSError as error:
                if error.errno in {errno.ENOTDIR, errno.ELOOP}:
                    _require(path, os.stat(name, dir_fd=fd, follow_symlinks=False), stat.S_IFDIR)
                raise
            leave(fd)
            fd = below
    except BaseException:
        leave(fd)
        raise
    return fd


def leave(fd: int) -> None:
    """Close a directory used for lookups, or a file that was only read.

    Ignores errors: network file systems return one here, which would make a rename that succeeded look failed.
    """
    try:
        os.close(fd)
    except OSError:
        return


class _While(Generic[_T]):
    """Gives something for as long as a descriptor is open, if there is one. `contextlib` is long in coming."""

    def __init__(self, given: _T, fd: int | None) -> None:
        self._given, self._fd = given, fd

    def __enter__(self) -> _T:
        return self._given

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            leave(self._fd)


def parent_of(top: str, relative: str) -> AbstractContextManager[tuple[int, str]]:
    """Open the directory of `relative`, below `top`; return its descriptor and the last part of the path.

    Raises:
        ForeignThing: a parent is not a directory.
        OSError: as open(2).
    """
    *folders, name = relative.split("/")
    real, above = _parts_below_top(top)
    fd = _descend(real, os.open(real or ".", _FOLDER), [*above, *folders])
    return _While((fd, name), fd)


def holder(path: str) -> AbstractContextManager[tuple[int | None, str]]:
    """Return an open directory and a name in it, which name `path` without following a link below a top.

    Without a directory, and with the whole path, if no link is possible between a top and the name.

    Raises:
        OSError: as `open_folder`.
    """
    fd, name = _held(path)
    return _While((fd, name), fd)


def _held(path: str) -> tuple[int | None, str]:
    folder, name = os.path.split(path.rstrip("/"))
    return (open_folder(folder), name) if _parts_below_top(folder)[1] else (None, path)


def open_path(path: str, flags: int, mode: int = 0o600) -> int:
    """Open a file of any type, as open(2) does; the caller closes it. Raises OSError."""
    with holder(path) as (folder, name):
        return os.open(name, flags | os.O_CLOEXEC, mode, dir_fd=folder)


def path_past_links(path: str) -> AbstractContextManager[str]:
    """Return an equivalent path for calls that take no directory, without a link below a top.

    Raises:
        OSError: as `open_folder`.
    """
    fd, name = _held(path)
    return _While(path if fd is None else f"/proc/self/fd/{fd}/{name}", fd)


def mkdir(path: str, mode: int = 0o700) -> None:
    """Make a directory. It and all that follow here raise OSError."""
    with holder(path) as (folder, name):
        os.mkdir(name, mode, dir_fd=folder)


def unlink(path: str) -> None:
    """Remove a file."""
    with holder(path) as (folder, name):
        os.unlink(name, dir_fd=folder)


def rmdir(path: str) -> None:
    """Remove an empty directory."""
    with holder(path) as (folder, name):
        os.rmdir(name, dir_fd=folder)


def rename(old: str, new: str) -> None:
    """Rename a file or directory."""
    with holder(old) as (source, was), holder(new) as (target, name):
        os.rename(was, name, src_dir_fd=source, dst_dir_fd=target)


def link(old: str, new: str) -> None:
    """Rename a file; does not follow a link."""
    with holder(old) as (source, was), holder(new) as (target, name):
        os.link(was, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)


def listdir(path: str) -> list[str]:
    """List a directory."""
    fd = open_folder(path, os.O_RDONLY)
    try:
        return os.listdir(fd)
    finally:
        leave(fd)


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
        fd = open_quietly(name, flags | _FILE, mode, folder)
    try:
        _require(path, os.fstat(fd), stat.S_IFREG, limit)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_quietly(name: str, flags: int, mode: int, folder: int | None) -> int:
    """Open a file, to read without a trace in its access time where that is allowed: to its owner, and to root."""
    if flags & os.O_ACCMODE == os.O_RDONLY:
        try:
            return os.open(name, flags | os.O_NOATIME, dir_fd=folder)
        except PermissionError:
            pass
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
        leave(fd)


def is_file(top: str, relative: str) -> bool:
    """Whether `relative`, below `top`, is a regular file, and everything on the way to it a directory."""
    try:
        with parent_of(top, relative) as (folder, name):
            return stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except (errors.ForeignThing, OSError):
        return False


def is_directory(top: str, relative: str, *, certain: bool = False) -> bool:
    """Whether `relative`, below `top`, is a directory, and everything on the way to it too.

    Raises:
        OSError: it is unknown, and the answer must be `certain`.
    """
    try:
        require_directory(top, relative)
    except (errors.ForeignThing, FileNotFoundError):
        return False
    except OSError:
        if certain:
            raise
        return False
    return True


def require_directory(top: str, relative: str, *, missing: bool = False) -> None:
    """Make sure that `relative`, below `top`, is a directory; with `missing` it need not be there.

    Raises:
        ForeignThing: it, or something on the way, is something else.
        FileNotFoundError: it is not there, and not allowed to be `missing`.
        OSError: one cannot be examined.
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
        with parent_of(top, part) as (folder, name):
            try:
                os.mkdir(name, mode, dir_fd=folder)
            except FileExistsError:
                continue
    require_directory(top, relative)


def list_directory(top: str, relative: str) -> list[str]:
    """List the directory `relative` below `top`.

    Raises:
        ForeignThing: it, or something on the way, is something else.
        OSError: as open(2).
    """
    real, above = _parts_below_top(top)
    fd = _descend(real, os.open(real or ".", _FOLDER), [*above, *relative.split("/")], os.O_RDONLY)
    try:
        return os.listdir(fd)
    finally:
        leave(fd)


def names_in(top: str, relative: str = "") -> list[str]:
    """List a directory below `top`, or `top` itself, sorted; empty if it is not a directory, or cannot be read."""
    try:
        return sorted(list_directory(top, relative) if relative else os.listdir(top))
    except (OSError, errors.ForeignThing):
        return []


def read_link(top: str, relative: str) -> str:
    """Read the target of the symbolic link `relative` below `top`.

    Raises:
        ForeignThing: a parent is not a directory.
        OSError: as readlink(2).
    """
    with parent_of(top, relative) as (folder, name):
        return os.readlink(name, dir_fd=folder)


def _require(path: str, status: os.stat_result, wanted: int, limit: int = 0) -> None:
    found = stat.S_IFMT(status.st_mode)
    if found != wanted:
        raise errors.ForeignThing(path, _NAMES.get(found, "something unknown"), _NAMES[wanted])
    if limit and status.st_size > limit:
        raise errors.ForeignThing(path, f"a file of {status.st_size} bytes", f"one of at most {limit} bytes")


def file_of(error: OSError) -> str:
    """The file that an error names; "" if none, or only a descriptor, by which directories are read."""
    name = error.filename
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else ""
