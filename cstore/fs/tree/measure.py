"""How much a tree holds."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from cstore.errors import SystemFailure
from cstore.fs.tree.trail import Trail, open_root


class Usage(NamedTuple):
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
    try:
        root = open_root(path)
    except OSError as error:
        raise SystemFailure("open", path, error) from None
    with Trail(path, root, quiet=True) as trail:
        try:
            return _measure(trail)
        except OSError as error:
            raise SystemFailure("measure", trail.where(os.fsdecode(error.filename or "")), error) from None


def _measure(trail: Trail) -> Usage:
    size, inodes = 0, 1
    seen: set[tuple[int, int]] = set()
    pending = [_directories_and_others(trail.here)]
    while pending:
        directories, others = pending[-1]
        for status in others:
            key = status.st_dev, status.st_ino
            if status.st_nlink > 1 and key in seen:
                continue
            if status.st_nlink > 1:
                seen.add(key)
            size += status.st_size
            inodes += 1
        others.clear()
        if directories:
            inodes += 1
            if _enter(trail, directories.pop()):
                pending.append(_directories_and_others(trail.here))
            continue
        pending.pop()
        if pending:
            trail.up()
    return Usage(size, inodes)


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
