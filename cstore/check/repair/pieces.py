"""Files, and parts of files, as sources of lost data: hash them, decompress them, and list members of archives."""

from __future__ import annotations

import hashlib
import os
from typing import IO, TYPE_CHECKING

from cstore.archive.compression import LONGEST_MAGIC, open_decoder, sniff
from cstore.archive.streams import BUFFER_SIZE, FileReader, PeekingReader, fill
from cstore.archive.tar.header import REGULAR
from cstore.archive.tar.reader import ReaderWindows, TarReader
from cstore.errors import ArchiveError, SystemFailure
from cstore.fs import within
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.streams import ReadInto


class Piece(Value):
    """A part of a file, by start and size in bytes; size -1 is the rest of the file. `given` names the source."""

    path: str
    given: str
    start: int = 0
    size: int = -1


def open_piece(piece: Piece) -> IO[bytes]:
    """Open the file that contains a piece.

    Raises:
        SystemFailure: the file cannot be read any more.
    """
    try:
        return open(within.open_path(piece.path, os.O_RDONLY), "rb", buffering=0)
    except OSError as error:
        raise SystemFailure("read", piece.path, error) from None


class PieceReader:
    """A reader of one piece. `left` is the number of remaining bytes, or negative if the size is unknown."""

    def __init__(self, fd: int, piece: Piece) -> None:
        self._fd, self._path, self._place, self.left = fd, piece.path, piece.start, piece.size

    def readinto(self, buffer: memoryview, /) -> int:
        """Read bytes; see `ReadInto`."""
        try:
            count = os.preadv(self._fd, [buffer if self.left < 0 else buffer[: self.left]], self._place)
        except OSError as error:
            raise SystemFailure("read", self._path, error) from None
        self._place += count
        if self.left >= 0:
            self.left -= count
        return count


def digests_of(fd: int, piece: Piece) -> tuple[str, str, int]:
    """Hash a piece as stored, and decompressed. If decompression fails, the second digest matches nothing."""
    raw = hashlib.sha256(usedforsecurity=False)
    buffer, reader, size = memoryview(bytearray(BUFFER_SIZE)), PieceReader(fd, piece), 0
    while count := reader.readinto(buffer):
        raw.update(buffer[:count])
        size += count
    plain = hashlib.sha256(usedforsecurity=False)
    try:
        for view in decompressed(PieceReader(fd, piece)):
            plain.update(view)
    except ArchiveError:
        plain.update(b"broken")
    return f"sha256:{raw.hexdigest()}", f"sha256:{plain.hexdigest()}", size


def decompressed(source: ReadInto) -> Iterator[memoryview]:
    """Yield the bytes of a source, decompressed if they are compressed; a view is valid until the next one.

    Raises:
        ArchiveError: the source cannot be decompressed.
    """
    peeking = PeekingReader(source)
    decoder = open_decoder(sniff(peeking.peek(LONGEST_MAGIC)), peeking)
    buffer = memoryview(bytearray(BUFFER_SIZE))
    while count := fill(decoder, buffer):
        yield buffer[:count]


def members(path: str, given: str) -> Iterator[Piece]:
    """Yield the regular files in an uncompressed tar. Image archives are never compressed as a whole."""
    fd = within.open_path(path, os.O_RDONLY)
    try:
        reader = TarReader(ReaderWindows(FileReader(fd, path)), lambda _raw: None)
        while (entry := reader.next()) is not None:
            if entry.type == REGULAR and entry.stored:
                yield Piece(path, given, reader.offset, entry.stored)
    finally:
        os.close(fd)
