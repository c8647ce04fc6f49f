"""The compressions of archives: detect, read and write them (archive 1).

Reading accepts what the formats allow and writers produce: several gzip members, zstd frames (skippable ones too),
bzip2 or xz streams in a row, and zero padding after the last. Anything else after the last is an error, as is a stream
that ends in the middle. Memory does not grow with the stream, not even for one that was made to explode.
"""

from __future__ import annotations

from cstore import errors
from cstore.contexts import suppress
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
"""Bytes of a gzip stream that the standard library decodes sooner than the fast library is imported."""

_USUAL_WINDOW = 1 << 27
"""Bytes a decoder may use for its window in any case: enough for `xz -9` and `zstd --ultra -22`."""

_LARGEST_WINDOW = 1 << 31
"""Bytes in the largest window of any zstd stream (`zstd --long=31`)."""


class Compression(IntChoice):
    """The compression of a stream. The value is the number in layer records (archive 1.1)."""

    NONE = 0
    BZIP2 = 1
    GZIP = 2
    XZ = 3
    ZSTD = 4

    @property
    def suffix(self) -> str:
        """The file name extension of such a tar, without a leading dot."""
        return "tar" if self is Compression.NONE else _FORMATS[self].suffix

    @property
    def label(self) -> str:
        """The name in texts, for example "gzip"."""
        return "none" if self is Compression.NONE else _FORMATS[self].label


LONGEST_MAGIC = 6
"""Bytes that `sniff` needs to see, unless the stream is shorter."""


def sniff(head: bytes) -> Compression:
    """Detect the compression of a stream by its first bytes (`LONGEST_MAGIC`, unless the stream is shorter)."""
    for compression, form in _FORMATS.items():
        if head.startswith(form.magic):
            return compression
    if head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50:
        return Compression.ZSTD  # pzstd begins with a skippable frame
    return Compression.NONE


def largest_window() -> int:
    """Bytes a decoder may use for its window here: up to 2 GiB, if that much memory is free."""
    return max(_USUAL_WINDOW, min(_LARGEST_WINDOW, _free_memory()))


def _free_memory() -> int:
    """Bytes that the system, and the control group that this process may be confined to, can still give."""
    free = [0]
    with suppress(OSError, ValueError), open("/proc/meminfo") as lines:
        free = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")] or [0]
    with suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max") as limit:
        most = int(limit.read())
        with open("/sys/fs/cgroup/memory.current") as used:
            free.append(most - int(used.read()))
    return min(free)


def window_failure(compression: Compression) -> errors.CompressionFailed:
    """Return the error for a stream whose window needs more memory than is available."""
    most = largest_window() >> 20
    reason = f"its window needs more memory than the {most} MiB that may be used here"
    return errors.CompressionFailed(compression.label, reason, hint="recompress it with a smaller window")


class Decoder(Protocol):
    """Decompresses a stream."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Put the next bytes at the front of `buffer` and return their number: 0 at the end, maybe fewer than fit.

        At the end, the raw stream has been read to its end as well.

        Raises:
            CompressionFailed: the stream is broken, or something else follows it.
            ArchiveTruncated: it ends too early.
        """


def open_decoder(compression: Compression, raw: ReadInto, size: int | None = None) -> Decoder:
    """Decompress `raw` from its current position to its end. Errors of `raw` pass through unchanged.

    `size` is how many bytes that will be, if it is known.
    """
    if compression is Compression.NONE:
        return raw
    return _FORMATS[compression].decoder(raw, size)


def _gzip_decoder(raw: ReadInto, size: int | None) -> Decoder:
    return _GzipDecoder(raw) if size is None or size > _SOON_READ else _MemberDecoder(raw, Compression.GZIP)


def _zstd_decoder(raw: ReadInto, _: int | None) -> Decoder:
    from cstore.archive.zstd import ZstdDecoder

    return ZstdDecoder(raw, largest_window(), INPUT_SIZE)


# ── gzip ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _GzipDecoder:
    """Decodes gzip members, isal's file object doing the work: the library's own decompressors lose split headers."""

    def __init__(self, raw: ReadInto) -> None:
        from isal import igzip
        from isal.isal_zlib import error

        # The stub takes this class for an instance.
        self._errors = (cast("type[Exception]", error), OSError)
        self._raw = _RawFile(raw)
        self._file = igzip.IGzipFile(fileobj=self._raw, mode="rb")  # type: ignore[no-untyped-call]
        self._given = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Give the next decompressed bytes (see `Decoder`)."""
        try:
            # Larger than the file object's own buffer, so this is one copy and one call that lets other threads run.
            data: bytes = self._file.read1(len(buffer))
        except EOFError:
            raise errors.ArchiveTruncated("inside the gzip stream", self._given) from None
        except self._errors as error:
            raise errors.CompressionFailed("gzip", str(error)) from error
        if self._raw.empty:
            # Not a single member, to which the library has no objection.
            raise errors.ArchiveTruncated("before the gzip stream", 0)
        buffer[: len(data)] = data
        self._given += len(data)
        return len(data)


class _RawFile:
    """The part of a binary file that the gzip library uses.

    Attributes:
        empty: nothing has come yet.
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


# ── bzip2, xz and what is small ───────────────────────────────────────────────────────────────────────────────────────


