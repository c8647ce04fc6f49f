"""Temporary files and directories beside a destination; the next run removes what a killed one left.

        .cstore-<hash of the name>-<number>.part      a file or directory, locked while its creator lives

Several processes may create the same destination at once, each with its own number.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from cstore.contexts import suppress
from cstore.errors import SystemFailure
from cstore.kernel.locks import is_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SEVERAL = 8
"""How many numbers are tried. Any further process uses a random name, which stays if that process is killed."""
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def clear_parts(path: str) -> None:
    """Remove what dead processes of this user left while they were creating `path`.

    Nothing is removed if another user could have given such a name to one of our files.
    """
    with suppress(OSError, SystemFailure):  # it is gone already, or cannot be removed
        folder = os.stat(os.path.dirname(path) or ".")
        if folder.st_uid == os.geteuid() or folder.st_mode & stat.S_ISVTX:
            for part in part_names(path):
                _clear(part)


def hold(fd: int) -> None:
    """Lock an open part; while it is open, it is not removed."""
    with suppress(OSError):  # without locks, a part of a dead process cannot be told from a live one, and stays
        fcntl.flock(fd, fcntl.LOCK_EX)


def make_part(path: str, make: Callable[[str], int]) -> tuple[str, int]:
    """Create a part beside `path`; return its name and an open descriptor, which keeps it locked.

    `make` is called with a path; it creates and opens the part there, or raises FileExistsError if the path exists.

    Raises:
        OSError: it cannot be created.
    """
    for part in part_names(path):
        with suppress(FileExistsError):
            fd = make(part)
            hold(fd)
            if is_at(fd, part):
                return part, fd
            os.close(fd)  # another process removed it before it was locked
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


def part_names(path: str) -> list[str]:
    """Return names for a part of `path`, in the order in which to try them."""
    from hashlib import sha256

    folder, name = os.path.split(path)
    word = sha256(os.fsencode(name)).hexdigest()[:16]
    numbers = [*map(str, range(_SEVERAL)), os.urandom(6).hex()]
    return [os.path.join(folder, f".cstore-{word}-{number}.part") for number in numbers]


def _clear(part: str) -> None:
    from cstore.fs.tree.remove import remove_tree

    try:
        status = os.lstat(part)
    except FileNotFoundError:
        return
    if status.st_uid != os.geteuid() or not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        return
    fd = os.open(part, _LOOK)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # its creator is alive
        if not is_at(fd, part):
            return
        if stat.S_ISDIR(status.st_mode):
            remove_tree(part)
        else:
            os.unlink(part)
    finally:
        os.close(fd)
