"""Files of the host that results go to: which may be replaced, and which are only written into.

A device, a pipe, and what the shell has opened stay what they are. As root, a careless rename would put a regular file
in the place of /dev/null.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from cstore.errors import InvalidOption, SystemFailure

_MOST_LINKS = 40
"""As many as the kernel follows."""
_WRITE = os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 20
_SECONDS_FOR_A_READER = 2.0


def is_replaceable(path: str) -> bool:
    """Whether `path` is, or shall be, a regular file with a name of its own.

    Nothing in /dev or /proc is, nor what a link leads to there: /dev/stdout means what the shell has opened. /dev/shm
    is for files.

    Raises:
        SystemFailure: nobody can tell.
    """
    place = path
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(place)
        place = os.path.join(os.path.realpath(folder), name)
        if place.startswith(("/dev/", "/proc/")) and not place.startswith("/dev/shm/"):  # noqa: S108  - nothing is made there unasked
            return False
        if not os.path.islink(place):
            break
        place = os.path.join(os.path.dirname(place), os.readlink(place))
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise SystemFailure("open", path, error) from error


def write_into(source_fd: int, source: str, target: str) -> None:
    """Write an open file into what is at `target`, as `cp` does.

    Raises:
        InvalidOption: the source is no regular file, or nobody reads from the pipe at `target`.
        SystemFailure: it cannot be read or written.
    """
    if not stat.S_ISREG(os.fstat(source_fd).st_mode):
        raise InvalidOption(
            f"{source} is no regular file, so it cannot be written into {target}", hint="give another target"
        )
    target_fd = _opened(target)
    try:
        os.set_blocking(target_fd, True)
        while block := os.read(source_fd, _BLOCK):
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(target_fd, rest) :]
    except OSError as error:
        raise SystemFailure("write to", target, error) from error
    finally:
        os.close(target_fd)


def _opened(target: str) -> int:
    """Open what is written into; for a pipe, wait a little until somebody reads it, but not forever."""
    end = time.monotonic() + _SECONDS_FOR_A_READER
    while True:
        try:
            return os.open(target, _WRITE)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(target).st_mode):
                raise SystemFailure("open", target, error) from error
        if time.monotonic() > end:
            raise InvalidOption(f"nobody reads from the pipe {target}", hint="start what reads from it first")
        time.sleep(0.02)
