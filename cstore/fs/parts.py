"""Partial files and directories next to their final path; the next process with the same target removes leftovers.

    .cstore-<hash of the name>-<number>.part      a file or a directory, locked for as long as its maker lives

Several may make the same at once, each under a number of its own.
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
"""How many are looked for. Those of more makers at once have random names, and stay if their makers are killed."""
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def clear_parts(path: str) -> None:
    """Remove what dead processes of this user were making to be put at `path`.

    Nothing is removed where another user could give such a name to what is ours.
    """
    with suppress(OSError, SystemFailure):  # it has just gone, or cannot be removed
        folder = os.stat(os.path.dirname(path) or ".")
        if folder.st_uid == os.geteuid() or folder.st_mode & stat.S_ISVTX:
            for part in part_names(path):
                _clear(part)


def hold(fd: int) -> None:
    """Lock what has such a name, or is going to: while it is open, it is not cleared."""
    with suppress(OSError):  # a file system without locks: a leftover cannot be detected there, and stays
        fcntl.flock(fd, fcntl.LOCK_EX)


def make_part(path: str, make: Callable[[str], int]) -> tuple[str, int]:
    """Create a file or directory next to `path`; return its name and an open descriptor, which holds its lock.

    `make` is called with a path; it opens what it creates there, and raises FileExistsError if the path exists.

    Raises:
        OSError: it cannot be made.
    """
    for part in part_names(path):
        with suppress(FileExistsError):
            fd = make(part)
            hold(fd)
            if is_at(fd, part):
                return part, fd
            os.close(fd)  # another process has cleared it before it was locked
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


def part_names(path: str) -> list[str]:
    """Return the first free partial name for `path`."""
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
            return  # its maker lives
        if not is_at(fd, part):
            return
        if stat.S_ISDIR(status.st_mode):
            remove_tree(part)
        else:
            os.unlink(part)
    finally:
        os.close(fd)
