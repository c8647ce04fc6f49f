"""Files for what must wait before it can be written: without a name, where there is room for large ones."""

from __future__ import annotations

import os

from cstore.archive.streams import FileSink
from cstore.errors import SystemFailure
from cstore.fs.room import RoomWatch
from cstore.transfer.room import require_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

_SMALL_FILES, _LARGE_FILES = "/tmp", "/var/tmp"  # noqa: S108  - only files without a name are made there
"""Where the first is small, as it is in many containers, the second is not."""


def require_scratch_room(what: str, needed: int) -> None:
    """Make sure that so many bytes can wait in a file of the usual place.

    Raises:
        DoesNotFit: they cannot.
    """
    from tempfile import gettempdir

    require_room(what, _for_large_files(gettempdir()), needed)


def _for_large_files(directory: str) -> str:
    return _LARGE_FILES if directory == _SMALL_FILES and os.access(_LARGE_FILES, os.W_OK) else directory


def scratch_file(directory: str = "") -> IO[bytes]:
    """Make a file without a name, in a directory or, with "", the usual one for large files.

    Raises:
        SystemFailure: it cannot be made.
    """
    from tempfile import TemporaryFile, gettempdir

    directory = _for_large_files(directory or gettempdir())
    try:
        return TemporaryFile(dir=directory, buffering=0)
    except OSError as error:
        hint = "set TMPDIR to a directory with space for the layers, or name the output"
        raise SystemFailure("make a file in", directory, error, hint=hint) from error


class ScratchSink(FileSink):
    """Writes what must wait to a file, and leaves others some room."""

    def __init__(self, fd: int, name: str = "a temporary file") -> None:
        super().__init__(fd, name)
        self._room = RoomWatch(fd, "write", name)

    def write(self, data: bytes | memoryview, /) -> None:
        """Write all of `data` (see `FileSink.write`)."""
        self._room.writing(len(data))
        super().write(data)
