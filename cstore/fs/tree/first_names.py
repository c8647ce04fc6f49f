"""The first names of files with several names, in a copy without a link room.

A link room would remain after a kill, in a directory that others use and nobody sweeps.
"""

from __future__ import annotations

import errno
import os

from cstore.fs.scoped import open_beneath

_LOST = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EMLINK})
"""Errors if the first name was removed, or leads elsewhere by now, or the file has too many names."""


class FirstNames:
    """Links further names to first ones below an open directory. Methods raise OSError."""

    def __init__(self, root_fd: int) -> None:
        self._root = root_fd
        self._found: dict[str, tuple[bytes, str, tuple[int, int]]] = {}

    def note(self, file: str, folder_fd: int, name: str) -> None:
        """Record the name that a file of the source got."""
        try:
            status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        except FileNotFoundError:
            return  # a device, which cannot be created in a user namespace
        root, folder = (os.readlink(f"/proc/self/fd/{fd}") for fd in (self._root, folder_fd))
        below = os.path.relpath(folder, root)
        self._found[file] = os.fsencode(below), name, (status.st_dev, status.st_ino)

    def link(self, file: str, folder_fd: int, name: str) -> bool:
        """Give a copied file another name; False if it was not copied, or its first name no longer exists."""
        if file not in self._found:
            return False
        below, first, identity = self._found[file]
        try:
            fd = open_beneath(self._root, below, os.O_PATH | os.O_DIRECTORY)
            try:
                status = os.stat(first, dir_fd=fd, follow_symlinks=False)
                if (status.st_dev, status.st_ino) != identity:
                    return False
                os.link(first, name, src_dir_fd=fd, dst_dir_fd=folder_fd, follow_symlinks=False)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in _LOST:
                return False
            raise
        return True
