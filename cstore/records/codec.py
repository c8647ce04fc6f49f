"""Between the bytes of a record file and its records.

Reading is strict and fast first; only what that refuses goes through `lenient`. Writing is canonical: keys in the order
of store-format 4, nothing that is empty, Go's escapes. What nobody changed is never rewritten at all: a file is put
together again from the slices it was read as.
"""

from __future__ import annotations

import gc
import time
from bisect import bisect_right
from contextlib import contextmanager, suppress
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Generic

import msgspec

from cstore import gojson
from cstore.records.dialect import KNOWN_KEYS, Flaw, divide
from cstore.records.model import Container, Identifier, IDMapEntry, R

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cstore.records.model import Record

_ALWAYS = frozenset({"id", "created"})
_ALWAYS_IN_CONTAINERS = _ALWAYS | {"image", "layer"}
_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_CAPITALS_OF_HEADS = [bytes([letter]) for letter in b"NAMESID"]


class Head(msgspec.Struct, frozen=True, gc=False):
    """As much of a record as most questions need."""

    id: Identifier
    names: tuple[str, ...] = ()


class Contents(msgspec.Struct, Generic[R]):
    """What a file holds. With flaws, `records` are those that can be known all the same."""

    records: list[R]
    flaws: list[Flaw] = msgspec.field(default_factory=list)


# ── reading ──


def decode(kind: type[R], data: bytes) -> Contents[R]:
    """Read a whole record file; `null` is an empty list. Raises nothing: what is wrong is in `flaws`."""
    try:
        with _collector_at_rest():
            return Contents(_list_decoder(kind).decode(data) or [])
    except _REFUSALS:
        return _decode_leniently(kind, data)


def decode_heads(data: bytes) -> list[Head] | None:
    """Read only IDs and names, at a third of the cost; None if that cannot be exact and `decode` must do it.

    The whole file is checked to be JSON, but fields other than these two are not looked at.
    """
    # A key in another case, or written with an escape, would be overlooked.
    if any(letter in data for letter in _CAPITALS_OF_HEADS) or (b"\\" in data and b"\\u" in data):
        return None
    try:
        with _collector_at_rest():
            return _heads_decoder().decode(data) or []
    except _REFUSALS:
        return None


