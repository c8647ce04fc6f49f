"""Copy a layer's file to a path on the host that is not a regular file.

Devices, pipes and redirected files of the shell are written, not replaced. As root, a careless rename would replace
/dev/null by a regular file.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from cstore import presence
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
    """Write into a device or a pipe, or through a link; return whether the target was one.

    Args:
        source_fd: the source, open for reading.
        copy: creates a copy of it; see `place_file`.
        source: the source's name in messages.
        target: a path on the host that is not a directory.
        owner: maps the file's owner.
        sync: whether to sync a new file before it gets its name.

    Raises:
        InvalidOption: the target is a dangling link, or as for `write_into`.
        SystemFailure: the target cannot be written.
    """
    from cstore.fs.tree.merge import place_file
    from cstore.store.result_files import is_replaceable

    is_link = presence.is_link(target)
    if not presence.is_there(target):
        return False
    if is_link and not presence.exists(target):
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
    """Write an open file to the existing `target`, as `cp` does.

    Raises:
        InvalidOption: the source is not a regular file, or no process reads from the pipe at `target`.
        SystemFailure: the source cannot be read, or the target not written.
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
    """Open the target; for a pipe, wait a short time for a reader."""
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
