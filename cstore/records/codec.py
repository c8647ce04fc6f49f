"""Decode and encode record files.

Reading is first strict and fast; only files and records that fail are read with `lenient`. Writing is canonical: keys
in the order of store-format 4, no empty fields, Go's escapes. Unchanged records are never rewritten: their bytes are
copied from the file.
"""

from __future__ import annotations

import time

from cstore.records.model import Container, IDMapEntry
from cstore.records.rows import parse, parse_whole
from cstore.records.shapes import REFUSALS, Flaw, after_blank, columns_of, divide, scan, text
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.records.model import R, Record

_ALWAYS = frozenset({"id", "created"})
_ALWAYS_IN_CONTAINERS = _ALWAYS | {"image", "layer"}


class Contents(Value):
    """The contents of a file. If there are flaws, `records` has the readable records."""

    records: list[Any]
    flaws: list[Flaw]


# ── reading ──


def decode(kind: type[R], data: bytes) -> Contents:
    """Read a whole record file; `null` is an empty list. Errors are returned in `flaws`, not raised."""
    rows = parse_whole(data)
    if rows is not None:
        records = [from_row(kind, row) for row in rows]
        if all(record is not None for record in records):
            return Contents(records, [])
    return _decode_leniently(kind, data)


def from_row(kind: type[R], row: Any) -> R | None:
    """Convert a row to a record if its known fields are in canonical form; None if that takes `decode_one`."""
    columns = columns_of(kind)
    try:
        fields = {}
        for key, value in row.items():
            name, check = columns[key]
            fields[name] = value if check is text and type(value) is str else check(value, key)
    except KeyError:  # a newer writer added something, or a key differs in case
        known = {key: value for key, value in row.items() if key in columns}
        newer = all(key in columns or key.lower() not in columns for key in row)
        return from_row(kind, known) if newer else None
    except (AttributeError, ValueError):
        return None
    return kind.made_of(fields) if fields.get("id") else None


def decode_one(kind: type[R], raw: bytes) -> R:
    """Read one record.

    Raises:
        ValueError: it is not a record; the message has the reason.
    """
    parsed = parse(b"[%s]" % raw)
    record = from_row(kind, parsed.rows[0]) if parsed and parsed.rows else None
    if record is not None:
        return record
    from cstore.records import lenient

    found = lenient.scan(b"[%s]" % raw)
    if found.flaw:
        raise ValueError(found.flaw.reason.removeprefix("record 1: "))
    try:
        return lenient.to_record(kind, found.elements[0].value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def split(data: bytes) -> list[bytes]:
    """Split a valid record file into the bytes of its records."""
    parsed = parse(data)
    if parsed is not None:
        return [parsed.raw(number) for number in range(len(parsed.rows))]
    from cstore.records import lenient

    return [element.raw for element in lenient.scan(data).elements]


def _decode_leniently(kind: type[R], data: bytes) -> Contents:
    """Read a file record by record after strict reading failed."""
    from cstore.records import lenient

    found = lenient.scan(data)
    contents = Contents([], [found.flaw] if found.flaw else [])
    for number, element in enumerate(found.elements, 1):
        try:
            contents.records.append(decode_one(kind, element.raw))
        except ValueError as error:
            contents.flaws.append(Flaw(f"record {number}{_id_in(element.raw)}: {error}", element.offset))
    return contents


def _id_in(raw: bytes) -> str:
    """Return the ID of an invalid record for messages, if it can be read; else ""."""
    from cstore.records import lenient

    elements = lenient.scan(b"[%s]" % raw).elements
    if elements and isinstance(elements[0].value, dict):
        known, _ = divide(elements[0].value, {"id": "id"})
        identifier = known.get("id")
        if isinstance(identifier, str) and identifier:
            return f" (ID {lenient.clean(identifier)})"
    return ""


# ── writing ──


def encode(record: Record) -> bytes:
    """Encode a record in canonical form."""
    return _join({key: _value(value) for _, key, value in _present(record)})


def rewrite(raw: bytes, old: R, new: R) -> bytes:
    """Encode `new`, which replaces `old`, whose bytes are `raw`.

    Unknown keys are kept, at the end; unchanged fields keep their bytes.
    """
    texts, unknown = _fields_of(type(old), raw)
    fields = {
        key: texts[key] if key in texts and _same(getattr(old, name), value) else _value(value)
        for name, key, value in _present(new)
    }
    return _join(fields | unknown)


def same(one: Record, other: Record) -> bool:
    """Return whether two records have the same encoding. In Python, `true` and 1 in their flags would be equal."""
    return one == other and encode(one) == encode(other)


def now() -> str:
    """Return the current time in the Go tool's format: RFC 3339 in UTC, with nanoseconds, without trailing zeros."""
    seconds, fraction = divmod(time.time_ns(), 1_000_000_000)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{digits}Z"


def _present(record: Record) -> Iterator[tuple[str, str, Any]]:
    """Yield a record's fields that are written: name, key on disk, value; empty ones are omitted."""
    kind = type(record)
    always = _ALWAYS_IN_CONTAINERS if kind is Container else _ALWAYS
    for key, (name, _) in columns_of(kind).items():
        value = getattr(record, name)
        if value or key in always:
            yield name, key, value


def _value(value: Any) -> bytes:
    """Encode a field's value; ID map entries become objects, all other values are JSON values already."""
    from cstore import gojson

    if isinstance(value, tuple) and value and isinstance(value[0], IDMapEntry):
        value = [entry.as_dict() for entry in value]
    return gojson.encode(value, record_file=True, sort_keys=True)


def _same(one: Any, other: Any) -> bool:
    return one is other or (one == other and _value(one) == _value(other))


def _join(fields: dict[str, bytes]) -> bytes:
    from cstore import gojson

    return b"{%s}" % b",".join(b"%s:%s" % (gojson.encode(key, record_file=True), text) for key, text in fields.items())


def _fields_of(kind: type, raw: bytes) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Split a record into the bytes of its known fields and of its unknown fields."""
    try:
        parts = _cut(raw.decode())
    except REFUSALS:
        from cstore import gojson
        from cstore.records import lenient

        value = lenient.scan(b"[%s]" % raw).elements[0].value
        parts = {key: gojson.encode(item, record_file=True) for key, item in value.items()}
    known, unknown = divide(parts, {key: key for key in columns_of(kind)})
    return {key: text for key, text in known.items() if text != b"null"}, unknown


def _cut(text: str) -> dict[str, bytes]:
    """Split a valid object into its keys and the bytes of their values; the last of equal keys counts."""
    parts: dict[str, bytes] = {}
    place = after_blank(text, text.index("{") + 1)
    while not text.startswith("}", place):
        key, colon = scan(text, place)
        start = after_blank(text, after_blank(text, colon) + 1)
        _, end = scan(text, start)
        parts.pop(key, None)
        parts[key] = text[start:end].encode()
        mark = after_blank(text, end)
        place = after_blank(text, mark + 1) if text.startswith(",", mark) else mark
    return parts
