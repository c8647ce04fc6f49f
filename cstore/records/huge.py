"""Read and write very large record files, which must not be in memory several times.

Most of their records are byte for byte the documents that programs print, so listing them needs no decoding: one
regular expression checks a block of a thousand records.
"""

from __future__ import annotations

from cstore.records import shapes
from cstore.records.codec import from_row
from cstore.records.model import key_of
from cstore.records.rows import parse_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cstore.records.model import R, Record
    from cstore.records.rows import Cut
    from cstore.records.shapes import Check

_BLOCK = 1000
_PLAIN = rb'"[ !#-%\'-;=?-\[\]-~]++"'  # text without escapes, neither JSON's nor Go's additional ones
_FORMS: dict[Check, bytes] = {
    shapes.text: _PLAIN,
    shapes.texts: rb"\[%b(?:,%b)*+\]" % (_PLAIN, _PLAIN),
    shapes.number: rb"-?[1-9][0-9]{0,17}+",
    shapes.owners: rb"\[(?:0|[1-9][0-9]{0,8}+)(?:,(?:0|[1-9][0-9]{0,8}+))*+\]",
}
"""Patterns of non-empty values, for the fields that have the same encoding in files and documents."""


def blocks(count: int) -> Iterator[tuple[int, int]]:
    """Return the blocks of a file that are read together: the first row, and the one after the last."""
    return ((first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK))


def in_passing(kind: type[R], block: bytes, count: int) -> Iterator[R | None]:
    """Yield the records of a block; None for each one that needs lenient reading."""
    rows = parse_whole(b"[%b]" % block)
    if rows is None or len(rows) != count:
        return (None for _ in range(count))
    return (from_row(kind, row) for row in rows)


def printed(kind: type[Record]) -> Callable[[bytes], object]:
    """Return a predicate that tests whether a block is the JSON documents of its records, separated by commas."""
    import re

    fields = [
        rb"(?:,%b)%b" % (b'"%b":%b' % (key.encode(), _FORMS[check]), b"" if key == "created" else b"?+")
        for key, (_, check) in shapes.COLUMNS[kind].items()
        if check in _FORMS and key != "id"
    ]
    record = rb'\{"id":%b%b\}' % (_PLAIN, b"".join(fields))
    return re.compile(b"%b(?:,%b)*+" % (record, record)).fullmatch


def texts_in(block: bytes, field: str) -> Iterator[str]:
    """Yield the values of a text field in a block that is `printed`, where no text contains a quotation mark."""
    import re

    return (text.decode() for text in re.findall(b'"%b":"([^"]++)"' % key_of(field).encode(), block))


def pieces(source: Cut, base: bytes, count: int, changed: Mapping[int, bytes | None]) -> list[bytes | memoryview]:
    """Return a file's new contents in pieces: changed rows (None to remove one), unchanged runs, and commas."""
    view, kept = memoryview(base), 0
    found: list[bytes | memoryview] = []
    for number, text in [*sorted(changed.items()), (count, None)]:
        if number > kept:
            found += [b",", view[source.span(kept)[0] : source.span(number - 1)[1]]]
        if text is not None:
            found += [b",", text]
        kept = number + 1
    return found[1:]
