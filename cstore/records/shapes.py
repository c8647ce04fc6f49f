"""JSON values: parse them, and check that they have the types of the model (store-format 4).

They are parsed with the scanner of the standard library. `json` itself is not imported, because importing its regular
expressions takes longer than parsing a small file.

Strict and lenient reading share the checks, the known keys, and the class of flaws. A check takes a parsed value, and
the name of its field for the error. Lists become tuples.
"""

from __future__ import annotations

from cstore.records.model import IDMapEntry, key_of
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cstore.records.model import Record

    Check = Callable[[Any, str], Any]

# ── parsing ──

REFUSALS = (ValueError, StopIteration, RecursionError, SystemError)
"""The exceptions of `scan` if there is no value, or if it is nested too deeply.

CPython raises SystemError as long as `json` is not imported, because it does not find that module's own error.
"""


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"number out of range: {text}")
    return number


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


class _Rules:
    """The scanner's options: how to parse numbers, and to refuse control characters in texts."""

    strict = True
    parse_int = int
    parse_float = _finite
    parse_constant = _no_constant
    object_hook = object_pairs_hook = array_hook = None


def _make_scan() -> Callable[[str, int], tuple[Any, int]]:
    try:
        from _json import make_scanner
    except ImportError:  # only CPython has it
        from json import JSONDecoder

        decoder: Any = JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
        scan_once: Callable[[str, int], tuple[Any, int]] = decoder.scan_once
        return scan_once
    return make_scanner(_Rules)  # type: ignore[arg-type]  # any object with these attributes works


scan = _make_scan()
"""Parse the value at an offset in a text; return it and the offset after it."""


def load(data: bytes) -> Any:
    """Read a whole document.

    Raises:
        ValueError: it is not JSON.
    """
    text = data.decode()
    try:
        value, end = scan(text, after_blank(text, 0))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except REFUSALS:
        raise ValueError("it is not JSON") from None
    if after_blank(text, end) < len(text):
        raise ValueError("there is data after its end")
    return value


def after_blank(text: str, place: int) -> int:
    """Return the offset of the first character from `place` on that is not white space, or the end."""
    while text[place : place + 1] in _BLANK:
        place += 1
    return place


_BLANK = frozenset(" \t\n\r")


# ── checking ──

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_LARGEST_OWNER = 2**32 - 1
_TEXT, _NUMBER = frozenset({str}), frozenset({int})
_NAMES = {str: "str", int: "int", float: "float", bool: "bool", list: "array", dict: "object"}


class Flaw(Value):
    """An error in a file, and its byte offset, if known."""

    reason: str
    offset: int | None = None


def divide(value: dict[str, Any], keys: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate an object's known keys, ignoring case, from the others. The last of equal keys counts."""
    known: dict[str, Any] = {}
    unknown: dict[str, Any] = {}
    for key, item in value.items():
        canonical = keys.get(key) or keys.get(key.lower())
        if canonical is None:
            unknown[key] = item
        else:
            known[canonical] = item
    return known, unknown


def lower(text: str) -> str:
    """Return a sentence with a lower-case first letter, for use after a colon."""
    return text[:1].lower() + text[1:]


def text(value: Any, where: str) -> str:
    """Check a text."""
    if type(value) is str:
        return value
    raise _misfit("str", value, where)


def number(value: Any, where: str, least: int = _SMALLEST, most: int = _LARGEST) -> int:
    """Check an integer, by default a signed 64-bit one."""
    if type(value) is not int:
        raise _misfit("int", value, where)
    if value < least:
        raise ValueError(f"{where}: expected int >= {least}")
    if value > most:
        raise ValueError(f"{where}: expected int <= {most}")
    return value


def texts(value: Any, where: str) -> tuple[str, ...]:
    """Check a list of texts."""
    items = _items(value, where)
    return items if _TEXT.issuperset(map(type, items)) else _each(text, items, where)


def owners(value: Any, where: str) -> tuple[int, ...]:
    """Check a list of user or group IDs."""
    items = _items(value, where)
    if _NUMBER.issuperset(map(type, items)) and (not items or (min(items) >= 0 and max(items) <= _LARGEST_OWNER)):
        return items
    return _each(lambda item, place: number(item, place, 0, _LARGEST_OWNER), items, where)


def id_map(value: Any, where: str) -> tuple[IDMapEntry, ...]:
    """Check a list of ID map entries."""
    return _each(_entry, _items(value, where), where)


def anything(value: Any, where: str) -> dict[str, Any]:
    """Check an object with any contents."""
    if type(value) is dict:
        return value
    raise _misfit("object", value, where)


def numbers_by_key(value: Any, where: str) -> dict[str, int]:
    """Check an object of integers."""
    items = anything(value, where)
    if _NUMBER.issuperset(map(type, items.values())) and (
        not items or (min(items.values()) >= _SMALLEST and max(items.values()) <= _LARGEST)
    ):
        return items
    return {key: number(item, f"{where}[...]") for key, item in items.items()}


def texts_by_key(value: Any, where: str) -> dict[str, str]:
    """Check an object of texts."""
    items = anything(value, where)
    if _TEXT.issuperset(map(type, items.values())):
        return items
    return {key: text(item, f"{where}[...]") for key, item in items.items()}


def _entry(value: Any, where: str) -> IDMapEntry:
    fields = anything(value, where)
    if not fields.keys() <= ENTRY_KEYS:
        raise ValueError(f"{where}: unknown field")
    return IDMapEntry(**{key: number(item, f"{where}.{key}") for key, item in fields.items()})


def _items(value: Any, where: str) -> tuple[Any, ...]:
    if type(value) is list:
        return tuple(value)
    raise _misfit("array", value, where)


def _each(check: Check, items: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    return tuple(check(item, f"{where}[{place}]") for place, item in enumerate(items))


def _misfit(expected: str, value: object, where: str) -> ValueError:
    return ValueError(f"{where}: expected {expected}, got {_NAMES.get(type(value), 'null')}")


SHAPES: dict[str, Check] = {
    "id": text,
    "digest": text,
    "names": texts,
    "names-history": texts,
    "parent": text,
    "image": text,
    "layer": text,
    "mapped-layers": texts,
    "metadata": text,
    "mountlabel": text,
    "created": text,
    "compressed-diff-digest": text,
    "compressed-size": number,
    "diff-digest": text,
    "toc-digest": text,
    "diff-size": number,
    "compression": number,
    "uidset": owners,
    "gidset": owners,
    "flags": anything,
    "uidmap": id_map,
    "gidmap": id_map,
    "big-data-names": texts,
    "big-data-sizes": numbers_by_key,
    "big-data-digests": texts_by_key,
}
"""The checks by key on disk, which are the same for all kinds of records."""

ENTRY_KEYS = frozenset(IDMapEntry.field_names())

_COLUMNS: dict[type, dict[str, tuple[str, Check]]] = {}


def columns_of(kind: type[Record]) -> dict[str, tuple[str, Check]]:
    """Return the fields of a kind: key on disk → field and check, in the order of the keys on disk."""
    found = _COLUMNS.get(kind)
    if found is None:
        keys = ((name, key_of(name)) for name in kind.field_names())
        found = _COLUMNS[kind] = {key: (name, SHAPES[key]) for name, key in keys}
    return found
