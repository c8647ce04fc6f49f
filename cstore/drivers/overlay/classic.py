"""Overlay mounts with mount(2), for kernels before 6.5: all options form one text of at most a page."""

from __future__ import annotations

import errno
import os
from functools import partial

from cstore.contexts import ExitStack
from cstore.drivers.overlay.mount import refusal
from cstore.drivers.overlay.options import NAME
from cstore.kernel import mount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.drivers.overlay.mount import SortedOptions, Stack


def mount_classically(stack: Stack, options: SortedOptions, target: str) -> None:
    """Mount a stack.

    Raises:
        DriverError: the kernel refuses the mount, or even the short names of the lower directories do not fit.
    """
    data = options_text(stack, options)
    try:
        if _fits(data):
            mount.mount(NAME, target, NAME, options.flags, data)
        else:
            _mount_by_numbers(stack, options, target)
    except OSError as error:
        raise refusal(stack, target, error) from None
    if options.propagation:
        mount.mount("", target, flags=options.propagation)


def options_text(stack: Stack, options: SortedOptions) -> str:
    """Return all options of a mount in the format of mount(2)."""
    return _data(stack, options, [_escaped(lower, ":") for lower in stack.lowers])


def _data(stack: Stack, options: SortedOptions, lowers: Sequence[str]) -> str:
    parts = [f"lowerdir={':'.join(lowers)}"]
    if stack.upper:
        parts += [f"upperdir={_escaped(stack.upper)}", f"workdir={_escaped(stack.work)}"]
    return ",".join([*parts, *options.data])


def _escaped(path: str, also: str = "") -> str:
    for character in "\\," + also:
        path = path.replace(character, "\\" + character)
    return path


def _fits(data: str) -> bool:
    return len(os.fsencode(data)) < os.sysconf("SC_PAGESIZE")


def _mount_by_numbers(stack: Stack, options: SortedOptions, target: str) -> None:
    """Mount from within /proc/self/fd, where each lower directory has a short name.

    A worker process does it, because this changes the working directory; its mount is visible to this process, too.
    """
    from cstore.fs.worker import run_workers

    with ExitStack() as opened:
        fds = []
        for lower in stack.lowers:
            fds.append(os.open(lower, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            opened.callback(os.close, fds[-1])
        data = _data(stack, options, [str(fd) for fd in fds])
        if not _fits(data):
            raise OSError(errno.E2BIG, f"its mount options take {len(data)} bytes, and the kernel accepts a page")
        job = partial(_mount_there, target, options.flags, data)
        number = run_workers([job], keep=set(fds))[0]
    if number:
        raise OSError(number, os.strerror(number))


def _mount_there(target: str, flags: int, data: str) -> int:
    try:
        os.chdir("/proc/self/fd")
        mount.mount(NAME, target, NAME, flags, data)
    except OSError as error:
        return error.errno or errno.EIO
    return 0
