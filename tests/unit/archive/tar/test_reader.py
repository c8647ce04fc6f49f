"""The stream of entries: what belongs together, where it ends, and that no byte is lost."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from cstore.archive.tar.header import DIRECTORY, PAX_GLOBAL, REGULAR
from cstore.archive.tar.reader import ReaderWindows, TarReader
from cstore.errors import ArchiveMalformed, ArchiveTruncated
from tests.builders import (
    END,
    Entry,
    directory,
    gnu_long,
    hardlink,
    make_tar,
    pax_header,
    regular,
    symlink,
    typical_tar,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Source:
    """Gives some bytes, `step` at a time."""

    def __init__(self, data: bytes, step: int = 1 << 20) -> None:
        self._file = io.BytesIO(data)
        self._step = step

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the front of `buffer`."""
        return self._file.readinto(buffer[: self._step])


class Read:
    """An archive taken apart: its entries with their bodies, and all its bytes put together again."""

    def __init__(self, data: bytes, step: int = 1 << 20) -> None:
        self.whole = bytearray()
        self.entries: list[Any] = []
        self.bodies: list[bytes] = []
        reader = TarReader(ReaderWindows(Source(data, step)), self.whole.extend)
        while (entry := reader.next()) is not None:
            self.entries.append(entry)
            self.bodies.append(b"".join(self._body(reader)))
        for piece in reader.rest():
            self.whole += piece
        assert reader.offset == len(data)

    def _body(self, reader: TarReader) -> Iterator[bytes]:
        while reader.left:
            piece = bytes(reader.take(reader.left))
            self.whole += piece
            yield piece


@pytest.mark.parametrize("step", [1, 7, 511, 512, 513, 4096, 1 << 20])
def test_windows_of_any_size(step: int) -> None:
    """However the stream is cut into windows, the same comes out, and every byte of it."""
    data = typical_tar(size=2000, files=5) + b"and something behind it"
    whole, stepped = Read(data), Read(data, step)

    assert stepped.whole == data
    assert stepped.bodies == whole.bodies
    assert [entry.name for entry in stepped.entries] == [entry.name for entry in whole.entries]


def test_bodies_may_be_left() -> None:
    """A reader that is asked for the next entry skips what was not taken."""
    data = make_tar(regular("a", b"x" * 3_000_000), regular("b", b"y"))
    reader = TarReader(ReaderWindows(Source(data)), lambda _: None)

    names = []
    while (entry := reader.next()) is not None:
        names.append(entry.name)
    assert names == [b"a", b"b"]


def test_old_types() -> None:
    """A NUL as type is a directory if the name says so, else a file; a `0` stays a file."""
    read = Read(make_tar(regular("d/", type=b"\0"), regular("f", b"1", type=b"\0"), regular("g/", b"2")))

    assert [entry.type for entry in read.entries] == [DIRECTORY, REGULAR, REGULAR]
    assert read.bodies == [b"", b"1", b"2"]


def test_extensions_count_once() -> None:
    """What stands before an entry changes that one and no other; the later of two PAX headers replaces the first."""
    data = make_tar(
        pax_header({b"path": b"replaced", b"uid": b"5"}), pax_header({b"gid": b"6"}), regular("a"), regular("b"),
        gnu_long(b"long-name"), gnu_long(b"long-link", b"K"), pax_header({b"path": b"pax"}), symlink("c", "x"),
        symlink("d", "y"),
    )  # fmt: skip

    found = [(entry.name, entry.link, entry.uid, entry.gid) for entry in Read(data).entries]
    assert found == [
        (b"a", b"", 0, 6), (b"b", b"", 0, 0), (b"long-name", b"long-link", 0, 0), (b"d", b"y", 0, 0),
    ]  # fmt: skip


def test_global_header() -> None:
    """A global header is an entry of its own without size, and makes what stood before it be forgotten."""
    read = Read(
        make_tar(pax_header({b"path": b"x"}), pax_header({b"path": b"y"}, type_=b"g", name=b"glob"), regular("a", b"1"))
    )

    assert [(entry.name, entry.type, entry.size) for entry in read.entries] == [
        (b"glob", PAX_GLOBAL, 0),
        (b"a", REGULAR, 1),
    ]


