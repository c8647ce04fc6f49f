"""Split a record file into rows, one per record, reading only IDs and names.

A small file is parsed. In a large file, only the seams between its records are searched. They are unambiguous in a file
without white space whose records begin with their ID, as the Go tools and cstore write them; files truncated or filled
with zeros by a crash do not have that shape. Errors inside a record are found when the record is read. A file with
another shape is parsed, and `lenient` handles files that cannot be parsed.
"""

from __future__ import annotations

import gc

from cstore.records.shapes import REFUSALS, after_blank, columns_of, load, scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import KeysView, Mapping, Sequence
    from typing import Any

    Row = dict[str, Any]
    """A parsed record, by its keys on disk."""

    Head = tuple[str, Sequence[str]]
    """The ID and names of a record."""

LARGE = 1 << 17
"""Minimum size in bytes of a file that is not parsed as a whole."""

_START, _SEAM = b'[{"id":"', b'},{"id":"'
_NAMES, _DIGEST = b',"names":[', b',"digest":"'
_NAMES_INITIAL, _DIGEST_INITIAL = _NAMES[2], _DIGEST[2]
_CAPITALS = [bytes([letter]) for letter in b"NAMESID"]
_TEXT = frozenset({str})
_COMMA = b'","'
_ESCAPED = frozenset({'"', "/", "\\", *map(chr, range(0x20))})
"""Characters with an escape other than `\\u`, which can represent any character."""
_PLAIN = bytes(code for code in range(0x20, 0x7F) if code not in b'"\\')


def read_rows(kind: type, data: bytes) -> Parsed | Cut | None:
    """Split a file into rows; None if that needs lenient reading or an error message."""
    if len(data) >= LARGE:
        cut = cut_at_seams(data)
        if cut is not None:
            return cut
    parsed = parse(data)
    columns = columns_of(kind).keys()
    return parsed if parsed is not None and all(_has_head(row, columns) for row in parsed.rows) else None


def _has_head(row: Any, columns: KeysView[str]) -> bool:
    """Return whether a row has a valid ID and valid names."""
    if type(row) is not dict or not row.get("id") or type(row["id"]) is not str:
        return False
    names = row.get("names", [])
    if type(names) is not list or not _TEXT.issuperset(map(type, names)):
        return False
    return row.keys() <= columns or all(key in columns or key.lower() not in columns for key in row)


# ── parsed ──


