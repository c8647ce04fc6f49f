"""The compressions of archives: detect, read and write them (archive 1).

Decoders accept everything that the formats allow and writers produce: several gzip members, zstd frames (including
skippable ones), bzip2 or xz streams in a row, and zero padding after the last. Any other trailing data is an error, and
so is a truncated stream. Memory use does not grow with the stream, even for a decompression bomb.
"""

from __future__ import annotations

from cstore import errors
from cstore.tuples import NamedTuple
from cstore.values import IntChoice, cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from cstore.archive.streams import ReadInto
else:
    Protocol = object

INPUT_SIZE = 1 << 18
"""Bytes of compressed input read at once."""

_SOON_READ = 1 << 16
"""Bytes of a gzip stream that the standard library decodes in less time than importing the faster library takes."""


class Compression(IntChoice):
    """The compression of a stream. The value is the number in layer records (archive 1.1)."""

    NONE = 0
    BZIP2 = 1
    GZIP = 2
    XZ = 3
    ZSTD = 4

    @property
    def suffix(self) -> str:
        """The file name extension of a tar with this compression, without a leading dot."""
        return "tar" if self is Compression.NONE else _FORMATS[self].suffix

    @property
    def label(self) -> str:
        """The name in messages, for example "gzip"."""
        return "none" if self is Compression.NONE else _FORMATS[self].label


LONGEST_MAGIC = 6
"""Bytes that `sniff` needs, unless the stream is shorter."""


def sniff(head: bytes) -> Compression:
    """Detect the compression of a stream from its first `LONGEST_MAGIC` bytes, or fewer if it is shorter."""
    for compression, form in _FORMATS.items():
        if head.startswith(form.magic):
            return compression
    if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return Compression.ZSTD  # pzstd begins with a skippable frame
    return Compression.NONE


class Decoder(Protocol):
    """Decompresses a stream."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the next bytes into the front of `buffer`; return their number: 0 at the end, possibly fewer than fit.

        When this returns 0, the raw stream has been read to its end, too.

        Raises:
            CompressionFailed: the stream is corrupt, or other data follows it.
            ArchiveTruncated: it ends too early.
        """


def open_decoder(compression: Compression, raw: ReadInto, size: int | None = None, window: int = 0) -> Decoder:
    """Return a decoder of `raw` from its current position to its end. Errors of `raw` pass through unchanged.

    Args:
        compression: the format.
        raw: the compressed stream.
        size: the number of bytes left in `raw`, if known.
        window: bytes of memory that the decoder's window may take; 0 for what this system can give.
    """
    if compression is Compression.NONE:
        return raw
    if compression is Compression.ZSTD:
        from cstore.archive.zstd import ZstdDecoder

        return ZstdDecoder(raw, window, INPUT_SIZE)
    if compression is Compression.GZIP and (size is None or size > _SOON_READ):
        return _GzipDecoder(raw)
    return _MemberDecoder(raw, compression, window if compression is Compression.XZ else 0)


# ── gzip ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _GzipDecoder:
    """Decodes gzip members with isal's file object, because isal's decompressors fail on split headers."""

    def __init__(self, raw: ReadInto) -> None:
        from isal import igzip
        from isal.isal_zlib import error

        # The stub declares this class as an instance.
        self._errors = (cast("type[Exception]", error), OSError)
        self._raw = _RawFile(raw)
        self._file = igzip.IGzipFile(fileobj=self._raw, mode="rb")  # type: ignore[no-untyped-call]
        self._given = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the next decompressed bytes (see `Decoder`)."""
        try:
            # The buffer is larger than the file object's own, so this is one copy and one call without the GIL.
            data: bytes = self._file.read1(len(buffer))
        except EOFError:
            raise errors.ArchiveTruncated("inside the gzip stream", self._given) from None
        except self._errors as error:
            raise errors.CompressionFailed("gzip", str(error)) from error
        if self._raw.empty:
            # The library accepts a stream without any member.
            raise errors.ArchiveTruncated("before the gzip stream", 0)
        buffer[: len(data)] = data
        self._given += len(data)
        return len(data)


class _RawFile:
    """The part of a binary file that the gzip library uses.

    Attributes:
        empty: no data has been read yet.
    """

    def __init__(self, raw: ReadInto) -> None:
        self._raw = raw
        self.empty = True

    def readinto(self, buffer: memoryview) -> int:
        count = self._raw.readinto(buffer)
        self.empty = self.empty and not count
        return count

    def read(self, size: int) -> bytes:
        room = memoryview(bytearray(size))
        return bytes(room[: self.readinto(room)])


# ── bzip2, xz and small gzip streams ──────────────────────────────────────────────────────────────────────────────────


class _Member(Protocol):
    """The common interface of the standard library's decompressors."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: memoryview, max_length: int = -1) -> bytes: ...


