"""Parse the records of PAX extended headers, and apply them to the next entry (archive 2)."""

from __future__ import annotations

from cstore import errors
from cstore.archive.tar.header import NANOSECONDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.archive.tar.header import Entry

LARGEST_SPECIAL = 1 << 20
"""Bytes in the largest body of an extended header or long name, in a sparse map, and in the headers held in memory."""

XATTR_PREFIX = b"SCHILY.xattr."
SPARSE_MAP = b"GNU.sparse.map"

_SPARSE_OFFSET, _SPARSE_LENGTH = b"GNU.sparse.offset", b"GNU.sparse.numbytes"
_NO_NUL_IN_VALUE = frozenset({b"path", b"linkpath", b"uname", b"gname"})
_INT64 = 1 << 63


def parse_records(body: bytes, offset: int) -> dict[bytes, bytes]:
    """Read the records of an extended header; the last of equal keys counts.

    The pairs of sparse format 0.0, which repeat their keys, are returned as the single map of format 0.1.

    Args:
        body: the body without its padding.
        offset: the header's offset in the stream, for the error.

    Raises:
        ArchiveMalformed: a record is invalid.
    """
    records: dict[bytes, bytes] = {}
    pairs: list[bytes] = []
    place = 0
    try:
        while place < len(body):
            key, value, place = _parse_record(body, place)
            if key not in {_SPARSE_OFFSET, _SPARSE_LENGTH}:
                records[key] = value
                continue
            if (key == _SPARSE_OFFSET) != (len(pairs) % 2 == 0) or b"," in value:
                raise ValueError("has an unordered sparse map")  # noqa: TRY301  - as for a record that is invalid
            pairs.append(value)
    except ValueError as error:
        raise errors.ArchiveMalformed(f"its PAX header {error}", offset) from None
    if pairs:
        records[SPARSE_MAP] = b",".join(pairs)
    return records


def _parse_record(body: bytes, place: int) -> tuple[bytes, bytes, int]:
    """Read `LENGTH KEY=VALUE` and its line end at `place`; return key, value and the offset of the next record."""
    # A length has at most 20 digits; a longer search would take quadratic time for a hostile body.
    space = body.find(b" ", place, place + 21)
    length = parse_decimal(body[place:space]) if space > 0 else 0
    end = place + length
    if length < 5 or end > len(body) or end <= space + 1:
        raise ValueError("has a record of impossible length")
    if body[end - 1] != 0x0A:
        raise ValueError("has a record that does not end with its line")
    key, equals, value = body[space + 1 : end - 1].partition(b"=")
    if not equals or not key:
        raise ValueError("has a record without a key")
    if b"\0" in (value if key in _NO_NUL_IN_VALUE else key):
        raise ValueError("has a NUL byte in a wrong place")
    return key, value, end


def parse_decimal(text: bytes) -> int:
    """Read a signed 64-bit decimal number.

    Raises:
        ValueError: it is not one.
    """
    digits = text[1:] if text[:1] in {b"+", b"-"} else text
    if not digits.isdigit() or len(digits) > 1000:
        raise ValueError(f"holds {text[:40]!r}, which is not a number")
    value = int(text)
    if not -_INT64 <= value < _INT64:
        raise ValueError("holds a number of more than 64 bits")
    return value


def parse_time(text: bytes) -> int:
    """Read `[-]SECONDS[.FRACTION]`; return nanoseconds, without finer digits.

    Raises:
        ValueError: it is not a time.
    """
    seconds, _, fraction = text.partition(b".")
    whole = parse_decimal(seconds) * NANOSECONDS
    if not fraction:
        return whole
    if not fraction.isdigit():
        raise ValueError(f"holds {text[:40]!r}, which is not a time")
    part = int(fraction[:9].ljust(9, b"0"))
    return whole - part if seconds.startswith(b"-") else whole + part


# ── applying records ──────────────────────────────────────────────────────────────────────────────────────────────────

_FIELDS: dict[bytes, tuple[str, Callable[[bytes], object]]] = {
    b"path": ("name", bytes),
    b"linkpath": ("link", bytes),
    b"uid": ("uid", parse_decimal),
    b"gid": ("gid", parse_decimal),
    b"size": ("size", parse_decimal),
    b"mtime": ("mtime", parse_time),
    b"atime": ("atime", parse_time),
    b"ctime": ("", parse_time),
}
"""Key of a record: the attribute of an entry that it sets, "" if it must only be valid, and how its value is read."""


def apply_records(entry: Entry, records: dict[bytes, bytes], offset: int) -> None:
    """Apply the records of an extended header to the entry that follows it. Unknown keys are ignored.

    Raises:
        ArchiveMalformed: a number or time is invalid.
    """
    xattrs = []
    try:
        for key, value in records.items():
            if key.startswith(XATTR_PREFIX):
                # An attribute with an empty value is valid.
                xattrs.append((key[len(XATTR_PREFIX) :], value))
            elif value and key in _FIELDS:
                attribute, read = _FIELDS[key]
                meant = read(value)
                if attribute:
                    setattr(entry, attribute, meant)
    except ValueError as error:
        raise errors.ArchiveMalformed(f"its PAX header {error}", offset) from None
    if xattrs:
        entry.xattrs = xattrs
