"""Whether something is at a path: "no" is an answer only if nothing can be there.

`os.path.exists` and its kin also say "no" where the disk fails, memory is short or a directory may not be searched.
A "no" of that kind makes a writer skip a step, and a check call something missing. Here it is an error.
"""

from __future__ import annotations

import errno
import os
import stat

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
"""What the kernel says where nothing is, or where links lead nowhere."""


def mode_at(path: str | bytes, *, follow: bool = False) -> int:
    """The type and permissions of what is at a path, as in `st_mode`; 0 if nothing is there.

    Raises:
        SystemFailure: it cannot be looked at.
    """
    try:
        return os.stat(path, follow_symlinks=follow).st_mode
    except ValueError:  # no path has a NUL
        return 0
    except OSError as error:
        return mode_despite(error, path)


def mode_despite(error: OSError, path: str | bytes) -> int:
    """What an error of stat(2), or of opening the directories on the way, tells of the mode of what is at a path.

    Raises:
        SystemFailure: nothing.
    """
    if error.errno in _ABSENT:
        return 0
    if error.errno == errno.ENOTCONN:
        return stat.S_IFDIR  # a mount point, whose program is dead
    from cstore.errors import SystemFailure

    raise SystemFailure("look at", os.fsdecode(path), error) from error


def is_there(path: str | bytes) -> bool:
    """Whether something has this path, be it a link that leads nowhere. Raises SystemFailure as `mode_at`."""
    return mode_at(path) != 0


def exists(path: str | bytes) -> bool:
    """Whether a path leads to something. Raises SystemFailure as `mode_at`."""
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


def is_directory(path: str | bytes) -> bool:
    """Whether a path leads to a directory. Raises SystemFailure as `mode_at`."""
    return stat.S_ISDIR(mode_at(path, follow=True))


def is_file(path: str | bytes) -> bool:
    """Whether a path leads to a regular file. Raises SystemFailure as `mode_at`."""
    return stat.S_ISREG(mode_at(path, follow=True))


def is_link(path: str | bytes) -> bool:
    """Whether a symbolic link is at a path. Raises SystemFailure as `mode_at`."""
    return stat.S_ISLNK(mode_at(path))


def is_mount_point(path: str) -> bool:
    """Whether another file system begins at a path, as device numbers tell. Raises SystemFailure as `mode_at`."""
    try:
        here, above = os.lstat(path), os.lstat(os.path.join(path, os.pardir))
    except OSError as error:
        return mode_despite(error, path) != 0
    return not stat.S_ISLNK(here.st_mode) and (here.st_dev != above.st_dev or here.st_ino == above.st_ino)