class Parsed:
    """The rows of a file that is valid JSON, and their offsets in its text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.rows: list[Row] = []
        self.spans: list[tuple[int, int]] = []

    def heads(self) -> list[Head]:
        """Return ID and names of each record."""
        return [(row["id"], row.get("names", ())) for row in self.rows]

    def raw(self, number: int) -> bytes:
        """Return the bytes of a row."""
        start, end = self.spans[number]
        return self._text[start:end].encode()

    def mentioning(self, word: str) -> list[int] | None:
        """Return the numbers of the rows that contain a text; None if a search cannot find them."""
        if "\\" in self._text and (not _ESCAPED.isdisjoint(word) or "\\u" in self._text):
            return None  # the text may be spelled with escapes
        found: list[int] = []
        place = self._text.find(word)
        if place < 0:
            return found
        from bisect import bisect_right

        while place >= 0:
            number = max(bisect_right(self.spans, place, key=lambda span: span[0]) - 1, 0)
            found.append(number)
            place = self._text.find(word, max(self.spans[number][1], place + 1)) if self.spans else -1
        return found if self.spans else []

    def scan(self) -> None:
        """Parse the text, which must be a list.

        Raises:
            ValueError, StopIteration, RecursionError, SystemError: it is not a valid list.
        """
        place = after_blank(self._text, 0)
        if self._text.startswith("null", place):
            end = place + 4
        elif self._text.startswith("[", place):
            end = self._scan_elements(after_blank(self._text, place + 1))
        else:
            raise ValueError("it is not a list")
        if after_blank(self._text, end) < len(self._text):
            raise ValueError("there is data after the list")

    def _scan_elements(self, place: int) -> int:
        """Parse the elements of a list, starting at the first one; return the offset after the closing bracket."""
        text = self._text
        if text.startswith("]", place):
            return place + 1
        while True:
            row, end = scan(text, place)
            self.rows.append(row)
            self.spans.append((place, end))
            mark = after_blank(text, end)
            if text.startswith("]", mark):
                return mark + 1
            if not text.startswith(",", mark):
                raise ValueError("there is neither ',' nor ']'")
            place = after_blank(text, mark + 1)


def parse_whole(data: bytes) -> list[Any] | None:
    """Parse a file like `parse`, without the offsets of its rows."""
    at_work = gc.isenabled()
    gc.disable()  # it would scan thousands of new objects repeatedly
    try:
        rows = load(data)
    except ValueError:
        return None
    finally:
        if at_work:
            gc.enable()
    sound = isinstance(rows, list) and not _has_surrogates(data)
    return rows if sound else [] if rows is None else None


def parse(data: bytes) -> Parsed | None:
    """Parse a file that is valid JSON; None if it is not, or needs lenient reading."""
    at_work = gc.isenabled()
    gc.disable()  # it would scan thousands of new objects repeatedly
    try:
        parsed = Parsed(data.decode())
        parsed.scan()
    except REFUSALS:
        return None
    finally:
        if at_work:
            gc.enable()
    return None if _has_surrogates(data) else parsed


def _has_surrogates(data: bytes) -> bool:
    """Return whether there may be a lone surrogate, which Python accepts, and Go replaces by U+FFFD."""
    return b"\\" in data and (b"\\ud" in data or b"\\uD" in data)


# ── cut ──


class Cut:
    """The rows of a large file: the heads of its records, and the offsets of their IDs.

    Attributes:
        printed: the first rows of the blocks whose bytes are known to be the documents that programs print; see `huge`.
        searchable: whether a text in a record is found by its bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.printed: set[int] = set()
        self.searchable = True
        self.data = data
        self._heads: list[Head] = []
        self._starts: list[int] = []

    @classmethod
    def of_texts(cls, texts: Sequence[bytes]) -> Cut:
        """Return the file that consists of these rows, without their heads."""
        from itertools import accumulate

        cut = cls(b"[%b]" % b",".join(texts))
        cut._starts = list(accumulate((len(text) + 1 for text in texts[:-1]), initial=len(_START))) if texts else []
        return cut

    def changed(self, changes: Mapping[int, bytes | None], added: Sequence[bytes]) -> Cut:
        """Return the file with other texts in some rows, None to remove one, and `added` ones; without its heads."""
        view, kept, shift = memoryview(self.data), 0, 0
        parts: list[bytes | memoryview] = []
        starts: list[int] = []
        for number in (*sorted(changes), self.count):
            if number > kept:
                parts += [b",", view[self.span(kept)[0] : self.span(number - 1)[1]]]
                starts += [start + shift for start in self._starts[kept:number]]
            if number < self.count:
                text, (start, end) = changes[number], self.span(number)
                if text is not None:
                    parts += [b",", text]
                    starts.append(self._starts[number] + shift)
                shift += start - end + (-1 if text is None else len(text))
            kept = number + 1
        place = len(_START) + shift + (self.span(self.count - 1)[1] if self._starts else 0)
        for text in added:
            parts += [b",", text]
            starts.append(place)
            place += len(text) + 1
        cut = Cut(b"".join([b"[", *parts[1:], b"]"]))
        cut._starts, cut.searchable = starts, self.searchable
        return cut

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self._starts)

    def heads(self) -> list[Head]:
        """Return ID and names of each record."""
        return self._heads

    def raw(self, number: int) -> bytes:
        """Return the bytes of a row."""
        start, end = self.span(number)
        return self.data[start:end]

    def mentioning(self, word: str) -> list[int] | None:
        """Return the numbers of the rows that contain a text; None if a search cannot find them."""
        needle = word.encode(errors="replace")
        if not self.searchable or (b"\\" in self.data and (not _ESCAPED.isdisjoint(word) or b"\\u" in self.data)):
            return None  # the text may be spelled with escapes
        found: list[int] = []
        place = self.data.find(needle)
        if place < 0:
            return found
        from bisect import bisect_right

        while place >= 0:
            number = max(bisect_right(self._starts, place + len(_START) - 1) - 1, 0)
            found.append(number)
            place = self.data.find(needle, max(self.span(number)[1], place + 1))
        return found

    def block(self, first: int, end: int) -> bytes:
        """Return the bytes of several rows, with the commas between them."""
        return self.data[self.span(first)[0] : self.span(end - 1)[1]]

    def span(self, number: int) -> tuple[int, int]:
        """Return the offsets of a row's start and end, including its braces, without the comma after it."""
        last = number + 1 == len(self._starts)
        end = len(self.data) - 1 if last else self._starts[number + 1] - len(_SEAM) + 1
        return self._starts[number] - len(_START) + 1, end

    def scan(self) -> None:
        """Find all seams, and read the heads.

        Raises:
            ValueError, IndexError, StopIteration, SystemError: a record does not begin with ID and names.
        """
        data, place, seam_length = self.data, len(_START), len(_SEAM)
        add_head, add_start, quote, seam = self._heads.append, self._starts.append, data.index, data.find
        while True:
            end = quote(b'"', place)
            if end == place:
                raise ValueError("an ID is empty")
            names: Sequence[str] = ()
            after = end + 1
            initial = data[after + 2]  # a fast test for the rare records with names or a digest
            if initial == _DIGEST_INITIAL and data.startswith(_DIGEST, after):  # an image's, between ID and names
                after = quote(b'"', after + len(_DIGEST)) + 1
                initial = data[after + 2]
            if initial == _NAMES_INITIAL and data.startswith(_NAMES, after):
                names = _names(data[after + len(_NAMES) - 1 : data.index(b"]", after) + 1])
            add_head((data[place:end].decode(), names))
            add_start(place)
            place = seam(_SEAM, end) + seam_length
            if place < seam_length:
                return

    def is_whole(self) -> bool:
        """Return whether the seams are certainly those between the records."""
        data, count = self.data, len(self._heads)
        if b"\\" in data and any("\\" in identifier for identifier, _ in self._heads):
            return False
        # A list of objects inside a record may contain a seam, too, and would be split there. Most files have none.
        flat = data.count(b"{") == count or (data.count(b"[{") == 1 and data.count(b",{") == count - 1)
        if not flat and not all(_is_sound(self.raw(number)) for number in range(count)):
            return False
        # If there are more of these keys than records, some are elsewhere, or repeated.
        named = sum(1 for _, names in self._heads if names)
        return data.count(b'"id":') == count and data.count(b'"names":') == named