def test_no_body_without_a_file() -> None:
    """A size on a link or directory does not make the reader skip anything, not even a negative one."""
    data = make_tar(
        hardlink("h", "x", size=5000),
        directory("d", size=700),
        symlink("s", "x", pax={b"size": b"-5"}),
        regular("f", b"1"),
    )

    assert Read(data).bodies == [b"", b"", b"", b"1"]


def test_size_by_record() -> None:
    """The size of a PAX header counts, and not the one in the header."""
    data = make_tar(regular("f", b"x" * 600, size=0, pax={b"size": b"600"}), regular("g", b"1"))

    assert Read(data).bodies == [b"x" * 600, b"1"]


# ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "end", [b"", bytes(512), bytes(1024), bytes(10240), END + b"junk", END + regular("x").blocks()]
)
def test_ends(end: bytes) -> None:
    """An archive ends with two zero blocks, one, or none; whatever follows is not looked at."""
    data = make_tar(regular("f", b"1"), end=end)
    read = Read(data)

    assert [entry.name for entry in read.entries] == [b"f"]
    assert read.whole == data


@pytest.mark.parametrize("size", [1, 511])
def test_end_inside_padding(size: int) -> None:
    """A stream cut inside padding is complete, also behind an extended header that nothing follows."""
    for data in (regular("f", b"1").blocks()[:-size], pax_header({b"path": b"x"})[:-size]):
        if len(data) > 1024 - 512 + 11:
            assert Read(data).whole == data


@pytest.mark.parametrize("data", [b"x", b"x" * 511, regular("f").blocks() + b"x" * 100, bytes(512) + b"x" * 10])
def test_end_inside_a_header(data: bytes) -> None:
    """A stream cut inside a header is an error with its place."""
    with pytest.raises(ArchiveTruncated) as caught:
        Read(data)
    assert (caught.value.offset, caught.value.go_text) == (len(data), "unexpected EOF")


@pytest.mark.parametrize("data", [regular("f", b"x" * 100).blocks()[:600], pax_header({b"path": b"x" * 600})[:700]])
def test_end_inside_a_body(data: bytes) -> None:
    """So is one that is cut inside contents."""
    with pytest.raises(ArchiveTruncated):
        Read(data)


def test_cut_after_any_byte() -> None:
    """An archive cut after any byte is read as far as it goes, and is complete or an error with its place."""
    data = make_tar(
        pax_header({b"mtime": b"1.5"}),
        directory("d"),
        gnu_long(b"x" * 600),
        regular("cut", b"12345"),
        hardlink("h", "d/f"),
    )
    complete = set()
    for end in range(len(data)):
        try:
            assert Read(data[:end]).whole == data[:end]
        except ArchiveTruncated as error:
            assert error.offset == end  # noqa: PT017  - most ends are inside something
        else:
            complete.add(end)

    assert {0, 1024, 1536, len(data) - 1024, len(data) - 512} <= complete
    assert not complete & set(range(1, 512))


def test_one_zero_block() -> None:
    """Zeros followed by a header are neither an end nor an entry."""
    with pytest.raises(ArchiveMalformed, match="at byte 512: another header follows a block of zeros"):
        Read(bytes(512) + regular("f").blocks())


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("type_", [b"x", b"g", b"L", b"K"])
def test_long_extensions(type_: bytes) -> None:
    """An extended header may have a megabyte and no more."""
    header = Entry(b"header", b"x" * ((1 << 20) + 1), type=type_, magic=b"ustar  \0").blocks()
    with pytest.raises(ArchiveMalformed) as caught:
        Read(make_tar(header, regular("f")))
    assert caught.value.go_text == "archive/tar: header field too long"


def test_extensions_without_end() -> None:
    """Headers that follow one another for ever go by; they are not gathered in memory."""
    header = pax_header({b"comment": b"x" * 900_000})
    kept: list[int] = []
    reader = TarReader(ReaderWindows(Source(header * 20 + make_tar(regular("f")))), lambda data: kept.append(len(data)))
    entry = reader.next()

    assert entry is not None
    assert entry.name == b"f"
    assert len(kept) >= 10
    assert max(kept) < 3 << 20
