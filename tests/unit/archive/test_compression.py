"""Compression: what is recognised, what is read, what is refused, what is written."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib
from typing import TYPE_CHECKING

import pytest
import zstandard

from cstore.archive.compression import LONGEST_MAGIC, Compression, open_decoder, open_encoder, sniff
from cstore.archive.decoder_memory import largest_window
from cstore.archive.streams import fill
from cstore.archive.tar.reader import ReaderWindows, TarReader
from cstore.archive.zstd import ZstdDecoder
from cstore.errors import (
    ArchiveError,
    ArchiveForeign,
    ArchiveMalformed,
    ArchiveTruncated,
    CompressionFailed,
    CstoreError,
    InvalidOption,
    SystemFailure,
)
from tests.builders import compress

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = b"layers upon layers, " * 9000 + bytes(range(256)) * 40
FACTS: dict[Compression, tuple[int, str, int, Callable[[bytes], bytes]]] = {
    Compression.NONE: (0, "tar", 0, bytes),
    Compression.BZIP2: (1, "tar.bz2", 3, bz2.decompress),
    Compression.GZIP: (2, "tar.gz", 3, gzip.decompress),
    Compression.XZ: (3, "tar.xz", 6, lzma.decompress),
    Compression.ZSTD: (4, "tar.zst", 4, lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
}
"""The number in layer records, the suffix of files, the length of the magic, and what reads it elsewhere."""
COMPRESSED = [kind for kind in FACTS if kind is not Compression.NONE]
SKIPPABLE = b"\x5a\x2a\x4d\x18" + struct.pack("<I", 300) + bytes(300)

each = pytest.mark.parametrize("kind", COMPRESSED, ids=lambda kind: kind.label)


class Drip:
    """A raw stream that gives at most `step` bytes at once."""

    def __init__(self, data: bytes, step: int = 1 << 30) -> None:
        self.rest = data
        self.step = step

    def readinto(self, buffer: memoryview, /) -> int:
        piece, self.rest = self.rest[: min(self.step, len(buffer))], self.rest[min(self.step, len(buffer)) :]
        buffer[: len(piece)] = piece
        return len(piece)


def decode(kind: Compression, data: bytes, step: int = 1 << 30, room: int = 50_000) -> bytes:
    """Decode a stream; gzip streams once more as those that are known to be small, which must come to the same."""
    result = outcome(kind, data, step, room, None)
    if kind is Compression.GZIP:
        small = outcome(kind, data, step, room, 1)
        assert small == result or {type(small), type(result)} <= {ArchiveTruncated, CompressionFailed}
    if isinstance(result, Exception):
        raise result
    return result


def outcome(kind: Compression, data: bytes, step: int, room: int, size: int | None) -> bytes | CstoreError:
    try:
        return decoded(kind, data, step, room, size)
    except CstoreError as error:
        return error


def decoded(kind: Compression, data: bytes, step: int, room: int, size: int | None) -> bytes:
    raw = Drip(data, step)
    decoder = open_decoder(kind, raw, size)
    buffer = memoryview(bytearray(room))
    pieces = []
    while count := decoder.readinto(buffer):
        pieces.append(bytes(buffer[:count]))
    assert not raw.rest, "the raw stream was not read to its end"
    return b"".join(pieces)


def made_elsewhere(kind: Compression, data: bytes) -> bytes:
    return compress(data, kind.label)


# ── recognising ───────────────────────────────────────────────────────────────────────────────────────────────────────


@each
def test_magic(kind: Compression) -> None:
    """A stream is recognised by its magic, and not by a part of it."""
    magic = FACTS[kind][2]
    head = made_elsewhere(kind, b"x")[:10]
    assert sniff(head) is kind
    assert sniff(head[:magic]) is kind
    assert sniff(head[: magic - 1]) is Compression.NONE


@pytest.mark.parametrize("head", [b"", b"\0", b"usr/bin/", b"P*M"])
def test_no_magic(head: bytes) -> None:
    """Anything else is not compressed."""
    assert sniff(head) is Compression.NONE


def test_a_sniff_sees_enough() -> None:
    """As much as the longest magic has; a longer one would be recognized nowhere."""
    assert max(row[2] for row in FACTS.values()) == LONGEST_MAGIC


def test_names_and_numbers() -> None:
    """The numbers are those of layer records, the suffixes those of files."""
    assert [(kind, kind.value, kind.suffix) for kind in Compression] == [
        (kind, *row[:2]) for kind, row in FACTS.items()
    ]


# ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", list(Compression), ids=lambda kind: kind.label)
@pytest.mark.parametrize("step", [1, 7, 1 << 30])
def test_reads_what_others_wrote(kind: Compression, step: int) -> None:
    """A stream is read whole, in whatever pieces it arrives."""
    text = TEXT if step > 7 else TEXT[:3000]
    data = text if kind is Compression.NONE else made_elsewhere(kind, text)
    assert decode(kind, data, step) == text


@each
@pytest.mark.parametrize("step", [5, 1 << 30])
def test_several_in_a_row(kind: Compression, step: int) -> None:
    """Members, frames and streams in a row are one stream, empty ones among them."""
    parts = [TEXT[:2000], b"", TEXT[2000:2001], TEXT[2001:5000]]
    assert decode(kind, b"".join(made_elsewhere(kind, part) for part in parts), step) == TEXT[:5000]


@each
@pytest.mark.parametrize("zeros", [1, 4, 700_000])
def test_zero_padding(kind: Compression, zeros: int) -> None:
    """Zeros after the end, as from a tape or a block device, are the end."""
    assert decode(kind, made_elsewhere(kind, TEXT) + bytes(zeros)) == TEXT


@each
@pytest.mark.parametrize("zeros", [0, 9, 700_000])
def test_junk_after_the_end(kind: Compression, zeros: int) -> None:
    """Anything else after the end is refused, even far behind."""
    with pytest.raises(CompressionFailed) as caught:
        decode(kind, made_elsewhere(kind, TEXT) + bytes(zeros) + b"and then something else")
    assert caught.value.compression == kind.label


@each
@pytest.mark.parametrize("whole", [b"", TEXT[:500]])
def test_cut_anywhere(kind: Compression, whole: bytes) -> None:
    """A stream that ends in its middle is never taken for whole, wherever that is, also in its second member."""
    before = made_elsewhere(kind, whole) if whole else b""
    data = made_elsewhere(kind, TEXT[:5000])
    for size in [*range(1 if whole else 0, min(len(data), 40)), len(data) // 2, *range(len(data) - 30, len(data))]:
        with pytest.raises(ArchiveError) as caught:
            decode(kind, before + data[:size])
        assert isinstance(caught.value, (ArchiveTruncated, CompressionFailed))
        assert caught.value.go_text == "unexpected EOF"


@each
def test_cut_says_so(kind: Compression) -> None:
    """The error for a cut stream tells that it is cut, and which stream."""
    data = made_elsewhere(kind, TEXT)
    with pytest.raises(ArchiveTruncated, match=kind.label):
        decode(kind, data[: len(data) // 2])


@each
def test_flipped_byte(kind: Compression) -> None:
    """A changed byte in the middle is found by the format's own checksum at the latest."""
    data = bytearray(made_elsewhere(kind, TEXT))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(ArchiveError):
        decode(kind, bytes(data))


