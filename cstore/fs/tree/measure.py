"""How much a tree holds, and how old it is."""

from __future__ import annotations

import errno
import os
import stat

from cstore.errors import SystemFailure
from cstore.fs.tree.trail import Trail, open_root
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")


class Usage(Value):
    """What a tree holds, each inode counted once.

    Attributes:
        bytes: the lengths of everything but directories; holes count, the length of a link is that of its target's
        name. inodes: all of them, the root included.
    """

    bytes: int
    inodes: int


def usage(path: str) -> Usage:
    """Measure the directory `path` as the peer does (drivers 10), but without what is mounted inside.

    Raises:
        SystemFailure: a directory cannot be read.
    """
    return _walk(path, _count)


def newest_change(path: str) -> int:
    """Say when the directory `path` or anything in it was last changed: the newest ctime, in ns.

    Raises:
        SystemFailure: a directory cannot be read.
    """
    return _walk(path, lambda statuses: max(status.st_ctime_ns for status in statuses))


def _walk(path: str, look: Callable[[Iterator[os.stat_result]], T]) -> T:
    try:
        root = open_root(path)
    except OSError as error:
        raise SystemFailure("open", path, error) from None
    with Trail(path, root, quiet=True) as trail:
        try:
            return look(_statuses(trail))
        except OSError as error:
            raise SystemFailure("measure", trail.where(os.fsdecode(error.filename or "")), error) from None


def _count(statuses: Iterator[os.stat_result]) -> Usage:
    size, inodes = 0, 0
    seen: set[tuple[int, int]] = set()
    for status in statuses:
        inodes += 1
        if stat.S_ISDIR(status.st_mode):
            continue
        if status.st_nlink > 1:
            key = status.st_dev, status.st_ino
            if key in seen:
                inodes -= 1
                continue
            seen.add(key)
        size += status.st_size
    return Usage(size, inodes)


def _statuses(trail: Trail) -> Iterator[os.stat_result]:
    """Go over everything in the tree, the root included."""
    yield os.fstat(trail.here)
    pending = [_directories_and_others(trail.here)]
    while pending:
        directories, others = pending[-1]
        yield from others
        others.clear()
        if directories:
            name = directories.pop()
            yield os.stat(name, dir_fd=trail.here, follow_symlinks=False)
            if _enter(trail, name):
                pending.append(_directories_and_others(trail.here))
            continue
        pending.pop()
        if pending:
            trail.up()


def _enter(trail: Trail, name: str) -> bool:
    try:
        trail.down(name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False  # what is mounted there is not part of the tree, and what it hides cannot be seen
    return True


def _directories_and_others(fd: int) -> tuple[list[str], list[os.stat_result]]:
    directories, others = [], []
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                others.append(entry.stat(follow_symlinks=False))
    return directories, others