def cut_at_seams(data: bytes) -> Cut | None:
    """Split a file at the seams between its records; None if it does not have the required shape."""
    if not (data.startswith(_START) and data.endswith(b"}]")) or b"\0" in data or _has_odd_keys(data):
        return None
    cut = Cut(data)
    try:
        cut.scan()
    except (*REFUSALS, IndexError):
        return None
    return cut if cut.is_whole() else None


def _has_odd_keys(data: bytes) -> bool:
    """Return whether `id` or `names` may be spelled in another way: with capitals or escapes."""
    if b"\\" in data and any(b"\\u00%d" % digit in data for digit in (4, 5, 6, 7)):
        return True
    if not any(letter in data for letter in _CAPITALS):
        return False
    small = data.lower()
    return any(small.count(key) != data.count(key) for key in (b'"id":', b'"names":'))


def _is_sound(raw: bytes) -> bool:
    """Return whether a row is a whole object, not one that was split at a seam inside it.

    A row that was split has unbalanced braces or brackets. Those may also be in its texts; then the row is parsed.
    """
    if raw.count(b"{") == raw.count(b"}") and raw.count(b"[") == raw.count(b"]"):
        return True
    try:
        load(raw)
    except ValueError:
        return False
    return True


def _names(raw: bytes) -> list[str]:
    inner = raw[2:-2]
    if raw.startswith(b'["') and raw.endswith(b'"]') and not inner.replace(_COMMA, b"").translate(None, _PLAIN):
        return inner.decode().split('","')
    names = load(raw)
    if type(names) is not list or not names or not _TEXT.issuperset(map(type, names)):
        raise ValueError("these are not names")
    return names
