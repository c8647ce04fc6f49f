"""What each field of a record may hold, and the form in which a record keeps it (store-format 4).

Strict and lenient reading share this, and which keys are known, and how a flaw is told. A check takes a parsed value
and says where it stands, for the error. Lists become tuples.
"""

from __future__ import annotations

from cstore.records.model import Container, IDMapEntry, Image, Layer, key_of
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Check = Callable[[Any, str], Any]

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_LARGEST_OWNER = 2**32 - 1
_TEXT, _NUMBER = frozenset({str}), frozenset({int})
_NAMES = {str: "str", int: "int", float: "float", bool: "bool", list: "array", dict: "object"}


class Flaw(Value):
    """A flaw in a file, and its byte offset, if known."""

    reason: str
    offset: int | None = None


def divide(value: dict[str, Any], keys: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Separate an object's known keys, in any case, from the others. The last of repeated keys counts."""
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
    """Make the first letter of a sentence small, to go on with it after a colon."""
    return text[:1].lower() + text[1:]


def text(value: Any, where: str) -> str:
    """Take text."""
    if type(value) is str:
        return value
    raise _misfit("str", value, where)


def number(value: Any, where: str, least: int = _SMALLEST, most: int = _LARGEST) -> int:
    """Take an integer, of 64 bits with a sign if nothing else is said."""
    if type(value) is not int:
        raise _misfit("int", value, where)
    if value < least:
        raise ValueError(f"{where}: expected int >= {least}")
    if value > most:
        raise ValueError(f"{where}: expected int <= {most}")
    return value


def texts(value: Any, where: str) -> tuple[str, ...]:
    """Take a list of texts."""
    items = _items(value, where)
    return items if _TEXT.issuperset(map(type, items)) else _each(text, items, where)


def owners(value: Any, where: str) -> tuple[int, ...]:
    """Take a list of user or group IDs."""
    items = _items(value, where)
    if _NUMBER.issuperset(map(type, items)) and (not items or (min(items) >= 0 and max(items) <= _LARGEST_OWNER)):
        return items
    return _each(lambda item, place: number(item, place, 0, _LARGEST_OWNER), items, where)


def id_map(value: Any, where: str) -> tuple[IDMapEntry, ...]:
    """Take a list of ID map entries."""
    return _each(_entry, _items(value, where), where)


def anything(value: Any, where: str) -> dict[str, Any]:
    """Take an object, whatever is in it."""
    if type(value) is dict:
        return value
    raise _misfit("object", value, where)


def numbers_by_key(value: Any, where: str) -> dict[str, int]:
    """Take an object of integers."""
    items = anything(value, where)
    if _NUMBER.issuperset(map(type, items.values())) and (
        not items or (min(items.values()) >= _SMALLEST and max(items.values()) <= _LARGEST)
    ):
        return items
    return {key: number(item, f"{where}[...]") for key, item in items.items()}


def texts_by_key(value: Any, where: str) -> dict[str, str]:
    """Take an object of texts."""
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
"""By key on disk; a key means the same in every kind of record."""

ENTRY_KEYS = frozenset(IDMapEntry.field_names())

COLUMNS: dict[type, dict[str, tuple[str, Check]]] = {
    kind: {key_of(name): (name, SHAPES[key_of(name)]) for name in kind.field_names()}
    for kind in (Layer, Image, Container)
}
"""Of each kind: key on disk → field and check, in the order of the keys on disk."""
