"""Record locks that belong to an open file, not to a process (fcntl "OFD" locks), always over the whole file.

They conflict with the classic POSIX record locks that other programs take on the same file, in both directions. Unlike
those, they are not lost when some other descriptor of the file is closed, and two threads exclude one another.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

_FLOCK = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length (0 = to infinity), pid (must be 0 here)


def _request(kind: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0)


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
    """Give the lock up. Closing the last descriptor of the open file does the same."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_UNLCK))


def conflicting_process(fd: int, *, exclusive: bool) -> int | None:
    """Say who stands in the way of a lock on the open file `fd`.

    Returns:
        None if nobody does; a process ID; -1 if a lock of this kind does, which names nobody; 0 if the process lives in
        another PID namespace.
    """
    kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
    answer = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _request(kind)))
    return None if answer[0] == fcntl.F_UNLCK else int(answer[4])
