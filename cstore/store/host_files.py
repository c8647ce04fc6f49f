"""Files of the host that are no regular files and get what a layer's file has.

A device, a pipe, and what the shell has opened stay what they are. As root, a careless rename would put a regular file
in the place of /dev/null.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from cstore.errors import InvalidOption, SystemFailure

_WRITE = os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 20
_SECONDS_FOR_A_READER = 2.0


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