@pytest.mark.parametrize("flags", range(0, 32, 2))
@pytest.mark.parametrize("step", [1, 7, 1 << 30])
def test_gzip_headers(flags: int, step: int) -> None:
    """A gzip header may hold extra data, a name, a comment and a checksum, and arrive in pieces."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff"
    header += b"\x05\0extra" if flags & 4 else b""
    header += b"layer.tar\0" if flags & 8 else b""
    header += b"a comment\0" if flags & 16 else b""
    header += struct.pack("<H", zlib.crc32(header) & 0xFFFF) if flags & 2 else b""
    text = TEXT[:2000]
    deflate = zlib.compressobj(wbits=-15)
    body = deflate.compress(text) + deflate.flush()
    assert decode(Compression.GZIP, header + body + struct.pack("<II", zlib.crc32(text), len(text)), step) == text


@pytest.mark.parametrize("step", [1, 1 << 30])
@pytest.mark.parametrize("options", [{}, {"write_checksum": True}, {"write_content_size": False}, {"level": 9}])
def test_zstd_frames(step: int, options: dict[str, int]) -> None:
    """Every shape of frame header is followed, and skippable frames between and after (zstd:chunked) give nothing."""
    text = TEXT[:6000]
    pieces = zstandard.ZstdCompressor(**options).compressobj()  # type: ignore[arg-type]
    streamed = pieces.compress(text) + pieces.flush()
    at_once = zstandard.ZstdCompressor(**options).compress(text)  # type: ignore[arg-type]
    small = zstandard.ZstdCompressor(**options).compress(b"small")  # type: ignore[arg-type]
    zeros = zstandard.ZstdCompressor(**options).compress(bytes(300_000))  # type: ignore[arg-type]
    data = streamed + SKIPPABLE + at_once + small + zeros + SKIPPABLE + SKIPPABLE
    assert decode(Compression.ZSTD, data, step) == text + text + b"small" + bytes(300_000)


def test_zstd_cut_in_a_skippable_frame() -> None:
    """Also what gives no bytes must be whole: a zstd:chunked layer that lost its end is not the layer."""
    with pytest.raises(ArchiveTruncated):
        decode(Compression.ZSTD, compress(TEXT, "zstd") + SKIPPABLE[:-1])


def test_zstd_window() -> None:
    """A frame that asks for more memory than there is for its window is refused, and the sentence says so."""
    two_gibibytes, four_gibibytes = (b"\x28\xb5\x2f\xfd\0" + size + b"\x01\0\0" for size in (b"\xa8", b"\xb0"))
    with pytest.raises(CompressionFailed, match="its window needs more memory than"):
        decode(Compression.ZSTD, four_gibibytes)
    with pytest.raises(CompressionFailed, match="its window needs more memory than"):
        ZstdDecoder(Drip(two_gibibytes), 1 << 27, 1 << 18).readinto(memoryview(bytearray(10)))


@pytest.mark.skipif(largest_window() < 1 << 31, reason="less than 2 GiB of memory are free")
def test_largest_zstd_window() -> None:
    """The largest window that any zstd stream has is taken where there is memory for it."""
    assert decode(Compression.ZSTD, b"\x28\xb5\x2f\xfd\0\xa8\x01\0\0") == b""


def test_skippable_frame_first() -> None:
    """What begins with a skippable frame, as pzstd writes it, is zstd, unless lz4 follows."""
    assert sniff(SKIPPABLE) is Compression.ZSTD
    assert decode(Compression.ZSTD, SKIPPABLE + compress(TEXT, "zstd")) == TEXT
    with pytest.raises(ArchiveForeign, match="lz4"):
        decode(Compression.ZSTD, SKIPPABLE + b"\x04\x22\x4d\x18" + bytes(20))


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"PK\x03\x04", "zip"), (b"070701", "cpio"), (b"!<arch>\ndebian-binary   ", "Debian package"),
        (b"!<arch>\nother.o/", "ar archive"), (b"\x04\x22\x4d\x18", "lz4"), (b"\x5d\0\0\x80", "lzma"),
        (b"LZIP\x01", "lzip"), (b"\x1f\x9d\x90", "compress"), (b"\x1f\x8b\x08", "gzip"), (b"hsqs", "squashfs"),
        (b"XFSB", "xfs"), (b"QFI\xfb\0\0\0\3", "qcow2"), (b"xar!\0\x1c", "xar"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [40, 5000])
def test_other_formats(head: bytes, name: str, size: int) -> None:
    """What is no tar is named for what it is, be it shorter than a header or longer."""
    with pytest.raises(ArchiveForeign, match=name) as caught:
        TarReader(ReaderWindows(Drip(head + b"x" * size)), lambda _raw: None).next()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("at", "mark", "name"),
    [
        (0x438, b"\x53\xef", "ext4"), (0x400, b"\xe2\xe1\xf5\xe0", "EROFS"), (0x8001, b"CD001", "ISO 9660"),
        (0x10040, b"_BHRfS_M", "btrfs"), (5000, b"x", "begins with blocks of zeros"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [0x10050, 1 << 20])
def test_image_of_a_file_system(at: int, mark: bytes, name: str, size: int) -> None:
    """An image that begins with zeros is no empty tar: it is named for what it is."""
    image = bytearray(size)
    image[at : at + len(mark)] = mark
    reader = TarReader(ReaderWindows(Drip(bytes(image))), lambda _raw: None)
    assert reader.next() is None
    with pytest.raises((ArchiveForeign, ArchiveMalformed), match=name):
        list(reader.new_rest())


def test_empty_tar() -> None:
    """Zeros alone are a tar without entries, however many there are."""
    reader = TarReader(ReaderWindows(Drip(bytes(1 << 20))), lambda _raw: None)
    assert reader.next() is None
    assert sum(map(len, reader.new_rest())) == (1 << 20) - 1024


@each
def test_small_rooms(kind: Compression) -> None:
    """A stream that explodes gives no more at once than there is room for, and takes no more than it needs."""
    bomb = made_elsewhere(kind, bytes(10_000_000)) * 120
    raw = Drip(bomb)
    buffer = memoryview(bytearray(1000))
    assert fill(open_decoder(kind, raw), buffer) == 1000
    assert len(bomb) - len(raw.rest) <= 1 << 19


@each
def test_errors_of_the_source(kind: Compression) -> None:
    """What goes wrong below the decoder is not taken for a fault of the stream."""

    class Failing(Drip):
        def readinto(self, buffer: memoryview, /) -> int:
            if not self.rest:
                raise SystemFailure("read", "the archive", OSError(5, ""))
            return super().readinto(buffer)

    decoder = open_decoder(kind, Failing(made_elsewhere(kind, TEXT)[:-20]))
    with pytest.raises(SystemFailure):
        fill(decoder, memoryview(bytearray(1 << 20)))


# ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", list(Compression), ids=lambda kind: kind.label)
def test_others_read_what_we_write(kind: Compression) -> None:
    """Whatever is written is recognised, read by other libraries, and the same each time."""

    def written() -> bytes:
        encoder = open_encoder(kind)
        return encoder.compress(memoryview(TEXT)[:7]) + encoder.compress(TEXT[7:]) + encoder.flush()

    assert sniff(written()) is kind
    assert FACTS[kind][3](written()) == TEXT
    assert written() == written()


@pytest.mark.parametrize("kind", list(Compression), ids=lambda kind: kind.label)
def test_nothing_compressed(kind: Compression) -> None:
    """An empty stream is a whole one."""
    assert FACTS[kind][3](open_encoder(kind).flush()) == b""


def test_gzip_header_tells_nothing() -> None:
    """No name and no time: the same layer gives the same bytes on any day."""
    encoder = open_encoder(Compression.GZIP)
    assert (encoder.compress(TEXT) + encoder.flush())[3:8] == bytes(5)


@each
def test_levels(kind: Compression) -> None:
    """A level is obeyed, and one that the format lacks is refused with those it has."""
    encoder = open_encoder(kind, 1)
    assert FACTS[kind][3](encoder.compress(TEXT) + encoder.flush()) == TEXT
    for wrong in (-1, 23):
        with pytest.raises(InvalidOption) as caught:
            open_encoder(kind, wrong)
        assert "from" in caught.value.hint
