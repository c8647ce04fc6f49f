"""Read the maps of sparse files, which list the parts of a file that are in the archive, in four formats (archive 2).

A map is a tuple of (offset, length) in ascending order; the gaps between them are holes.
"""

from __future__ import annotations

from cstore import errors
from cstore.archive.tar.header import BLOCK, is_gnu, parse_number
from cstore.archive.tar.pax import LARGEST_SPECIAL, SPARSE_MAP, parse_decimal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cstore.archive.tar.header import Entry

SparseMap = tuple[tuple[int, int], ...]

_NUMBER = 12
_PAIR = 2 * _NUMBER
_HEADER_MAP, _HEADER_EXTENDED, _HEADER_SIZE = 386, 482, slice(483, 495)
_BLOCK_EXTENDED = 504
_TOO_LONG = "archive/tar: header field too long"


def read_gnu_map(entry: Entry, block: bytes, next_block: Callable[[], bytes], offset: int) -> SparseMap:
    """Read the map of a type `S` entry, which continues in the blocks after its header, and set the file's real size.

    Args:
        entry: the entry; its size is still that of the body.
        block: the header.
        next_block: returns the next block of the stream, which is not part of the body.
        offset: the header's offset in the stream, for the error.

    Raises:
        ArchiveMalformed: the header is not of the GNU dialect, or the map is invalid.
    """
    if not is_gnu(block):
        raise errors.ArchiveMalformed("it has a sparse file of an unknown dialect", offset)
    pairs: list[tuple[int, int]] = []
    try:
        entry.size = parse_number(block[_HEADER_SIZE])
        _add_pairs(pairs, block[_HEADER_MAP:_HEADER_EXTENDED])
        extended, blocks = block[_HEADER_EXTENDED], 0
        while extended:
            blocks += 1
            if blocks * BLOCK > LARGEST_SPECIAL:
                raise errors.ArchiveMalformed("the map of a sparse file is too long", offset, go_text=_TOO_LONG)
            more = next_block()
            _add_pairs(pairs, more[:_BLOCK_EXTENDED])
            extended = more[_BLOCK_EXTENDED]
    except ValueError as error:
        raise errors.ArchiveMalformed(f"in the map of a sparse file, {error}", offset) from None
    return tuple(pairs)


def _add_pairs(pairs: list[tuple[int, int]], fields: bytes) -> None:
    for place in range(0, len(fields), _PAIR):
        if not fields[place]:
            return
        middle, end = place + _NUMBER, place + _PAIR
        pairs.append((parse_number(fields[place:middle]), parse_number(fields[middle:end])))


def read_pax_map(
    entry: Entry, records: dict[bytes, bytes], next_block: Callable[[], bytes], offset: int
) -> SparseMap | None:
    """Read the map of PAX sparse formats 0.0, 0.1 and 1.0, and set the file's real name and size.

    Args:
        entry: the entry; its size is still that of the body.
        records: the records of its extended header.
        next_block: returns the next block of the body, where format 1.0 has its map.
        offset: the header's offset in the stream, for the error.

    Returns:
        The map, or None if the entry is not sparse in a known format.

    Raises:
        ArchiveMalformed: the map is invalid.
    """
    version = records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b"")
    in_body = version == (b"1", b"0")
    old = version in {(b"0", b"0"), (b"0", b"1")} or (version == (b"", b"") and records.get(SPARSE_MAP, b""))
    if not in_body and not old:
        return None
    entry.name = records.get(b"GNU.sparse.name") or entry.name
    if b"\0" in entry.name:
        raise errors.ArchiveMalformed("the name of a sparse file has a NUL byte", offset)
    size = records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize")
    try:
        if size:
            entry.size = parse_decimal(size)
        if in_body:
            return _read_body_map(next_block)
        count = parse_decimal(records.get(b"GNU.sparse.numblocks", b""))
        text = records.get(SPARSE_MAP, b"")
        numbers = text.split(b",") if text else []
        if count < 0 or len(numbers) != 2 * count:
            raise ValueError("has fewer parts than it says")  # noqa: TRY301  - as for a number that is none
        return _pair_up(parse_decimal(number) for number in numbers)
    except ValueError as error:
        raise errors.ArchiveMalformed(f"the map of a sparse file {error}", offset) from None


def _read_body_map(next_block: Callable[[], bytes]) -> SparseMap:
    """Read a map in format 1.0: decimal numbers, one per line, first the number of pairs; padded to whole blocks."""
    text = bytearray(next_block())
    while b"\n" not in text:
        _read_more(text, next_block)
    first, _, _ = text.partition(b"\n")
    count = parse_decimal(bytes(first))
    if count < 0 or 4 * count > LARGEST_SPECIAL:
        raise ValueError("has an impossible number of parts")
    lines = text.count(b"\n")
    while lines < 2 * count + 1:
        lines += _read_more(text, next_block)
    numbers = bytes(text).split(b"\n", 2 * count + 1)[1 : 2 * count + 1]
    return _pair_up(parse_decimal(number) for number in numbers)


def _read_more(text: bytearray, next_block: Callable[[], bytes]) -> int:
    """Add a block; return the number of line ends in it."""
    if len(text) + BLOCK > LARGEST_SPECIAL:
        raise ValueError("is too long")
    block = next_block()
    text += block
    return block.count(b"\n")


def _pair_up(numbers: Iterable[int]) -> SparseMap:
    source = iter(numbers)
    return tuple(zip(source, source, strict=True))


def check_map(parts: SparseMap, size: int, stored: int, offset: int) -> None:
    """Check that a map is in order, inside the file, and as long as the body.

    Raises:
        ArchiveMalformed: it is not.
    """
    last = 0
    for start, length in parts:
        if start < last or length < 0 or start + length > size:
            raise errors.ArchiveMalformed("the map of a sparse file is unordered or exceeds the file", offset)
        last = start + length
    if size < 0:
        raise errors.ArchiveMalformed("a sparse file has a negative size", offset)
    total = sum(length for _, length in parts)
    if total != stored:
        go_text = "references non-existent data" if total > stored else "contains unreferenced data"
        reason = f"a sparse file's map covers {total} bytes, but its body has {stored}"
        raise errors.ArchiveMalformed(reason, offset, go_text=f"archive/tar: sparse file {go_text}")
