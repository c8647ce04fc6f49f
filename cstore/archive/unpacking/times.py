"""Set the times of directories, after the last change in them."""

from __future__ import annotations

import os
import stat

from cstore.archive.names import split_name
from cstore.archive.unpacking.paths import GONE, Missing
from cstore.archive.unpacking.seen import PathList

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.unpacking.paths import Folder, Paths

Times = tuple[int, int]
"""Access and modification time, in nanoseconds."""


class DirectoryTimes:
    """The times of listed directories, in the order of the archive."""

    def __init__(self) -> None:
        self._listed: PathList[Times] = PathList()

    def add(self, path: bytes, times: Times) -> None:
        """Record the times of the directory with this plain path."""
        self._listed.add(path, times)

    def set_found(self, paths: Paths) -> None:
        """Restore the times of unlisted directories that existed before."""
        for path, times in paths.found:
            if not paths.is_new(path):
                _set(paths, path, times, sure=False)

    def set_listed(self, paths: Paths, *, displaced: bool) -> None:
        """Set the times of listed directories. `displaced`: a path may no longer be a directory."""
        for path, times in self._listed:
            _set(paths, path, times, sure=not displaced)


def _set(paths: Paths, path: bytes, times: Times, *, sure: bool) -> None:
    if not path:
        os.utime(paths.root.fd, ns=times)
        return
    folder_path, base = split_name(path)
    try:
        folder = paths.folder(folder_path, Missing.REFUSED)
        if folder.path == folder_path and (sure or _is_directory(folder, base)):
            os.utime(base, ns=times, dir_fd=folder.fd, follow_symlinks=False)
    except OSError as error:
        if error.errno not in GONE:
            raise


def _is_directory(folder: Folder, base: bytes) -> bool:
    return stat.S_ISDIR(os.stat(base, dir_fd=folder.fd, follow_symlinks=False).st_mode)
