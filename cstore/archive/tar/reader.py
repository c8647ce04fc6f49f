"""Read a tar stream entry by entry, passing on every byte of it (archive 2).

The stream arrives in windows: pieces of memory that are valid until the next one is requested. Everything that is not a
body (headers, padding, the end) is passed to `keep` in order; bodies are returned as slices of the windows. Both, and
then the rest, are the whole stream. Bodies are not copied.
"""

from __future__ import annotations

from cstore import errors
from cstore.archive.tar.header import (
    BLOCK,
    CONTIGUOUS,
    DIRECTORY,
    DUMP_DIRECTORY,
    GNU_LONG_LINK,
    GNU_LONG_NAME,
    GNU_SPARSE,
    HEADER_ONLY,
    OLD_REGULAR,
    PAX_GLOBAL,
    PAX_HEADER,
    REGULAR,
    SUN_HEADER,
    VOLUME_LABEL,
    ZERO_BLOCK,
    Entry,
    parse_header,
)
from cstore.archive.tar.pax import LARGEST_SPECIAL, apply_records, parse_records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    from cstore.archive.streams import ReadInto
else:
    Protocol = object

_SIMPLE = frozenset({REGULAR, *HEADER_ONLY})
"""Types whose header is complete without other headers."""
_SPECIAL = frozenset({PAX_HEADER, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK, VOLUME_LABEL})
_NO_BYTES = memoryview(b"")
_LARGEST_WINDOW = 1 << 20


class Windows(Protocol):
    """A stream in pieces."""

    def advance(self) -> memoryview | None:
        """Return the next piece, never empty, and invalidate the one before; always None after the last one."""


class ReaderWindows:
    """The windows of an ordinary reader, which share one buffer."""

    def __init__(self, source: ReadInto) -> None:
        self._source = source
        self._buffer = memoryview(bytearray(_LARGEST_WINDOW))

    def advance(self) -> memoryview | None:
        """Read the next piece (see `Windows`)."""
        count = self._source.readinto(self._buffer)
        return self._buffer[:count] if count else None


def _parsed(block: bytes, offset: int) -> Entry:
    """Parse a header; if the first one of a stream is invalid, raise an error that names the stream's format."""
    try:
        return parse_header(block, offset)
    except errors.ArchiveMalformed as error:
        from cstore.archive.foreign import foreign

        other = None if offset else foreign(block)
        if other is None:
            raise
        raise other from error


