"""Times of directories, which can be set only when nothing in them changes any more."""

from __future__ import annotations

import marshal
import os
import stat
import zlib
from typing import TYPE_CHECKING

from cstore.archive.names import split_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.unpacking.paths import Folder, Paths

_AT_ONCE = 8192


class DirectoryTimes:
    """Remembers times in the order of the archive; of thousands of directories, in a form that takes little memory."""

    def __init__(self) -> None:
        self._recent: list[tuple[bytes, tuple[int, int]]] = []
        self._packed: list[bytes] = []

    def add(self, path: bytes, times: tuple[int, int]) -> None:
        """Remember access and modification time, in nanoseconds, of the directory with this plain path."""
        self._recent.append((path, times))
        if len(self._recent) >= _AT_ONCE:
            self._packed.append(zlib.compress(marshal.dumps(self._recent), 1))
            self._recent = []

    def set_all(self, paths: Paths, *, displaced: bool) -> None:
        """Set them.

        Args:
            paths: the tree's directories.
            displaced: something gave way to something else, so a path may not be a directory any more.
        """
        for path, times in self._all():
            if not path:
                os.utime(paths.root.fd, ns=times)
                continue
            folder_path, base = split_name(path)
            try:
                folder = paths.folder(folder_path, create=False)
                if not displaced or _is_directory(folder, base):
                    os.utime(base, ns=times, dir_fd=folder.fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue

    def _all(self) -> Iterator[tuple[bytes, tuple[int, int]]]:
        for packed in self._packed:
            yield from marshal.loads(zlib.decompress(packed))  # noqa: S302  - written right here
        yield from self._recent


def _is_directory(folder: Folder, base: bytes) -> bool:
    return stat.S_ISDIR(os.stat(base, dir_fd=folder.fd, follow_symlinks=False).st_mode)
