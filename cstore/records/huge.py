"""Record files so large that they are not held in memory several times over: read in passing, written from pieces."""

from __future__ import annotations

from cstore.records.codec import from_row
from cstore.records.rows import parse_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cstore.records.model import R
    from cstore.records.rows import Cut

_BLOCK = 1000


def in_passing(kind: type[R], source: Cut, count: int) -> Iterator[R | None]:
    """Read the records of a file, a block at a time; None is one that takes more tolerance than is to be had here."""
    for first in range(0, count, _BLOCK):
        last = min(first + _BLOCK, count)
        rows = parse_whole(b"[%b]" % source.block(first, last))
        if rows is None or len(rows) != last - first:
            yield from (None for _ in range(first, last))
        else:
            yield from (from_row(kind, row) for row in rows)


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
