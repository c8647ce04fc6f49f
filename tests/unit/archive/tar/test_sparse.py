"""Maps of sparse files, in four formats, and what is wrong with some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cstore.archive.tar.reader import ReaderWindows, TarReader
from cstore.archive.tar.sparse import check_map
from cstore.errors import ArchiveError, ArchiveMalformed
from tests.builders import Entry, base256, make_tar, number, regular
from tests.unit.archive.tar.test_reader import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.archive.tar.header import Entry as Parsed


def first_entry(*parts: Entry | bytes) -> Parsed:
    """Read the first entry of an archive."""
    entry = TarReader(ReaderWindows(Source(make_tar(*parts))), lambda _: None).next()
    assert entry is not None
    return entry


def old_gnu(pairs: list[tuple[int, int]], body: bytes, size: int) -> bytes:
    """Write a type `S` entry; its map goes on in blocks of 21 pairs."""

    def fields(some: list[tuple[int, int]]) -> bytes:
        return b"".join(number(value, 12) for pair in some for value in pair)

    first, rest = pairs[:4], pairs[4:]
    raw: dict[str | int, bytes] = {386: fields(first), 482: bytes([bool(rest)]), 483: base256(size, 12)}
    header = regular("sparse", body, type=b"S", magic=b"ustar  \0", raw=raw).header()
    blocks = []
    while rest:
        some, rest = rest[:21], rest[21:]
        blocks.append(fields(some).ljust(504, b"\0") + bytes([bool(rest)]) + bytes(7))
    return header + b"".join(blocks) + body + bytes(-len(body) % 512)


@pytest.mark.parametrize("count", [0, 1, 4, 5, 25, 26, 100])
def test_old_gnu(count: int) -> None:
    """The map of the oldest format goes on in as many blocks as it needs."""
    pairs = [(place * 10_000, 7) for place in range(count)]
    entry = first_entry(old_gnu(pairs, b"x" * 7 * count, count * 10_000))

    assert entry.sparse == tuple(pairs)
    assert (entry.size, entry.stored) == (count * 10_000, 7 * count)


PAX_1 = {
    b"GNU.sparse.major": b"1",
    b"GNU.sparse.minor": b"0",
    b"GNU.sparse.name": b"real",
    b"GNU.sparse.realsize": b"99",
}
PAX_01 = {b"GNU.sparse.major": b"0", b"GNU.sparse.minor": b"1", b"GNU.sparse.size": b"99"}


@pytest.mark.parametrize("count", [0, 1, 60, 300])
def test_pax_1(count: int) -> None:
    """Format 1.0 has its map before the contents."""
    text = b"%d\n" % count + b"".join(b"%d\n1\n" % (2 * place) for place in range(count))
    body = text.ljust(-(-len(text) // 512) * 512, b"\0") + b"x" * count
    entry = first_entry(regular("GNUSparseFile.1/x", body, pax={**PAX_1, b"GNU.sparse.realsize": b"%d" % (2 * count)}))

    assert entry.sparse == tuple((2 * place, 1) for place in range(count))
    assert (entry.name, entry.size, entry.stored) == (b"real", 2 * count, count)


def test_pax_0() -> None:
    """Formats 0.0 and 0.1 have it in their records; without a version it is recognised by the map."""
    for version in ({}, {b"GNU.sparse.major": b"0", b"GNU.sparse.minor": b"0"}, PAX_01):
        pax = {**version, b"GNU.sparse.size": b"99", b"GNU.sparse.numblocks": b"2", b"GNU.sparse.map": b"0,1,50,2"}
        entry = first_entry(regular("f", b"abc", pax=pax))
        assert (entry.sparse, entry.size) == (((0, 1), (50, 2)), 99)


def test_pax_0_pairs() -> None:
    """Format 0.0 repeats its keys, in strict order."""
    from tests.builders import pax_header, pax_record

    def header(*keys: bytes) -> bytes:
        values = {b"offset": [b"0", b"50"], b"numbytes": [b"1", b"2"]}
        records = [pax_record(b"GNU.sparse." + key, values[key].pop(0)) for key in keys]
        more = [pax_record(b"GNU.sparse.numblocks", b"2"), pax_record(b"GNU.sparse.size", b"99")]
        return pax_header(b"".join(more + records))

    right = header(b"offset", b"numbytes", b"offset", b"numbytes")
    assert first_entry(right, regular("f", b"abc")).sparse == ((0, 1), (50, 2))
    with pytest.raises(ArchiveMalformed, match="unordered"):
        first_entry(header(b"offset", b"offset"), regular("f", b"abc"))


def test_unknown_version() -> None:
    """A version that nobody knows is an ordinary file."""
    assert first_entry(regular("f", b"abc", pax={b"GNU.sparse.major": b"2", b"GNU.sparse.minor": b"0"})).sparse is None


@pytest.mark.parametrize(
    ("pax", "body"),
    [
        ({**PAX_01, b"GNU.sparse.map": b"0,1"}, b"a"),
        ({**PAX_01, b"GNU.sparse.numblocks": b"1", b"GNU.sparse.map": b"0"}, b"a"),
        ({**PAX_01, b"GNU.sparse.numblocks": b"1", b"GNU.sparse.map": b"0,x"}, b"a"),
        ({**PAX_01, b"GNU.sparse.numblocks": b"-1", b"GNU.sparse.map": b""}, b"a"),
        ({**PAX_01, b"GNU.sparse.numblocks": b"1", b"GNU.sparse.map": b"98,2"}, b"ab"),
        ({**PAX_01, b"GNU.sparse.numblocks": b"1", b"GNU.sparse.map": b"0,2"}, b"a"),
        ({**PAX_01, b"GNU.sparse.numblocks": b"1", b"GNU.sparse.map": b"0,1"}, b"ab"),
        ({**PAX_01, b"GNU.sparse.numblocks": b"2", b"GNU.sparse.map": b"5,1,4,1"}, b"ab"),
        ({**PAX_01, b"GNU.sparse.size": b"many", b"GNU.sparse.numblocks": b"0", b"GNU.sparse.map": b""}, b""),
        (PAX_1, b""),
        (PAX_1, b"x" * 512),
        (PAX_1, b"1\n0\n".ljust(512, b"\0")),
        (PAX_1, b"-1\n".ljust(512, b"\0")),
        (PAX_1, b"9999999999\n".ljust(512, b"\0")),
        (PAX_1, b"1\n0\nx\n".ljust(512, b"\0")),
    ],
)
def test_maps_that_make_no_sense(pax: Mapping[bytes, bytes], body: bytes) -> None:
    """A map that contradicts itself, the file or the body is refused."""
    with pytest.raises(ArchiveError):
        first_entry(regular("f", body, pax=pax))


def test_maps_without_end() -> None:
    """A map may not be longer than a megabyte, in any format."""
    endless = regular("f", type=b"S", magic=b"ustar  \0", raw={482: b"\1", 483: base256(1, 12)}).header()
    with pytest.raises(ArchiveMalformed, match="too long"):
        first_entry(endless + (bytes(504) + b"\1" + bytes(7)) * 3000)
    with pytest.raises(ArchiveMalformed, match=r"too long|impossible"):
        first_entry(regular("f", b"1" * 2_000_000, pax=PAX_1))


def test_map_of_another_dialect() -> None:
    """Type `S` of a dialect that is not GNU's has a layout that nobody knows."""
    with pytest.raises(ArchiveMalformed, match="dialect"):
        first_entry(regular("f", type=b"S"))


def test_sparse_directory() -> None:
    """Only files are sparse."""
    pax = {**PAX_01, b"GNU.sparse.numblocks": b"1", b"GNU.sparse.map": b"0,1"}
    with pytest.raises(ArchiveMalformed, match="not a file"):
        first_entry(regular("f", type=b"5", pax=pax))


@pytest.mark.parametrize(
    ("parts", "size", "stored", "peer"),
    [
        (((0, 5),), 5, 4, "sparse file references non-existent data"),
        (((0, 3),), 5, 4, "sparse file contains unreferenced data"),
        (((3, 2**63),), 5, 4, "invalid tar header"),
        (((-1, 2),), 5, 2, "invalid tar header"),
        (((0, -2),), 5, 2, "invalid tar header"),
        ((), -1, 0, "invalid tar header"),
    ],
)
def test_checking(parts: Any, size: int, stored: int, peer: str) -> None:
    """Each contradiction has the peer's words."""
    with pytest.raises(ArchiveMalformed) as caught:
        check_map(parts, size, stored, 0)
    assert caught.value.go_text == f"archive/tar: {peer}"