def decode_one(kind: type[R], raw: bytes | msgspec.Raw) -> R:
    """Read one record.

    Raises:
        ValueError: it is none; the text says why.
    """
    from_strict = _decode_strictly(kind, raw)
    if from_strict is not None:
        return from_strict
    from cstore.records import lenient

    found = lenient.scan(b"[%s]" % bytes(raw))
    if found.flaw:
        raise ValueError(found.flaw.reason.removeprefix("record 1: "))
    try:
        return lenient.to_record(kind, found.elements[0].value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _decode_strictly(kind: type[R], raw: bytes | msgspec.Raw) -> R | None:
    """Read one record whose known fields are as we would write them."""
    record: R | None = None
    with suppress(*_REFUSALS):
        record = _decoder(kind).decode(raw)
    with suppress(*_REFUSALS):
        record = record or _decoder(kind).decode(_only_known(kind, raw))
    return record


def _only_known(kind: type, raw: bytes | msgspec.Raw) -> bytes:
    """Leave out what a newer writer added to a record; keys that differ in case only are a matter for `lenient`."""
    keys = KNOWN_KEYS[kind]
    known, unknown = {}, 0
    for key, text in _object_decoder().decode(raw).items():
        if key in keys:
            known[key] = bytes(text)
        elif key.lower() not in keys:
            unknown += 1
        else:
            return b""
    return _join(known) if unknown else b""


def split(data: bytes) -> Sequence[bytes | msgspec.Raw]:
    """Cut a sound record file into its records' own bytes."""
    try:
        with _collector_at_rest():
            return _raw_decoder().decode(data) or []
    except _REFUSALS:
        from cstore.records import lenient

        return [element.raw for element in lenient.scan(data).elements]


def rows_mentioning(data: bytes, slices: Callable[[], Sequence[bytes | msgspec.Raw]], text: str) -> list[int] | None:
    """Find the rows of a record file in which a text stands; None if that takes more than a search in its bytes."""
    needle = text.encode(errors="replace")
    if not needle or b"\\" in data:  # with escapes it may be spelled in another way
        return None
    place = data.find(needle)
    if place < 0:
        return []
    starts = list(accumulate((memoryview(raw).nbytes + 1 for raw in slices()), initial=1))
    if starts[-1] != len(data):  # there is white space between the records
        return None
    rows: dict[int, None] = {}
    while place >= 0:
        rows[bisect_right(starts, place) - 1] = None
        place = data.find(needle, place + 1)
    return list(rows)


def _decode_leniently(kind: type[R], data: bytes) -> Contents[R]:
    """Read a file that the strict parser refused, record by record."""
    contents: Contents[R] = Contents([])
    try:
        raws = _raw_decoder().decode(data) or []
    except _REFUSALS:
        from cstore.records import lenient

        found = lenient.scan(data)
        contents.flaws += [found.flaw] if found.flaw else []
        elements: Iterator[tuple[bytes, int]] = ((element.raw, element.offset) for element in found.elements)
    else:
        elements = _with_offsets(data, raws)
    for number, (raw, offset) in enumerate(elements, 1):
        try:
            contents.records.append(decode_one(kind, raw))
        except ValueError as error:
            contents.flaws.append(Flaw(f"record {number}{_id_in(raw)}: {error}", offset))
    return contents


def _with_offsets(data: bytes, raws: list[msgspec.Raw]) -> Iterator[tuple[bytes, int]]:
    place = 0
    for raw in map(bytes, raws):
        place = data.index(raw, place)
        yield raw, place
        place += len(raw)


def _id_in(raw: bytes) -> str:
    """Name a record that cannot be used, if its ID can be read."""
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
    """Write a record canonically."""
    return _join({key: _value(value) for _, key, value in _present(record)})


def rewrite(raw: bytes | msgspec.Raw, old: R, new: R) -> bytes:
    """Write `new` in the place of `old`, whose bytes are `raw`.

    Keys that we do not know are kept, at the end; a field that has not changed keeps its own bytes.
    """
    texts, unknown = _fields_of(type(old), bytes(raw))
    fields = {
        key: texts[key] if key in texts and _same(getattr(old, name), value) else _value(value)
        for name, key, value in _present(new)
    }
    return _join(fields | unknown)


def same(one: Record, other: Record) -> bool:
    """Whether two records are written alike. For Python alone, `true` and 1 in their flags would be equal."""
    return one == other and encode(one) == encode(other)


def now() -> str:
    """Return the time as the peer writes it: RFC 3339 in UTC, up to nine digits of a second, no trailing zeros."""
    seconds, fraction = divmod(time.time_ns(), 1_000_000_000)
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{digits}Z"


def _present(record: Record) -> Iterator[tuple[str, str, Any]]:
    """Go over a record's fields: name, key on disk, value; without those that are omitted because they are empty."""
    kind = type(record)
    always = _ALWAYS_IN_CONTAINERS if kind is Container else _ALWAYS
    for name, key in zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True):
        value = getattr(record, name)
        if value or key in always:
            yield name, key, value


def _value(value: Any) -> bytes:
    """Write a field's value; ID map entries are objects, everything else is JSON as it is."""
    if isinstance(value, tuple) and value and isinstance(value[0], IDMapEntry):
        value = [msgspec.structs.asdict(entry) for entry in value]
    return gojson.encode(value, record_file=True, sort_keys=True)


def _same(one: Any, other: Any) -> bool:
    return one is other or (one == other and _value(one) == _value(other))


def _join(fields: dict[str, bytes]) -> bytes:
    return b"{%s}" % b",".join(b"%s:%s" % (gojson.encode(key, record_file=True), text) for key, text in fields.items())


def _fields_of(kind: type, raw: bytes) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Cut a record into the bytes of its known and of its unknown fields."""
    try:
        parts = {key: bytes(text) for key, text in _object_decoder().decode(raw).items()}
    except _REFUSALS:
        from cstore.records import lenient

        value = lenient.scan(b"[%s]" % raw).elements[0].value
        parts = {key: gojson.encode(item, record_file=True) for key, item in value.items()}
    known, unknown = divide(parts, KNOWN_KEYS[kind])
    return {key: text for key, text in known.items() if text != b"null"}, unknown


# ── the parser ──


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Decode without the collector: it would go over ten thousand new objects again and again."""
    at_work = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if at_work:
            gc.enable()


@cache
def _list_decoder(kind: type[R]) -> msgspec.json.Decoder[list[R] | None]:
    return msgspec.json.Decoder(list[kind] | None)  # type: ignore[valid-type]  # built at run time


@cache
def _decoder(kind: type[R]) -> msgspec.json.Decoder[R]:
    return msgspec.json.Decoder(kind)


@cache
def _heads_decoder() -> msgspec.json.Decoder[list[Head] | None]:
    return msgspec.json.Decoder(list[Head] | None)


@cache
def _raw_decoder() -> msgspec.json.Decoder[list[msgspec.Raw] | None]:
    return msgspec.json.Decoder(list[msgspec.Raw] | None)


@cache
def _object_decoder() -> msgspec.json.Decoder[dict[str, msgspec.Raw]]:
    return msgspec.json.Decoder(dict[str, msgspec.Raw])