class _MemberDecoder:
    """Decodes a sequence of bzip2, xz or gzip streams."""

    def __init__(self, raw: ReadInto, compression: Compression, window: int = 0) -> None:
        self._raw = raw
        self._label = compression.label
        self._window = window
        self._new_member, self._error = _member_format(compression, window)
        self._storage = memoryview(bytearray(INPUT_SIZE))
        self._input = self._storage[:0]
        self._member: _Member | None = self._new_member()
        self._complete = 0
        self._given = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the next decompressed bytes (see `Decoder`)."""
        while buffer:
            if self._member is None:
                if not self._find_next_member():
                    break
                self._member = self._new_member()
            data = self._advance(self._member, len(buffer))
            if data:
                buffer[: len(data)] = data
                self._given += len(data)
                return len(data)
        return 0

    def _advance(self, member: _Member, limit: int) -> bytes:
        """Decompress at most `limit` bytes; drop the member when it is complete."""
        chunk = self._input[:0]
        if member.needs_input:
            if not self._refill():
                raise errors.ArchiveTruncated(f"inside the {self._label} stream", self._given)
            chunk, self._input = self._input, self._input[:0]
        try:
            data = member.decompress(chunk, limit)
        except (self._error, EOFError, MemoryError) as error:
            if "Memory usage limit" in str(error) or isinstance(error, MemoryError):
                from cstore.archive.decoder_memory import window_failure

                raise window_failure(self._label, self._window) from error
            reason = "other data follows its end" if self._complete else str(error)
            raise errors.CompressionFailed(self._label, reason) from error
        if member.eof:
            self._input = memoryview(member.unused_data)
            self._member = None
            self._complete += 1
        return data

    def _find_next_member(self) -> bool:
        """Skip zero padding; return whether more data follows."""
        while self._refill():
            rest = bytes(self._input).lstrip(b"\0")
            self._input = memoryview(rest)
            if rest:
                return True
        return False

    def _refill(self) -> bool:
        """Make sure that there is input; return False at the end of the raw stream."""
        if not self._input:
            self._input = self._storage[: self._raw.readinto(self._storage)]
        return bool(self._input)


class _GzipMember:
    """A gzip stream, decoded by the standard library; see `_Member`."""

    def __init__(self) -> None:
        import zlib

        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: memoryview, max_length: int = -1) -> bytes:
        result = self._stream.decompress(self._stream.unconsumed_tail + bytes(data), max(max_length, 0))
        # A full result may be incomplete even if no input is left to decode.
        self.needs_input = not self._stream.unconsumed_tail and len(result) != max_length
        return result


def _member_format(compression: Compression, window: int) -> tuple[Callable[[], _Member], type[Exception]]:
    """Return a factory of decompressors for one stream, and the exception that they raise for bad input."""
    if compression is Compression.GZIP:
        import zlib

        return _GzipMember, zlib.error
    if compression is Compression.BZIP2:
        import bz2

        return bz2.BZ2Decompressor, OSError
    if compression is Compression.XZ:
        import lzma

        from cstore.archive.decoder_memory import largest_window

        most = window or largest_window()
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, most), lzma.LZMAError
    raise AssertionError(f"{compression.label} has a decoder of its own")


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Encoder(Protocol):
    """Compresses piece by piece. The same pieces produce the same bytes on every host."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        """Compress `data` and return the bytes that are ready, possibly none."""

    def flush(self) -> bytes:
        """Return the remaining bytes and end the stream."""


def open_encoder(compression: Compression, level: int | None = None) -> Encoder:
    """Return an encoder for a new compressed stream.

    Raises:
        InvalidOption: this compression has no such `level`.
    """
    if compression is Compression.NONE:
        return _PlainEncoder()
    form = _FORMATS[compression]
    lowest, default, highest = form.levels
    chosen = default if level is None else level
    if not lowest <= chosen <= highest:
        raise errors.InvalidOption(
            f"{compression.label} has no compression level {chosen}", hint=f"choose one from {lowest} to {highest}"
        )
    if compression is Compression.BZIP2:
        import bz2

        return bz2.BZ2Compressor(chosen)
    if compression is Compression.GZIP:
        from isal import isal_zlib

        # 16 + 15: a gzip header (isal writes no name and no time) and the full window.
        return isal_zlib.compressobj(chosen, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)
    if compression is Compression.XZ:
        import lzma

        return lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=chosen)
    import zstandard

    return zstandard.ZstdCompressor(level=chosen, write_checksum=True).compressobj()


class _PlainEncoder:
    """Passes everything through."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        """Return a copy of `data`."""
        return bytes(data)

    def flush(self) -> bytes:
        """Return nothing, because nothing is buffered."""
        return b""


class _Format(NamedTuple):
    """A compression format other than "none".

    Attributes:
        label, suffix, magic: see `Compression`; `magic` is the first bytes of a stream.
        levels: lowest, default and highest compression level.
    """

    label: str
    suffix: str
    magic: bytes
    levels: tuple[int, int, int]


_FORMATS: dict[Compression, _Format] = {
    Compression.BZIP2: _Format("bzip2", "tar.bz2", b"BZh", (1, 9, 9)),
    # Level 3, the highest, takes nearly three times as long and makes archives only 1 % smaller.
    Compression.GZIP: _Format("gzip", "tar.gz", b"\x1f\x8b\x08", (0, 2, 3)),
    # xz's default level, 6, takes 94 MiB of memory; level 4 takes half of that and makes archives 10 % larger.
    Compression.XZ: _Format("xz", "tar.xz", b"\xfd7zXZ\x00", (0, 4, 9)),
    Compression.ZSTD: _Format("zstd", "tar.zst", b"\x28\xb5\x2f\xfd", (1, 3, 22)),
}
