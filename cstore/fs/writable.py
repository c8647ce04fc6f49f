"""Whether anything can be written below a directory at all, found out without writing."""

from __future__ import annotations

import os

from cstore import presence


def is_writable(path: str) -> bool:
    """Whether the file system of a directory, or of the nearest one above it, takes changes, and takes them from us."""
    path = nearest_directory(path)
    try:
        read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False
    return not read_only and os.access(path, os.W_OK | os.X_OK)


def on_read_only_media(path: str) -> bool:
    """Whether the file system of a directory, or of the nearest one above it, takes no changes from anybody."""
    try:
        return bool(os.statvfs(nearest_directory(path)).f_flag & os.ST_RDONLY)
    except OSError:
        return False  # whoever goes on will hear why


def nearest_directory(path: str) -> str:
    """The directory itself, or the nearest one above it that is there, as far as this process can see."""
    while not (presence.can_be_seen(path) and presence.is_directory(path)) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path
