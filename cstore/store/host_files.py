"""Copies a layer's file into host files that are not regular files.

Devices, pipes and files that the shell has opened stay what they are. As root, a careless rename would replace
/dev/null with a regular file.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from cstore.errors import InvalidOption, SystemFailure
from cstore.fs.closing import opened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.fs.tree.copy_entries import Owner, Plan

_WRITE = os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 20
_SECONDS_FOR_A_READER = 2.0


def place_through(
    source_fd: int, copy: int | Callable[[Plan, int, str], None], source: str, target: str, owner: Owner, *, sync: bool
) -> bool:
    """Write into a device or a pipe, or through a link; return whether the target was one of these.

    Args:
        source_fd: the source, open to read its contents.
        copy: how to make a copy of it; see `place_file`.
        source: what to call the source.
        target: a path of the host that is no directory.
        owner: whose the file shall be.
        sync: whether a new file's bytes shall be on the disk before it has its name.

    Raises:
        InvalidOption: it is a dangling link, or as `write_into`.
        SystemFailure: it cannot be written.
    """
    from cstore.fs.tree.merge import place_file
    from cstore.store.result_files import is_replaceable

    is_link = os.path.islink(target)
    if not os.path.lexists(target):
        return False
    if is_link and not os.path.exists(target):
        raise InvalidOption(f"{target} is a dangling link", hint="remove it, or give another target")
    if not is_replaceable(target):
        write_into(source_fd, source, target)
        return True
    if is_link:
        folder, last = os.path.split(os.path.realpath(target))
        with opened(folder, os.O_RDONLY | os.O_DIRECTORY) as folder_fd:
            place_file(source, copy, folder_fd, last, owner, sync=sync)
    return is_link


def write_into(source_fd: int, source: str, target: str) -> None:
    """Write an open file into the file at `target`, as `cp` does.

    Raises:
        InvalidOption: the source is not a regular file, or no process reads from the pipe at `target`.
        SystemFailure: it cannot be read or written.
    """
    if not stat.S_ISREG(os.fstat(source_fd).st_mode):
        raise InvalidOption(
            f"{source} is not a regular file, so it cannot be written to {target}", hint="give another target"
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
    """Open the target for writing; for a pipe, wait for a short time until a process reads it."""
    end = time.monotonic() + _SECONDS_FOR_A_READER
    while True:
        try:
            return os.open(target, _WRITE)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(os.stat(target).st_mode):
                raise SystemFailure("open", target, error) from error
        if time.monotonic() > end:
            raise InvalidOption(f"no process reads from the pipe {target}", hint="start the reader first")
        time.sleep(0.02)
