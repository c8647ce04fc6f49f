"""How much a tree holds, and how old it is."""

from __future__ import annotations

import errno
import os
import stat

from cstore.errors import SystemFailure
from cstore.fs.tree.trail import Trail, open_root
from cstore.fs.within import file_of
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    T = TypeVar("T")
    Failed = Callable[[str, OSError], None]


class Usage(Value):
    """The contents of a tree, each inode counted once.

    Attributes:
        bytes: the lengths of everything but directories; holes count, the length of a link is that of its target's
        name. inodes: all of them, the root included.
    """

    bytes: int
    inodes: int


def usage(path: str) -> Usage:
    """Measure the directory `path` as the Go tool does (drivers 10), but without what is mounted inside.

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
            return look(status for _, status in entries(trail))
        except OSError as error:
            raise SystemFailure("measure", trail.where(file_of(error)), error) from None


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


def entries(
    trail: Trail, failed: Failed | None = None, seen: set[tuple[int, int]] | None = None
) -> Iterator[tuple[str, os.stat_result]]:
    """Go over everything in the tree: its name in the directory that the trail is in then, and its status.

    The root comes first; its name is "". What cannot be read is told to `failed`, with its path, and passed over;
    without `failed` it ends the walk, unless somebody removed it just now. A directory is given when the trail is in
    it; with `failed`, one on which another file system is mounted is not. Directories in `seen`, by device and inode,
    are passed over; others go into it.

    Raises:
        OSError: a directory cannot be read; the file name is that in the trail's directory.
    """
    yield "", os.fstat(trail.here)
    pending = [_listed(trail, failed)]
    while pending:
        directories, others = pending[-1]
        yield from others
        others.clear()
        if directories:
            name = directories.pop()
            try:
                status = os.stat(name, dir_fd=trail.here, follow_symlinks=False)
            except OSError as error:
                _pass_over(trail, name, error, failed)
                continue
            key = status.st_dev, status.st_ino
            if seen is not None:
                if key in seen:
                    continue
                seen.add(key)
            entered = _enter(trail, name, failed)
            if entered is not None or failed is None:
                yield name, status
            if entered:
                pending.append(_listed(trail, failed))
            continue
        pending.pop()
        if pending:
            trail.up()


def _pass_over(trail: Trail, name: str, error: OSError, failed: Failed | None) -> None:
    if failed is not None:
        failed(trail.where(name), error)
    elif not isinstance(error, FileNotFoundError):
        raise error


def _enter(trail: Trail, name: str, failed: Failed | None) -> bool | None:
    """Go into a directory; False if that may not be, None if something is mounted there.

    What is mounted is not part of the tree, and what it hides cannot be seen.
    """
    try:
        trail.down(name)
    except OSError as error:
        mounted = error.errno == errno.EXDEV
        if not mounted or failed is not None:
            _pass_over(trail, name, error, failed)
        return None if mounted else False
    return True


def _listed(trail: Trail, failed: Failed | None) -> tuple[list[str], list[tuple[str, os.stat_result]]]:
    """The names of the directories in this one, and all else."""
    directories: list[str] = []
    others: list[tuple[str, os.stat_result]] = []
    try:
        with os.scandir(trail.here) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    directories.append(entry.name)
                    continue
                try:
                    others.append((entry.name, entry.stat(follow_symlinks=False)))
                except OSError as error:
                    _pass_over(trail, entry.name, error, failed)
    except OSError as error:
        _pass_over(trail, "", error, failed)
    return directories, others
