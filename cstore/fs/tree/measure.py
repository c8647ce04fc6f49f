"""The size and age of a tree."""

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
    """The size of a tree; each inode counts once.

    Attributes:
        bytes: the lengths of all files except directories, including holes; a link's length is that of its target.
        inodes: the number of inodes, including the root.
    """

    bytes: int
    inodes: int


def usage(path: str) -> Usage:
    """Measure the directory `path` as the Go tool does (drivers 10), but without mounts inside it.

    Raises:
        SystemFailure: a directory cannot be read.
    """
    return _walk(path, _count)


def newest_change(path: str) -> int:
    """Return the newest ctime of the directory `path` and everything in it, in nanoseconds.

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
    """Yield everything in the tree: its name, in the directory that the trail is in at that moment, and its status.

    The root comes first, with the name "". If something cannot be read, `failed` is called with its path, and it is
    skipped; without `failed`, the walk ends, unless the file was just removed. A directory is yielded once the trail is
    in it; with `failed`, directories on which a file system is mounted are not. Directories in `seen`, by device and
    inode, are skipped; others are added to it.

    Raises:
        OSError: a directory cannot be read; `filename` is relative to the trail's directory.
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
    """Enter a directory; return False if that failed, None if a file system is mounted there.

    A mount does not belong to the tree, and the directory below it is not visible.
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
    """Return the names of the subdirectories, and all other entries with their status."""
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
