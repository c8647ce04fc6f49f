"""Find the entries of one path in a tar-split file without decoding the lines of all others."""

from __future__ import annotations

from cstore.archive.names import clean_name
from cstore.archive.tarsplit import MANY_LINES, SEGMENT_HEAD, FileEntry, read_line, read_pieces
from cstore.errors import ArchiveError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SHORT = 4
"""Bytes in the longest name that segments often contain by chance."""

_MANY_HITS = 100
"""Matching lines after which the rest of a piece is read completely, because searching for each one costs more."""


def last_files(path: str, top: bytes) -> dict[bytes, FileEntry]:
    """Return the entries of a path and everything below it: for each cleaned name the last one, as in the layer.

    Raises:
        TarSplitDamaged, SystemFailure: as `tarsplit.read_lines`.
    """
    last, below = top.rpartition(b"/")[2], top + b"/" if top else b""
    ends = (last,) if len(last) > _SHORT else (last + b'"', last + b"/")
    found: dict[bytes, FileEntry] = {}
    left = MANY_LINES
    for text in _lines_with(path, (*ends, b"\\", b"name_raw") if top else (b"",)):
        if text.startswith(SEGMENT_HEAD):
            continue
        left -= 1
        line = read_line(text, path, few=left > 0)
        if isinstance(line, FileEntry):
            try:
                name = clean_name(line.name)
            except ArchiveError:
                continue  # no file of the layer has such a name
            if name == top or name.startswith(below):
                found[name] = line
    return found


def _lines_with(path: str, marks: tuple[bytes, ...]) -> Iterator[bytes]:
    """Yield all lines that contain one of the marks; if these are few, no other lines are split off."""
    for piece in read_pieces(path):
        at, hits, nearest = 0, 0, [piece.find(mark) for mark in marks]
        while hits < _MANY_HITS and (places := [place for place in nearest if 0 <= place < len(piece)]):
            place = min(places)
            end = piece.find(b"\n", place)
            yield piece[piece.rfind(b"\n", at, place) + 1 or at : end]
            at, hits = end + 1, hits + 1
            pairs = zip(marks, nearest, strict=True)
            nearest = [piece.find(mark, at) if 0 <= place < at else place for mark, place in pairs]
        if at < len(piece) and hits == _MANY_HITS:
            yield from piece[at:-1].split(b"\n")
