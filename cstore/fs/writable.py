"""Whether a directory is writable, without writing to it."""

from __future__ import annotations

import os

from cstore import presence


def is_writable(path: str) -> bool:
    """Return whether the directory `path`, or its nearest existing parent, is writable for this process."""
    path = nearest_directory(path)
    try:
        read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False
    return not read_only and os.access(path, os.W_OK | os.X_OK)


def on_read_only_media(path: str) -> bool:
    """Return whether the directory `path`, or its nearest existing parent, is on a read-only file system."""
    try:
        return bool(os.statvfs(nearest_directory(path)).f_flag & os.ST_RDONLY)
    except OSError:
        return False  # the next access will report the error


def nearest_directory(path: str) -> str:
    """Return the directory itself, or its nearest existing parent that this process can see."""
    while not (presence.can_be_seen(path) and presence.is_directory(path)) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path
