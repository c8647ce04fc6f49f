"""Record locks that belong to an open file, not to a process (fcntl "OFD" locks), always over the whole file.

They conflict with the classic POSIX record locks that other programs take on the same file, in both directions. Unlike
those, they are not lost when some other descriptor of the file is closed, and two threads exclude one another.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys

_ALL = bytes(30)
"""What follows the type, two bytes, in struct flock on 64-bit systems: whence (2, here from the beginning), a gap (4),
start and length (8 each; 0 is to infinity), process ID (4; 0 in a question), a gap (4). `struct` would be one library
more to load, in every command that locks."""
_HOLDER = slice(24, 28)


def _request(kind: int) -> bytes:
    return kind.to_bytes(2, sys.byteorder) + _ALL


def try_lock(fd: int, *, exclusive: bool) -> bool:
    """Take the lock if it is free; say whether it was.

    Raises:
        OSError: EBADF if the descriptor was not opened for it (writing if exclusive, else reading), ENOLCK.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK))
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        raise
    return True


def take(fd: int, path: str, *, exclusive: bool = True) -> bool:
    """Lock an open file if it is free and still the one at `path`; say whether. Else, or after an error, it is closed.

    Whoever sweeps may have had the file in hand between our opening and our locking it, and have removed it.

    Raises:
        OSError: as `try_lock`, or as lstat(2).
    """
    ours = False
    try:
        ours = try_lock(fd, exclusive=exclusive) and is_at(fd, path)
    finally:
        if not ours:
            os.close(fd)
    return ours


def is_at(fd: int, path: str) -> bool:
    """Whether an open file or directory is still the one at `path`. Raises OSError as lstat(2)."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def wait_lock(fd: int, *, exclusive: bool) -> None:
    """Take the lock, waiting in the kernel's queue with all others. Only a signal handler that raises ends it early.

    Raises:
        OSError: as `try_lock`.
    """
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _request(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK))


def unlock(fd: int) -> None:
    """Release the lock. Closing the last descriptor of the open file does the same."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_UNLCK))


def conflicting_process(fd: int, *, exclusive: bool) -> int | None:
    """Return the holder of a conflicting lock on the open file `fd`.

    Returns:
        None if nobody does; a process ID; -1 if a lock of this kind does, which names nobody; 0 if the process lives in
        another PID namespace.
    """
    kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _request(kind))
    if int.from_bytes(answer[:2], sys.byteorder) == fcntl.F_UNLCK:
        return None
    return int.from_bytes(answer[_HOLDER], sys.byteorder, signed=True)
