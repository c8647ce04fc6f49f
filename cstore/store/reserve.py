"""A reserve of disk space for deletions on a full disk, because they write records before they free space.

    GRAPH/cstore-reserve/    0700
    ├── space                0600  of SIZE bytes plus twice the record files; truncated when it is needed
    └── 1 … INODES           0600  empty files to delete where inodes are limited

It has no lock, because releasing and refilling it may happen twice or by half. The file is truncated, not only
unlinked, because XFS frees the space of an unlinked file later, but that of a truncated one immediately.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.contexts import contextmanager, suppress
from cstore.fs import within
from cstore.traces import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.layout import Layout

SIZE = 1 << 20
INODES = 24
_SPACE, _NUMBERS = "space", [str(number) for number in range(1, INODES + 1)]
_PLENTY = 4
"""How many times the reserve's size must be free before it is created."""


@contextmanager
def kept_back(layout: Layout) -> Iterator[None]:
    """Create the reserve if it is missing and there is plenty of space. It matters only on a full disk."""
    with suppress(OSError, errors.ForeignThing):
        if not _is_there(layout) and not _short(layout, _PLENTY):
            _fill(layout)
    yield


@contextmanager
def given_up(layout: Layout) -> Iterator[None]:
    """If the disk is full, release the reserve during the context; refill it from the freed space afterwards."""
    used = False
    with suppress(OSError):
        used = _short(layout, 1)
        if used:
            trace("the disk is full: what is done now may use the reserve in %s", layout.reserve)
            _empty(layout)
    try:
        yield
    finally:
        if used:
            with suppress(OSError, errors.ForeignThing):
                _fill(layout)


def _is_there(layout: Layout) -> bool:
    top, name = os.path.split(layout.reserve)
    try:
        fd = within.open_file(top, f"{name}/{_SPACE}")
    except FileNotFoundError:
        return False
    try:
        return os.fstat(fd).st_size > 0
    finally:
        os.close(fd)


def _wanted(layout: Layout) -> int:
    """Return the size of the reserve in bytes."""
    records = 0
    for path in (layout.stable_layers, layout.stable_images, layout.stable_containers):
        with suppress(OSError):
            records = max(records, os.stat(path).st_size)
    return SIZE + 2 * records


def _short(layout: Layout, times: int) -> bool:
    """Return whether less than this multiple of the reserve is free."""
    free = os.statvfs(layout.graph_root)
    inodes = bool(free.f_files) and free.f_favail < times * INODES
    return inodes or free.f_bavail * free.f_frsize < times * _wanted(layout)


def _empty(layout: Layout) -> None:
    top, folder = os.path.split(layout.reserve)
    with suppress(OSError, errors.ForeignThing):
        fd = within.open_file(top, f"{folder}/{_SPACE}", os.O_WRONLY)
        try:
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)
    for number in _NUMBERS:
        with suppress(OSError, errors.ForeignThing), within.parent_of(top, f"{folder}/{number}") as (place, name):
            os.unlink(name, dir_fd=place)


def _fill(layout: Layout) -> None:
    top, folder = os.path.split(layout.reserve)
    within.make_directories(top, folder)
    for number in _NUMBERS:
        os.close(within.open_file(top, f"{folder}/{number}", os.O_WRONLY | os.O_CREAT))
    fd = within.open_file(top, f"{folder}/{_SPACE}", os.O_WRONLY | os.O_CREAT)
    try:
        os.posix_fallocate(fd, 0, _wanted(layout))
    except OSError:
        os.ftruncate(fd, 0)  # all or nothing: leave the remaining space to other processes
    finally:
        os.close(fd)
