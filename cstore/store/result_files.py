"""Open a result file: a regular file is replaced as a whole, anything else is written directly."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress

from cstore import presence
from cstore.errors import InvalidOption, SystemFailure
from cstore.fs.atomic import sync_directory
from cstore.fs.closing import opened
from cstore.fs.parts import clear_parts, hold, make_part, part_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_LINKS = 40
"""The kernel's limit."""


@contextmanager
def result_at(path: str, *, sync: bool) -> Iterator[int]:
    """Open the file for a result; yield a descriptor.

    Args:
        path: a regular file is replaced at the end of the block, and keeps its mode; if the block raises, it stays.
        sync: whether the result must survive a power cut on return.

    Raises:
        SystemFailure: the file cannot be created or written.
    """
    if "\0" in path:
        raise InvalidOption(f"{path!r} is not a path: it contains a zero byte")
    if not is_replaceable(path):
        with opened(path, os.O_WRONLY) as descriptor:
            yield descriptor
        return
    path = os.path.realpath(path)
    clear_parts(path)
    descriptor, beside = _nameless(os.path.dirname(path)), ""
    try:
        if descriptor < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            beside, descriptor = make_part(path, lambda part: os.open(part, flags, 0o666))
    except OSError as error:
        raise SystemFailure("create", path, error) from error
    try:
        yield descriptor
        _publish(descriptor, beside, path, sync=sync)
    except BaseException:
        if beside:
            with suppress(FileNotFoundError):  # it may be renamed already
                os.unlink(beside)
        raise
    finally:
        os.close(descriptor)


def is_replaceable(path: str) -> bool:
    """Return whether `path` is, or will be, a regular file with a name of its own.

    Files in /dev and /proc are not, nor the targets of links there: /dev/stdout is what the shell has opened. /dev/shm
    is for ordinary files.

    Raises:
        SystemFailure: this cannot be determined.
    """
    place = path
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(place)
        place = os.path.join(os.path.realpath(folder), name)
        if place.startswith(("/dev/", "/proc/")) and not place.startswith("/dev/shm/"):  # noqa: S108  - nothing is created there
            return False
        if not presence.is_link(place):
            break
        place = os.path.join(os.path.dirname(place), os.readlink(place))
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise SystemFailure("open", path, error) from error


def _nameless(folder: str) -> int:
    """Open an unnamed file, which disappears if its writer is killed; -1 if the system does not support this."""
    if not presence.is_directory("/proc/self/fd"):  # without /proc, it could not get a name
        return -1
    try:
        return os.open(folder or ".", os.O_WRONLY | os.O_TMPFILE | os.O_CLOEXEC, 0o666)
    except OSError:
        return -1


def _give_name(descriptor: int, path: str) -> None:
    """Name an unnamed file: directly if the name is free, so that it never has another one."""
    hold(descriptor)
    here = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in (path, *part_names(path)):
            try:
                os.link(str(descriptor), name, src_dir_fd=here, follow_symlinks=True)
            except FileExistsError:
                continue
            try:
                if name != path:
                    os.rename(name, path)
            except OSError:
                os.unlink(name)
                raise
            return
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    finally:
        os.close(here)


def _publish(descriptor: int, beside: str, path: str, *, sync: bool) -> None:
    """Name a finished file; `beside` is its temporary name, or "" if it has none."""
    try:
        if presence.exists(path):
            os.fchmod(descriptor, stat.S_IMODE(os.stat(path).st_mode))
        if sync:
            os.fsync(descriptor)
        if beside:
            os.rename(beside, path)
        else:
            _give_name(descriptor, path)
        if sync:
            sync_directory(os.path.dirname(path) or ".")
    except OSError as error:
        raise SystemFailure("write", path, error) from error
