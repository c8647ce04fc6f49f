"""Finding the members of a tar: by its headers alone in a file, or one after the other in a stream."""

from __future__ import annotations

import os

from cstore.archive.names import show_name
from cstore.archive.tar.header import GNU_SPARSE, PAX_GLOBAL, REGULAR
from cstore.archive.tar.reader import TarReader
from cstore.errors import ImageArchiveError, SystemFailure
from cstore.transfer.members import Catalogue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from cstore.archive.streams import ReadInto
else:
    Protocol = object

_HEADER_WINDOW = 1 << 12
_BLOCK = 512


class _PartWindows:
    """Small windows onto a file from an offset on: enough for a header, little more."""

    def __init__(self, fd: int, offset: int, shown: str) -> None:
        self._fd = fd
        self._at = offset
        self._shown = shown

    def advance(self) -> memoryview | None:
        """Read the next piece (see `tar.reader.Windows`)."""
        try:
            data = os.pread(self._fd, _HEADER_WINDOW, self._at)
        except OSError as error:
            raise SystemFailure("read", self._shown, error) from error
        self._at += len(data)
        return memoryview(data) if data else None


def scan_tar(fd: int, shown: str) -> Catalogue:
    """Look through an uncompressed tar in a regular file, from its present position. Contents are passed over unread.

    Raises:
        ArchiveError: it is no tar, it is cut, or a name in it is refused.
    """
    found = Catalogue(fd, shown)
    start, size = os.lseek(fd, 0, os.SEEK_CUR), os.fstat(fd).st_size
    at = start
    while True:
        reader = TarReader(_PartWindows(fd, at, shown), _ignore)
        entry = reader.next()
        if entry is None:
            if at == start:
                for _ in reader.new_rest():
                    pass
            return found
        at += reader.offset
        if at + entry.stored > size:
            missing = at + entry.stored - size
            reason = f"unexpected EOF: the archive ends {missing} bytes too early"
            raise ImageArchiveError(show_name(entry.name), reason)
        if entry.type != PAX_GLOBAL:
            found.add(entry, at)
        at += entry.stored + -entry.stored % _BLOCK


def _ignore(data: bytes) -> None:
    """Headers need not be kept."""


# ── a stream ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Arrivals(Protocol):
    """Whoever may have use for a member the moment it arrives."""

    def arrived(self, members: Catalogue, name: str, body: ReadInto) -> bool:
        """Read all of `body` and return True, or touch nothing of it and return False."""


class BodyReader:
    """The contents of the present entry of a stream."""

    def __init__(self, tar: TarReader) -> None:
        self._tar = tar

    def readinto(self, buffer: memoryview, /) -> int:
        """Give the next bytes, as many as there are in the tar reader's window."""
        if not self._tar.left or not buffer:
            return 0
        piece = self._tar.take(min(self._tar.left, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def read_stream(source: ReadInto, spool: int, shown: str, arrivals: Arrivals) -> Catalogue:
    """Read a tar to its end. What nobody takes on arrival is put into the file `spool`.

    Raises:
        ArchiveError: it is no tar, it is cut, or a name in it is refused.
        SystemFailure: there is no room for what must wait.
    """
    from cstore.archive.streams import FileSink
    from cstore.archive.tar.reader import ReaderWindows

    found = Catalogue(spool, shown, waiting=True)
    sink = FileSink(spool, "the waiting part of the archive")
    tar = TarReader(ReaderWindows(source), _ignore)
    at = 0
    while (entry := tar.next()) is not None:
        if entry.type == PAX_GLOBAL:
            continue
        name = found.add(entry, at)
        is_file, is_sparse = entry.type in {REGULAR, GNU_SPARSE}, entry.sparse is not None
        if tar.left and not is_sparse and arrivals.arrived(found, name, BodyReader(tar)):
            continue
        at += entry.stored if is_file else 0
        while tar.left:
            piece = tar.take(tar.left)
            if is_file:
                sink.write(piece)
    for _ in tar.new_rest():
        pass
    return found
