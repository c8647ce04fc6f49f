"""Write JSON byte for byte as Go does: no spaces, keys as given, Go's escapes and numbers; and parse JSON objects.

There are two dialects, that of program output and that of record files, which differ in backspace, form feed and small
floats (store-format 3). These functions are pure; the records and the command line share them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn

_ESCAPED_BY_GO = "<>&\u2028\u2029"
"""Characters that Go escapes, but the standard library does not."""
_TEXT = frozenset({str})
_ESCAPES = {
    **{chr(code): f"\\u{code:04x}" for code in (*range(0x20), *map(ord, _ESCAPED_BY_GO))},
    '"': '\\"',
    "\\": "\\\\",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
}
_SHORT_ESCAPES = {**_ESCAPES, "\b": "\\b", "\f": "\\f"}


def encode(value: object, *, record_file: bool = False, sort_keys: bool = False, without_floats: bool = False) -> bytes:
    r"""Encode a value as compact JSON.

    Args:
        value: None, bool, int, float, str, list, tuple or dict with str keys, nested. Lone surrogates become `\ufffd`.
        record_file: use the dialect of record files (`\u0008`, `1e-07`), not that of output (`\b`, `1e-7`).
        sort_keys: sort the keys of every object by their bytes, as Go does for maps; else keep their order.
        without_floats: the value contains no floats, which makes this much faster.

    Raises:
        ValueError: a float is not finite, which JSON cannot express.
        TypeError: a value has another type.
    """
    if without_floats and not sort_keys and _write is not None:
        text = "".join(_write(value, 0))
    else:
        text = _Writer(_quote, sort_keys=sort_keys, two_digits=record_file).text_of(value)
    for char in _ESCAPED_BY_GO:  # they occur only in strings
        if char in text:
            text = text.replace(char, _ESCAPES[char])
    try:
        if not (record_file and ("\\b" in text or "\\f" in text)):
            return text.encode()
    except UnicodeEncodeError:
        pass
    # Rarely, there are lone surrogates, or escapes that may be a backspace or form feed.
    escapes = str.maketrans(_ESCAPES if record_file else _SHORT_ESCAPES)
    return _Writer(_quoter(escapes), sort_keys=sort_keys, two_digits=record_file).text_of(value).encode()


def _quoter(escapes: Mapping[int, str]) -> Callable[[str], str]:
    """Return a function that encodes a string character by character, with these escapes."""

    def quote(text: str) -> str:
        escaped = text.translate(escapes)
        if not escaped.isascii() and any("\ud800" <= char <= "\udfff" for char in escaped):
            escaped = "".join("\\ufffd" if "\ud800" <= char <= "\udfff" else char for char in escaped)
        return f'"{escaped}"'

    return quote


def _no_form(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_quote: Callable[[str], str]
_write: Callable[[object, int], Iterable[str]] | None
try:
    # The standard library's encoders of strings and of values; importing `json` takes long, and only CPython has these.
    from _json import encode_basestring as _quote
    from _json import make_encoder
except ImportError:
    _quote, _write = _quoter(str.maketrans(_SHORT_ESCAPES)), None
else:
    _write = make_encoder(None, _no_form, _quote, None, ":", ",", False, False, False)


class _Writer:
    """The encoder of one dialect. It caches the texts of keys, because thousands of records have the same few keys."""

    def __init__(self, quote: Callable[[str], str], *, sort_keys: bool, two_digits: bool) -> None:
        self._quote = quote
        self._sort_keys = sort_keys
        self._two_digits = two_digits
        self._keys: dict[str, str] = {}

    def text_of(self, value: Any) -> str:
        kind, quote = type(value), self._quote
        if kind is str:
            return quote(value)
        if kind is dict:
            items = sorted(value.items()) if self._sort_keys else value.items()
            keys = self._keys
            parts = [
                f"{keys.get(key) or self._key(key)}{quote(item) if type(item) is str else self.text_of(item)}"
                for key, item in items
            ]
            return f"{{{','.join(parts)}}}"
        if kind is list or kind is tuple:
            if _write is not None and quote is _quote and _TEXT.issuperset(map(type, value)):
                return "".join(_write(value, 0))
            return f"[{','.join([quote(item) if type(item) is str else self.text_of(item) for item in value])}]"
        if kind is int:
            return int.__repr__(value)
        return self._rare(value)

    def _rare(self, value: Any) -> str:
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return _number(value, two_digits=self._two_digits)
        # Subclasses, such as members of enumerations and named tuples.
        if isinstance(value, str):
            return self._quote(str.__str__(value))
        if isinstance(value, int):
            return int.__repr__(value)
        if isinstance(value, dict):
            return self.text_of(dict(value))
        if isinstance(value, (list, tuple)):
            return self.text_of(list(value))
        _no_form(value)

    def _key(self, key: str) -> str:
        text = self._keys[key] = f"{self._quote(key)}:"
        return text


def _number(value: float, *, two_digits: bool) -> str:
    """Format a float in Go's shortest form: plain from 1e-6 up to 1e21, otherwise with an exponent."""
    import math

    if not math.isfinite(value):
        raise ValueError(f"{value} has no form in JSON")
    shortest = float.__repr__(value)
    if value == 0 or 1e-6 <= abs(value) < 1e21:
        if "e" not in shortest:
            return shortest.removesuffix(".0")
        from decimal import Decimal

        return format(Decimal(shortest), "f")
    mantissa, _, exponent = shortest.partition("e")
    power = int(exponent)
    width = 2 if two_digits or power > 0 else 1
    return f"{mantissa.removesuffix('.0')}e{'-' if power < 0 else '+'}{abs(power):0{width}d}"


def mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a map with its keys sorted by code points, which is the order of their bytes in UTF-8."""
    return dict(sorted(values.items())) if len(values) > 1 else dict(values)


def object_in(data: bytes | str) -> dict[str, Any] | None:
    """Parse JSON from a store or another program; None unless it is one valid object."""
    import json

    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
