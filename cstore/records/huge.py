"""Record files so large that they are not held in memory several times over: read in passing, written from pieces.

Most of their records are written as programs print them, byte for byte, so that nothing needs to be made of those to
list them: a block of a thousand is held against one regular expression.
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
_PLAIN = rb'"[ !#-%\'-;=?-\[\]-~]++"'  # text without escapes, neither JSON's nor those that Go adds
_FORMS: dict[Check, bytes] = {
    shapes.text: _PLAIN,
    shapes.texts: rb"\[%b(?:,%b)*+\]" % (_PLAIN, _PLAIN),
    shapes.number: rb"-?[1-9][0-9]{0,17}+",
    shapes.owners: rb"\[(?:0|[1-9][0-9]{0,8}+)(?:,(?:0|[1-9][0-9]{0,8}+))*+\]",
}
"""Formats of non-empty values, for the fields that are equal in a file and in a document."""


def blocks(count: int) -> Iterator[tuple[int, int]]:
    """The rows of a file, as many at a time as are read together: first, and one after the last."""
    return ((first, min(first + _BLOCK, count)) for first in range(0, count, _BLOCK))


def in_passing(kind: type[R], block: bytes, count: int) -> Iterator[R | None]:
    """Read the records of a block; None is one that takes more tolerance than is to be had here."""
    rows = parse_whole(b"[%b]" % block)
    if rows is None or len(rows) != count:
        return (None for _ in range(count))
    return (from_row(kind, row) for row in rows)


def printed(kind: type[Record]) -> Callable[[bytes], object]:
    """Make what says of a block whether its bytes are the JSON documents of its records, with commas between them."""
    import re

    fields = [
        rb"(?:,%b)%b" % (b'"%b":%b' % (key.encode(), _FORMS[check]), b"" if key == "created" else b"?+")
        for key, (_, check) in shapes.COLUMNS[kind].items()
        if check in _FORMS and key != "id"
    ]
    record = rb'\{"id":%b%b\}' % (_PLAIN, b"".join(fields))
    return re.compile(b"%b(?:,%b)*+" % (record, record)).fullmatch


def texts_in(block: bytes, field: str) -> Iterator[str]:
    """Return a text field of the records in a `printed` block in which no text has a quotation mark."""
    import re

    return (text.decode() for text in re.findall(b'"%b":"([^"]++)"' % key_of(field).encode(), block))


def pieces(source: Cut, base: bytes, count: int, changed: Mapping[int, bytes | None]) -> list[bytes | memoryview]:
    """Cut up a file of which some rows changed, or go where that is None: these, and what lies between, with commas."""
    view, kept = memoryview(base), 0
    found: list[bytes | memoryview] = []
    for number, text in [*sorted(changed.items()), (count, None)]:
        if number > kept:
            found += [b",", view[source.span(kept)[0] : source.span(number - 1)[1]]]
        if text is not None:
            found += [b",", text]
        kept = number + 1
    return found[1:]
