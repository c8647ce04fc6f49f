"""Whether anything can be written below a directory at all, found out without writing."""

from __future__ import annotations

import os


def is_writable(path: str) -> bool:
    """Whether the file system of a directory, or of the nearest one above it, takes changes, and takes them from us."""
    while not os.path.isdir(path):
        above = os.path.dirname(path)
        if above == path:
            return False
        path = above
    try:
        read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False
    return not read_only and os.access(path, os.W_OK | os.X_OK)
