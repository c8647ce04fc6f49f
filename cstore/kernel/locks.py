"""Record locks owned by an open file description (fcntl "OFD" locks), always on the whole file.

They conflict with the POSIX record locks that other programs take on the same file. Unlike those, they survive when
another descriptor of the file is closed, and they exclude threads from each other.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys

_ALL = bytes(30)
"""What follows the two-byte type in struct flock on 64-bit systems: whence (2, here the start of the file), a gap
(4), start and length (8 each; length 0 is to infinity), process ID (4; 0 in a request), a gap (4). The `struct` module
would be one more import in every command that locks."""
_HOLDER = slice(24, 28)


def _request(kind: int) -> bytes:
    return kind.to_bytes(2, sys.byteorder) + _ALL


def try_lock(fd: int, *, exclusive: bool) -> bool:
    """Take the lock if it is free; return whether it was.

    Raises:
        OSError: EBADF if the descriptor has the wrong mode (writing if exclusive, else reading), ENOLCK.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK))
    except OSError as error:
        if error.errno in {errno.EAGAIN, errno.EACCES}:
            return False
        raise
    return True


def take(fd: int, path: str, *, exclusive: bool = True) -> bool:
    """Lock an open file if it is free and still the one at `path`; return whether it is locked. If not, close it.

    A sweeping process may have removed the file between our opening and our locking it.

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
    """Return whether an open file or directory is still the one at `path`. Raises OSError as lstat(2)."""
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def wait_lock(fd: int, *, exclusive: bool) -> None:
    """Wait for the lock in the kernel's queue. Only a signal handler that raises interrupts the wait.

    Raises:
        OSError: as `try_lock`.
    """
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _request(fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK))


def unlock(fd: int) -> None:
    """Release the lock. Closing the last descriptor of the open file does the same."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_UNLCK))


def conflicting_process(fd: int, *, exclusive: bool) -> int | None:
    """Find the process whose lock conflicts with one on the open file `fd`.

    Returns:
        None if there is no conflict; else a process ID, -1 for an OFD lock, which has no process ID, or 0 for a process
            in another PID namespace.
    """
    kind = fcntl.F_WRLCK if exclusive else fcntl.F_RDLCK
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _request(kind))
    if int.from_bytes(answer[:2], sys.byteorder) == fcntl.F_UNLCK:
        return None
    return int.from_bytes(answer[_HOLDER], sys.byteorder, signed=True)
