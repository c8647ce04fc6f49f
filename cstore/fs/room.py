"""Leaving space for others: a write of unknown size stops before the disk is full.

An archive may unpack to a thousand times its size without saying so. A limit on that ratio would refuse valid layers
with large files of zeros, so the limit is the space on the disk.
"""

from __future__ import annotations

import errno
import os

from cstore.errors import SystemFailure

LEFT, FILES_LEFT = 64 << 20, 4096
"""Bytes and inodes to leave free; on a small file system, a twentieth of it."""
_SHARE = 20
_HARMLESS = 16 << 20
"""Bytes that may always be written, down to the last block, so that a small layer that fits is accepted."""


class RoomWatch:
    """Watches the free space of a file system while something is written to it."""

    def __init__(self, fd: int, action: str, path: str) -> None:
        """`fd` is open on that file system; `action` and `path` are for messages, such as `unpack into`, PATH."""
        self._fd, self._action, self._path = fd, action, path
        self._written = 0

    def writing(self, count: int) -> None:
        """Check that enough space will be left after `count` more bytes.

        Raises:
            SystemFailure: too little space would be left.
        """
        self._written += count
        if self._written < _HARMLESS:
            return
        try:
            found = os.fstatvfs(self._fd)
        except OSError:
            return
        free, wanted = found.f_bavail * found.f_frsize, min(LEFT, found.f_blocks * found.f_frsize // _SHARE)
        if free < wanted:
            raise self._failure(f"{free} bytes", f"{wanted}")
        wanted = min(FILES_LEFT, found.f_files // _SHARE)
        if found.f_favail < wanted:
            raise self._failure(f"{found.f_favail} inodes", f"{wanted}")

    def _failure(self, free: str, wanted: str) -> SystemFailure:
        hint = f"{free} are free, and cstore leaves {wanted} to others; free some space and try again"
        return SystemFailure(self._action, self._path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), hint=hint)