class _Member(Protocol):
    """What the standard library's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: memoryview, max_length: int = -1) -> bytes: ...


class _MemberDecoder:
    """Decodes a row of bzip2, xz or gzip streams."""

    def __init__(self, raw: ReadInto, compression: Compression) -> None:
        self._raw = raw
        self._label = compression.label
        self._new_member, self._error = _member_format(compression)
        self._storage = memoryview(bytearray(INPUT_SIZE))
        self._input = self._storage[:0]
        self._member: _Member | None = self._new_member()
        self._complete = 0
        self._given = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Give the next decompressed bytes (see `Decoder`)."""
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
        """Decompress at most `limit` bytes; forget the member when it is complete."""
        chunk = self._input[:0]
        if member.needs_input:
            if not self._refill():
                raise errors.ArchiveTruncated(f"inside the {self._label} stream", self._given)
            chunk, self._input = self._input, self._input[:0]
        try:
            data = member.decompress(chunk, limit)
        except (self._error, EOFError, MemoryError) as error:
            if "Memory usage limit" in str(error) or isinstance(error, MemoryError):
                raise window_failure(Compression.XZ) from error
            reason = "something else follows its end" if self._complete else str(error)
            raise errors.CompressionFailed(self._label, reason) from error
        if member.eof:
            self._input = memoryview(member.unused_data)
            self._member = None
            self._complete += 1
        return data

    def _find_next_member(self) -> bool:
        """Skip zero padding; say whether anything follows."""
        while self._refill():
            rest = bytes(self._input).lstrip(b"\0")
            self._input = memoryview(rest)
            if rest:
                return True
        return False

    def _refill(self) -> bool:
        """Have input; False at the end of the raw stream."""
        if not self._input:
            self._input = self._storage[: self._raw.readinto(self._storage)]
        return bool(self._input)


class _GzipMember:
    """A gzip stream as the standard library decodes it; see `_Member`."""

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
        # What fills all of the room may not have been everything, even if nothing is left to decode.
        self.needs_input = not self._stream.unconsumed_tail and len(result) != max_length
        return result


def _member_format(compression: Compression) -> tuple[Callable[[], _Member], type[Exception]]:
    """Return what makes a decompressor for one stream, and the exception that it raises for bad input."""
    if compression is Compression.GZIP:
        import zlib

        return _GzipMember, zlib.error
    if compression is Compression.BZIP2:
        import bz2

        return bz2.BZ2Decompressor, OSError
    if compression is Compression.XZ:
        import lzma

        most = largest_window()
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, most), lzma.LZMAError
    raise AssertionError(f"{compression.label} has a decoder of its own")


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Encoder(Protocol):
    """Compresses piece by piece. The same pieces give the same bytes on every host."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        """Compress `data` and return the bytes that are ready, possibly none."""

    def flush(self) -> bytes:
        """Return the remaining bytes and end the stream."""


def open_encoder(compression: Compression, level: int | None = None) -> Encoder:
    """Begin a compressed stream.

    Raises:
        InvalidOption: `level` is none of this compression's.
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
    return form.encoder(chosen)


def _bzip2_encoder(level: int) -> Encoder:
    import bz2

    return bz2.BZ2Compressor(level)


def _gzip_encoder(level: int) -> Encoder:
    from isal import isal_zlib

    # 16 + 15: a gzip header (which isal leaves without name and time) and the full window.
    return isal_zlib.compressobj(level, isal_zlib.DEFLATED, 16 + isal_zlib.MAX_WBITS)


def _xz_encoder(level: int) -> Encoder:
    import lzma

    return lzma.LZMACompressor(lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, preset=level)


def _zstd_encoder(level: int) -> Encoder:
    import zstandard

    return zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()


class _PlainEncoder:
    """Passes everything through."""

    def compress(self, data: bytes | memoryview, /) -> bytes:
        """Give `data` back, as bytes that stay."""
        return bytes(data)

    def flush(self) -> bytes:
        """Nothing is left."""
        return b""


class _Format(NamedTuple):
    """A compression, but for none.

    Attributes:
        label, suffix, magic: see `Compression`; how a stream begins.
        levels: lowest, default and highest compression level.
        decoder: takes the compressed stream, and its size in bytes or None.
        encoder: takes the level.
    """

    label: str
    suffix: str
    magic: bytes
    levels: tuple[int, int, int]
    decoder: Callable[[ReadInto, int | None], Decoder]
    encoder: Callable[[int], Encoder]


_FORMATS: dict[Compression, _Format] = {
    Compression.BZIP2: _Format(
        "bzip2", "tar.bz2", b"BZh", (1, 9, 9), lambda raw, _: _MemberDecoder(raw, Compression.BZIP2), _bzip2_encoder
    ),
    # 3, the highest level, takes nearly three times as long for an archive that is smaller by a hundredth.
    Compression.GZIP: _Format("gzip", "tar.gz", b"\x1f\x8b\x08", (0, 2, 3), _gzip_decoder, _gzip_encoder),
    # The program's default level, 6, takes 94 MiB of memory; 4 takes half of that for an archive a tenth larger.
    Compression.XZ: _Format(
        "xz", "tar.xz", b"\xfd7zXZ\x00", (0, 4, 9), lambda raw, _: _MemberDecoder(raw, Compression.XZ), _xz_encoder
    ),
    Compression.ZSTD: _Format("zstd", "tar.zst", b"\x28\xb5\x2f\xfd", (1, 3, 22), _zstd_decoder, _zstd_encoder),
}