class TarReader:
    """Parses a tar stream.

    Call `next` for an entry; `take` its body, all `stored` bytes of it; after the last entry, read the `rest`.

    Attributes:
        at: the offset of the next byte in the current window.
        left: bytes of the current body that were not taken yet.
    """

    def __init__(self, windows: Windows, keep: Callable[[bytes], object]) -> None:
        self._windows = windows
        self._keep = keep
        self._view = _NO_BYTES
        self._limit = 0
        self._origin = 0
        self._pad = 0
        self._raw: list[bytes] = []
        self._raw_size = 0
        self.at = 0
        self.left = 0

    @property
    def offset(self) -> int:
        """The offset of the next byte in the stream."""
        return self._origin + self.at

    # ── entries ──

    def next(self) -> Entry | None:
        """Read the next entry's headers.

        Returns:
            The entry, or None after the last one.

        Raises:
            ArchiveMalformed: the stream is not a tar, or is damaged.
            ArchiveTruncated: it ends inside a header.
        """
        while self.left:
            self.take(self.left)
        # The common case: a header that needs no other and is complete in this window.
        end = self.at + self._pad + BLOCK
        if end <= self._limit:
            raw = bytes(self._view[self.at : end])
            block = raw[-BLOCK:]
            if block[156] in _SIMPLE:
                entry = _parsed(block, self._origin + end - BLOCK)
                self.at = end
                self._keep(raw)
                self._begin_body(entry, self._origin + end - BLOCK)
                return entry
        return self._next_slowly()

    def _begin_body(self, entry: Entry, offset: int) -> None:
        size = 0 if entry.type in HEADER_ONLY else entry.size
        if size < 0:
            raise errors.ArchiveMalformed("its size is negative", offset)
        entry.stored = self.left = size
        self._pad = -size % BLOCK

    def _next_slowly(self) -> Entry | None:
        """Read the next entry if it has several headers, crosses windows, or does not exist."""
        records: dict[bytes, bytes] = {}
        long_name = long_link = b""
        while (block := self._next_block()) is not None:
            offset = self.offset - BLOCK
            entry = _parsed(block, offset)
            entry.type = PAX_HEADER if entry.type == SUN_HEADER else entry.type
            self._begin_body(entry, offset)
            if entry.type not in _SPECIAL:
                return self._finish(entry, block, records, (long_name, long_link), offset)
            if self.left > LARGEST_SPECIAL:
                raise errors.ArchiveMalformed(
                    f"an extended header of {self.left} bytes", offset, go_text="archive/tar: header field too long"
                )
            body = self._read_kept(self.left, of_body=True)
            if entry.type == PAX_HEADER:
                records = parse_records(body, offset)
            elif entry.type == GNU_LONG_NAME:
                long_name = body.partition(b"\0")[0]
            elif entry.type == GNU_LONG_LINK:
                long_link = body.partition(b"\0")[0]
            else:
                # Return it as an entry, without applying its records to others. Drop the headers before it, as the Go
                # tool does: the names in both tar-splits must agree. Treat a volume label the same way.
                if entry.type == PAX_GLOBAL:
                    parse_records(body, offset)
                entry.type = PAX_GLOBAL
                entry.size = entry.stored = 0
                self._flush()
                return entry
        self._flush()
        return None

    def _finish(
        self, entry: Entry, block: bytes, records: dict[bytes, bytes], long: tuple[bytes, bytes], offset: int
    ) -> Entry:
        """Complete an entry with the extended headers before it."""
        apply_records(entry, records, offset)
        entry.name = long[0] or entry.name
        entry.link = long[1] or entry.link
        if entry.type == OLD_REGULAR:
            entry.type = DIRECTORY if entry.name.endswith(b"/") else REGULAR
        elif entry.type == CONTIGUOUS:
            entry.type = REGULAR
        self._begin_body(entry, offset)
        if entry.type == DUMP_DIRECTORY:
            entry.type = DIRECTORY  # one with a body
        if entry.type == GNU_SPARSE or any(key.startswith(b"GNU.sparse.") for key in records):
            from cstore.archive.tar.sparse import check_map, read_gnu_map, read_pax_map

            if entry.type == GNU_SPARSE:
                entry.sparse = read_gnu_map(entry, block, lambda: self._read_kept(BLOCK, of_body=False), offset)
            else:
                entry.sparse = read_pax_map(entry, records, self._body_block, offset)
            if entry.sparse is not None:
                if entry.type in HEADER_ONLY:
                    raise errors.ArchiveMalformed("a sparse entry that is not a file", offset)
                entry.stored = self.left
                check_map(entry.sparse, entry.size, entry.stored, offset)
        self._flush()
        return entry

    def _next_block(self) -> bytes | None:
        """Read padding and a header block; None at the end of the archive, in any form."""
        padding = self._collect(self._pad)
        short = len(padding) < self._pad
        self._pad = 0
        if padding:
            self._add(padding)
        if short:  # missing padding is harmless
            return None
        block = self._header_block()
        if block != ZERO_BLOCK:
            return block
        if self._header_block() not in {ZERO_BLOCK, None}:
            raise errors.ArchiveMalformed("another header follows a block of zeros", self.offset - BLOCK)
        return None

    def _header_block(self) -> bytes | None:
        """Read a block; None if the stream ends here."""
        block = self._collect(BLOCK)
        if not block:
            return None
        if len(block) < BLOCK:
            from cstore.archive.foreign import foreign

            if self.offset == len(block) and (other := foreign(block)) is not None:
                raise other
            reason = "not even one whole block" if self.offset == len(block) else "inside a header"
            raise errors.ArchiveTruncated(reason, self.offset)
        self._add(block)
        return block

    # ── bodies that are headers ──

    def _body_block(self) -> bytes:
        if self.left < BLOCK:
            raise errors.ArchiveTruncated("inside the map of a sparse file", self.offset)
        return self._read_kept(BLOCK, of_body=True)

    def _read_kept(self, count: int, *, of_body: bool) -> bytes:
        data = self._collect(count)
        if len(data) < count:
            raise errors.ArchiveTruncated("inside an extended header", self.offset)
        if of_body:
            self.left -= count
        self._add(data)
        return data

    # ── the stream ──

    def take(self, most: int) -> memoryview:
        """Return the next bytes of the body: at least one, at most `most`, valid until the next method call.

        Raises:
            ArchiveTruncated: the stream has ended.
        """
        if self.at == self._limit and not self._advance():
            raise errors.ArchiveTruncated("inside the contents of an entry", self.offset)
        piece = self._view[self.at : self.at + most]
        self.at += len(piece)
        self.left -= len(piece)
        return piece

    def rest(self) -> Iterator[memoryview]:
        """Yield the data after the end of the archive, window by window."""
        while self.at < self._limit or self._advance():
            piece = self._view[self.at :]
            self.at = self._limit
            yield piece

    def new_rest(self) -> Iterator[memoryview]:
        """Yield the rest of an archive that is being imported; after an archive without entries it must be zeros.

        Raises:
            ArchiveForeign: the stream is an image of a file system or disk.
            ArchiveMalformed: the stream is of an unknown format that begins with zeros.
        """
        if self.offset > 2 * BLOCK:
            return self.rest()
        from cstore.archive.foreign import nothing_but_zeros

        return nothing_but_zeros(self.rest(), self.offset)

    def _collect(self, count: int) -> bytes:
        """Copy the next `count` bytes, fewer only at the end of the stream."""
        pieces = []
        while count and (self.at < self._limit or self._advance()):
            piece = bytes(self._view[self.at : self.at + count])
            self.at += len(piece)
            count -= len(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _advance(self) -> bool:
        self._origin += self._limit
        self.at = self._limit = 0
        view = self._windows.advance()
        if view is None:
            return False
        self._view = view
        self._limit = len(view)
        return True

    def _add(self, data: bytes) -> None:
        self._raw.append(data)
        self._raw_size += len(data)
        # A long sequence of headers before an entry must not fill the memory.
        if self._raw_size >= LARGEST_SPECIAL:
            self._flush()

    def _flush(self) -> None:
        if self._raw:
            self._keep(b"".join(self._raw))
            self._raw = []
            self._raw_size = 0
