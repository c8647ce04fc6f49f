"""Accessing files of a store: from one of its top directories down, through no symbolic link, with the right type.

A *top* is a root of the store or one of the driver's directories; an administrator may have made it a link. Nothing
below it may be one. A file is examined before it is opened, because opening a device has side effects, and again
afterwards. It is opened without blocking, and an unreasonably large one is not read.

Code that opens a store declares its tops here, once. From then on, every function of this module walks a path below a
top from a descriptor of the top, one directory at a time: a directory that is replaced with a link at any moment is
refused, never followed. Paths outside all tops have their usual meaning.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.presence import mode_despite
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
"""Maximum size in bytes of a small text file of a store."""

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
    """Declare directories, given by absolute paths, as tops: no link is followed below them from now on."""
    _tops.update(tops)


def _parts_below_top(path: str) -> tuple[str, list[str]]:
    """Split a path into the nearest top at or above it and the names below; no names if it is below no top."""
    end = len(path.rstrip("/"))
    while end > 0:
        if path[:end] in _tops:
            return path[:end], [name for name in path[end:].split("/") if name]
        end = path.rfind("/", 0, end)
    return path, []


def open_folder(path: str, flags: int = _FOLDER) -> int:
    """Open a directory for lookups or, with suitable `flags`, for reading; the caller closes it.

    Raises:
        OSError: as open(2); ENOTDIR if it, or something between a top and it, is a link or another non-directory.
    """
    top, names = _parts_below_top(path)
    if not names:
        return os.open(path or ".", flags | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _descend(top, os.open(top, _FOLDER), names, flags)
    except errors.ForeignThing as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), error.path) from None


def _descend(path: str, fd: int, names: list[str], flags: int = _FOLDER) -> int:
    """Walk down from an open directory, which is closed; open the last one with `flags`."""
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
    """Close a descriptor that was used only for lookups or reading.

    Errors, which network file systems report here, are ignored: they would make a successful rename look failed.
    """
    try:
        os.close(fd)
    except OSError:
        return


class _While(Generic[_T]):
    """A context manager that keeps a descriptor open. Importing `contextlib` would take too long."""

    def __init__(self, given: _T, fd: int | None) -> None:
        self._given, self._fd = given, fd

    def __enter__(self) -> _T:
        return self._given

    def __exit__(self, *_: object) -> None:
        if self._fd is not None:
            leave(self._fd)


def parent_of(top: str, relative: str) -> AbstractContextManager[tuple[int, str]]:
    """Open the parent directory of `relative`, below `top`; yields its descriptor and the last component.

    Raises:
        ForeignThing: a component on the way is not a directory.
        OSError: as open(2).
    """
    *folders, name = relative.split("/")
    real, above = _parts_below_top(top)
    fd = _descend(real, os.open(real or ".", _FOLDER), [*above, *folders])
    return _While((fd, name), fd)


def holder(path: str) -> AbstractContextManager[tuple[int | None, str]]:
    """Yield arguments that name `path` for a system call, through no link below a top: an open directory and a name.

    If no link is possible between a top and the name, the directory is None and the name is the whole path.

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
    """Yield an equivalent path, through no link below a top, for calls that take no directory descriptor.

    Raises:
        OSError: as `open_folder`.
    """
    fd, name = _held(path)
    return _While(path if fd is None else f"/proc/self/fd/{fd}/{name}", fd)


def mkdir(path: str, mode: int = 0o700) -> None:
    """Create a directory. This and all functions below raise OSError."""
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
    """Give a file another name; symbolic links are not followed."""
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
    """Open the regular file `relative` below `top`; the caller closes it. `limit` is its maximum size in bytes.

    Raises:
        ForeignThing: it, or a component on the way, has another type, or the file is larger.
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
    """Open a file without updating its access time if permitted, that is, for its owner and for root."""
    if flags & os.O_ACCMODE == os.O_RDONLY:
        try:
            return os.open(name, flags | os.O_NOATIME, dir_fd=folder)
        except PermissionError:
            pass
    return os.open(name, flags, mode, dir_fd=folder)


def read_small(top: str, relative: str, limit: int = SMALL) -> bytes:
    """Read all of a small file below `top`.

    Raises:
        ForeignThing: it has another type, or is larger than `limit` bytes.
        OSError: as open(2).
    """
    fd = open_file(top, relative, limit=limit)
    try:
        return os.read(fd, limit)
    finally:
        leave(fd)


def is_file(top: str, relative: str) -> bool:
    """Return whether `relative`, below `top`, is a regular file and everything on the way a directory.

    Raises:
        SystemFailure: it cannot be examined.
    """
    return stat.S_ISREG(_mode_of(top, relative))


def is_directory(top: str, relative: str) -> bool:
    """Return whether `relative`, below `top`, is a directory, and so is everything on the way.

    Raises:
        SystemFailure: it cannot be examined.
    """
    return stat.S_ISDIR(_mode_of(top, relative))


def _mode_of(top: str, relative: str) -> int:
    """Return the `st_mode` of the file; 0 if it does not exist or the way to it is no directory."""
    try:
        with parent_of(top, relative) as (folder, name):
            return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except errors.ForeignThing:
        return 0
    except OSError as error:
        return mode_despite(error, os.path.join(top, relative))


def require_directory(top: str, relative: str, *, missing: bool = False) -> None:
    """Check that `relative`, below `top`, is a directory; with `missing`, it may be missing.

    Raises:
        ForeignThing: it, or a component on the way, is something else.
        FileNotFoundError: it does not exist, and must not be `missing`.
        OSError: it cannot be examined.
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
    """Create the directory `relative` below `top`, and missing directories on the way.

    Raises:
        ForeignThing: it, or a component on the way, is something else.
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
        ForeignThing: it, or a component on the way, is something else.
        OSError: as open(2).
    """
    real, above = _parts_below_top(top)
    fd = _descend(real, os.open(real or ".", _FOLDER), [*above, *relative.split("/")], os.O_RDONLY)
    try:
        return os.listdir(fd)
    finally:
        leave(fd)


def names_in(top: str, relative: str = "") -> list[str]:
    """List a directory below `top`, or `top` itself, sorted; [] if it is not a directory.

    Raises:
        SystemFailure: it cannot be read.
    """
    try:
        return sorted(list_directory(top, relative) if relative else os.listdir(top))
    except errors.ForeignThing:
        return []
    except OSError as error:
        mode_despite(error, os.path.join(top, relative))
        return []


def read_link(top: str, relative: str) -> str:
    """Read the symbolic link `relative` below `top`, without following it.

    Raises:
        ForeignThing: a component on the way is not a directory.
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
    """Return the file that an error names; "" if it names none, or only a descriptor of a directory."""
    name = error.filename
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else ""
