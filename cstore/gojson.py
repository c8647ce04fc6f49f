"""JSON as Go writes it, byte for byte: no spaces, keys as given, Go's escapes and Go's numbers.

Two dialects: what programs print, and what the record files hold, which differ in backspace, form feed and small floats
(store-format 3). Pure; shared by the records and the command line.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SPECIAL = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_ESCAPES = {
    **{chr(code): f"\\u{code:04x}" for code in (*range(0x20), *map(ord, "<>&\u2028\u2029"))},
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_SHORT_ESCAPES = {**_ESCAPES, "\b": "\\b", "\f": "\\f"}


def encode(value: object, *, record_file: bool = False, sort_keys: bool = False) -> bytes:
    r"""Write a value as compact JSON.

    Args:
        value: None, bool, int, float, str, list, tuple or dict with str keys, nested. Lone surrogates become `\ufffd`.
        record_file: the dialect of the record files (`\u0008`, `1e-07`) and not that of output (`\b`, `1e-7`).
        sort_keys: sort every object bytewise, as Go does with its maps; else keys stay in their order.

    Raises:
        ValueError: a float that is not finite, which JSON cannot express.
        TypeError: a value of another type.
    """
    pieces: list[str] = []
    _write(value, pieces.append, _Dialect(record_file, sort_keys))
    return "".join(pieces).encode()


class _Dialect:
    __slots__ = ("escape", "record_file", "sort_keys")

    def __init__(self, record_file: bool, sort_keys: bool) -> None:
        self.record_file = record_file
        self.sort_keys = sort_keys
        table = _ESCAPES if record_file else _SHORT_ESCAPES
        self.escape: Callable[[re.Match[str]], str] = lambda match: table.get(match[0], "\\ufffd")

    def string(self, text: str) -> str:
        return f'"{_SPECIAL.sub(self.escape, text) if _SPECIAL.search(text) else text}"'


def _write(value: Any, emit: Callable[[str], object], dialect: _Dialect) -> None:
    if isinstance(value, str):
        emit(dialect.string(value))
    elif value is None:
        emit("null")
    elif isinstance(value, bool):
        emit("true" if value else "false")
    elif isinstance(value, int):
        emit(int.__repr__(value))
    elif isinstance(value, float):
        emit(_number(value, two_digits=dialect.record_file))
    elif isinstance(value, dict):
        _write_object(value, emit, dialect)
    elif isinstance(value, (list, tuple)):
        _write_array(value, emit, dialect)
    else:
        raise TypeError(f"{type(value).__name__} has no form in JSON")


def _write_object(value: dict[str, Any], emit: Callable[[str], object], dialect: _Dialect) -> None:
    items: Iterable[tuple[str, Any]] = sorted(value.items()) if dialect.sort_keys else value.items()
    opening = "{"
    for key, item in items:
        emit(f"{opening}{dialect.string(key)}:")
        _write(item, emit, dialect)
        opening = ","
    emit("}" if value else "{}")


def _write_array(value: list[Any] | tuple[Any, ...], emit: Callable[[str], object], dialect: _Dialect) -> None:
    opening = "["
    for item in value:
        emit(opening)
        _write(item, emit, dialect)
        opening = ","
    emit("]" if value else "[]")


def _number(value: float, *, two_digits: bool) -> str:
    """Go's shortest form: plain from 1e-6 up to 1e21, beyond that with an exponent."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no form in JSON")
    shortest = float.__repr__(value)
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        return _plain(shortest)
    mantissa, _, exponent = shortest.partition("e")
    power = int(exponent)
    width = 2 if two_digits or power > 0 else 1
    return f"{mantissa.removesuffix('.0')}e{'-' if power < 0 else '+'}{abs(power):0{width}d}"


def _plain(shortest: str) -> str:
    """Spell a float's shortest form without an exponent."""
    if "e" not in shortest:
        return shortest.removesuffix(".0")
    from decimal import Decimal

    return format(Decimal(shortest), "f")
