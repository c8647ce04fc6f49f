"""Test whether a path exists, and report an error if that cannot be determined.

`os.path.exists` and similar functions also return false after an I/O error, without enough memory, or without
permission for a directory. Then a writer would skip a step, and a check would report missing files. Here, these are
errors.
"""

from __future__ import annotations

import errno
import os
import stat

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""Errors for a path that does not exist, or leads through broken links."""


def mode_at(path: str | bytes, *, follow: bool = False) -> int:
    """Return the type and permissions of a path, as in `st_mode`; 0 if it does not exist.

    Raises:
        SystemFailure: its status cannot be read.
    """
    try:
        return os.stat(path, follow_symlinks=follow).st_mode
    except ValueError:  # the path contains a NUL
        return 0
    except OSError as error:
        return mode_despite(error, path)


def mode_despite(error: OSError, path: str | bytes) -> int:
    """Return the mode of a path that an error of stat(2), or of opening its directories, implies.

    Raises:
        SystemFailure: the error implies no mode.
    """
    if error.errno in _ABSENT:
        return 0
    if error.errno == errno.ENOTCONN:
        return stat.S_IFDIR  # a mount point whose mount program has died
    from cstore.errors import SystemFailure

    raise SystemFailure("look at", os.fsdecode(path), error) from error


def is_there(path: str | bytes) -> bool:
    """Return whether a path exists, even as a broken link. Raises SystemFailure as `mode_at`."""
    return mode_at(path) != 0


def exists(path: str | bytes) -> bool:
    """Return whether a path exists, following links. Raises SystemFailure as `mode_at`."""
    return mode_at(path, follow=True) != 0


def can_be_seen(path: str, *, follow: bool = False) -> bool:
    """Whether this process can find something at a path: what lies in a directory that it may not search is not seen.

    For paths of other users, among which one of our own is looked for. Raises SystemFailure as `mode_at`, but for that.
    """
    try:
        os.stat(path, follow_symlinks=follow)
    except (PermissionError, ValueError):
        return False
    except OSError as error:
        return mode_despite(error, path) != 0
    return True


def is_directory(path: str | bytes, *, follow: bool = True) -> bool:
    """Return whether a path leads to a directory, or is one if not `follow`. Raises SystemFailure as `mode_at`."""
    return stat.S_ISDIR(mode_at(path, follow=follow))


def is_file(path: str | bytes) -> bool:
    """Return whether a path leads to a regular file. Raises SystemFailure as `mode_at`."""
    return stat.S_ISREG(mode_at(path, follow=True))


def is_link(path: str | bytes) -> bool:
    """Return whether a path is a symbolic link. Raises SystemFailure as `mode_at`."""
    return stat.S_ISLNK(mode_at(path))


def is_mount_point(path: str) -> bool:
    """Return whether a path is a mount point, by its device number. Raises SystemFailure as `mode_at`."""
    try:
        here, above = os.lstat(path), os.lstat(os.path.join(path, os.pardir))
    except OSError as error:
        return mode_despite(error, path) != 0
    return not stat.S_ISLNK(here.st_mode) and (here.st_dev != above.st_dev or here.st_ino == above.st_ino)


def is_listed_there(entry: os.DirEntry[str]) -> bool:
    """Return whether a listed entry exists.

    Overlay lists the whiteouts of a directory that only one layer has, because it need not merge it, but a lookup then
    fails. Only devices, sockets and pipes cost a system call.

    Raises:
        OSError: the entry cannot be examined.
    """
    if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink():
        return True
    try:
        entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
