"""Decode zstd, and verify that the stream is complete, which the library does not.

The library's reader accepts an end of its input anywhere as the end of the stream. This module therefore follows the
frames in its input, by their headers and block sizes (the zstd frame format, RFC 8878, section 3).
"""

from __future__ import annotations

from cstore.archive.foreign import foreign
from cstore.errors import ArchiveTruncated, CompressionFailed
from cstore.values import Choice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.streams import ReadInto

_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_TAIL = b"\x2a\x4d\x18"
_RLE_BLOCK, _RESERVED_BLOCK = 1, 3


class ZstdDecoder:
    """Decodes a sequence of zstd frames; skippable ones (pzstd and zstd:chunked write some) have no contents."""

    def __init__(self, raw: ReadInto, window: int, input_size: int) -> None:
        import zstandard

        from cstore.archive.decoder_memory import largest_window

        self._window = window

        self._error = zstandard.ZstdError
        self._frames = _FrameFollower(raw, input_size)
        # The stub requires a binary file or bytes, but the library calls only `read`.
        source: object = self._frames
        self._reader = zstandard.ZstdDecompressor(max_window_size=window or largest_window()).stream_reader(
            source,  # type: ignore[arg-type]
            read_size=input_size,
            read_across_frames=True,
        )
        self._given = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the next decompressed bytes (see `compression.Decoder`)."""
        try:
            count = self._reader.readinto(buffer)
        except (self._error, MemoryError) as error:
            if isinstance(error, MemoryError) or "too much memory" in str(error):
                from cstore.archive.decoder_memory import window_failure

                raise window_failure("zstd", self._window) from error
            raise CompressionFailed("zstd", str(error)) from error
        self._given += count
        if self._frames.cut and not count and buffer:
            raise ArchiveTruncated("inside the zstd stream", self._given)
        return count


class _Part(Choice):
    """The part of a frame that the next bytes belong to."""

    MAGIC = 1
    SKIPPABLE_SIZE = 2
    DESCRIPTOR = 3
    BLOCK = 4
    PADDING = 5


_HEADER_SIZE = {_Part.MAGIC: 4, _Part.SKIPPABLE_SIZE: 4, _Part.DESCRIPTOR: 1, _Part.BLOCK: 3}


class _FrameFollower:
    """Passes raw bytes on, and tracks whether they end between two frames.

    Attributes:
        cut: whether the raw stream ended inside a frame, or without any.
    """

    def __init__(self, raw: ReadInto, input_size: int) -> None:
        self._raw = raw
        self._storage = memoryview(bytearray(input_size))
        self._part = _Part.MAGIC
        self._frames = 0
        self._content = False  # whether one of them was not skippable
        self._seen = b""  # the beginning of a header that continues in the next piece
        self._skip = 0  # bytes before the next header
        self._checksum = 0  # bytes after the last block of this frame
        self.cut = False

    def read(self, size: int, /) -> memoryview:
        """Return the next raw bytes that belong to frames, none at the end. They are valid until the next call."""
        piece = self._storage[: self._raw.readinto(self._storage[:size])]
        if not piece:
            between = self._part in {_Part.MAGIC, _Part.PADDING} and not self._skip and not self._seen
            self.cut = not between or not self._frames
            return piece
        return piece[: self._follow(piece)]

    def _follow(self, piece: memoryview) -> int:
        """Parse `piece`; return the number of its bytes that belong to frames."""
        place = 0
        while place < len(piece):
            if self._part is _Part.PADDING:
                return self._drain_padding(piece, place)
            if self._skip:
                step = min(self._skip, len(piece) - place)
                self._skip -= step
                place += step
                continue
            if self._part is _Part.MAGIC and not self._seen and not piece[place]:
                self._part = _Part.PADDING
                continue
            wanted = _HEADER_SIZE[self._part] - len(self._seen)
            self._seen += piece[place : place + wanted]
            place += wanted
            if len(self._seen) == _HEADER_SIZE[self._part]:
                header, self._seen = self._seen, b""
                self._process_header(header)
        return len(piece)

    def _process_header(self, header: bytes) -> None:
        """Process a complete header."""
        if self._part is _Part.MAGIC:
            self._frames += 1
            if header == _MAGIC:
                self._content = True
                self._part = _Part.DESCRIPTOR
            elif header[0] & 0xF0 == 0x50 and header[1:] == _SKIPPABLE_TAIL:
                self._part = _Part.SKIPPABLE_SIZE
            elif (other := foreign(header)) is not None and not self._content:
                raise other  # the skippable frames before it did not belong to a zstd stream
            else:
                raise CompressionFailed("zstd", "other data follows its end")
        elif self._part is _Part.SKIPPABLE_SIZE:
            self._skip = int.from_bytes(header, "little")
            self._part = _Part.MAGIC
        elif self._part is _Part.DESCRIPTOR:
            flags = header[0]
            single_segment = flags >> 5 & 1
            window, dictionary, content_size = 1 - single_segment, flags & 3, flags >> 6
            self._skip = window + (0, 1, 2, 4)[dictionary] + (single_segment, 2, 4, 8)[content_size]
            self._checksum = 4 * (flags >> 2 & 1)
            self._part = _Part.BLOCK
        else:
            block = int.from_bytes(header, "little")
            last, form, size = block & 1, block >> 1 & 3, block >> 3
            if form == _RESERVED_BLOCK:
                raise CompressionFailed("zstd", "it has a block of an unknown type")
            self._skip = 1 if form == _RLE_BLOCK else size
            if last:
                self._skip += self._checksum
                self._part = _Part.MAGIC

    def _drain_padding(self, piece: memoryview, place: int) -> int:
        """Read the rest of the raw stream, which must be zeros; return `place`, where the frames ended."""
        if any(piece[place:]):
            raise CompressionFailed("zstd", "other data follows its end")
        room = memoryview(bytearray(len(self._storage)))
        while count := self._raw.readinto(room):
            if bytes(room[:count]).strip(b"\0"):
                raise CompressionFailed("zstd", "other data follows its end")
        return place
