"""JSON as Go writes it, byte for byte: no spaces, keys as given, Go's escapes and Go's numbers; and objects read.

Two dialects: what programs print, and what the record files hold, which differ in backspace, form feed and small floats
(store-format 3). Pure; shared by the records and the command line.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, NoReturn

_ESCAPED_BY_GO = "<>&\u2028\u2029"
"""The characters that Go escapes and the standard library does not."""
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
    r"""Write a value as compact JSON.

    Args:
        value: None, bool, int, float, str, list, tuple or dict with str keys, nested. Lone surrogates become `\ufffd`.
        record_file: the dialect of the record files (`\u0008`, `1e-07`) and not that of output (`\b`, `1e-7`).
        sort_keys: sort every object bytewise, as Go does with its maps; else keys stay in their order.
        without_floats: there is no float in it, which makes it much faster.

    Raises:
        ValueError: a float that is not finite, which JSON cannot express.
        TypeError: a value of another type.
    """
    if without_floats and not sort_keys and _write is not None:
        text = "".join(_write(value, 0))
    else:
        text = _Writer(_quote, sort_keys=sort_keys, two_digits=record_file).text_of(value)
    for char in _ESCAPED_BY_GO:  # outside of a string, there is none
        if char in text:
            text = text.replace(char, _ESCAPES[char])
    try:
        if not (record_file and ("\\b" in text or "\\f" in text)):
            return text.encode()
    except UnicodeEncodeError:
        pass
    # Lone surrogates, or what may be a backspace or a form feed, which few texts have.
    escapes = str.maketrans(_ESCAPES if record_file else _SHORT_ESCAPES)
    return _Writer(_quoter(escapes), sort_keys=sort_keys, two_digits=record_file).text_of(value).encode()


def _quoter(escapes: Mapping[int, str]) -> Callable[[str], str]:
    """Make what writes a string, character by character, with these escapes."""

    def quote(text: str) -> str:
        escaped = text.translate(escapes)
        if not escaped.isascii() and any("\ud800" <= char <= "\udfff" for char in escaped):
            escaped = "".join("\\ufffd" if "\ud800" <= char <= "\udfff" else char for char in escaped)
        return f'"{escaped}"'

    return quote


def _no_form(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _of_the_standard_library() -> tuple[Callable[[str], str], Callable[[object, int], Iterable[str]] | None]:
    """Return what it writes strings with, and values: `json` itself takes long to import."""
    try:
        from _json import encode_basestring, make_encoder
    except ImportError:  # they are CPython's own
        return _quoter(str.maketrans(_SHORT_ESCAPES)), None
    return encode_basestring, make_encoder(None, _no_form, encode_basestring, None, ":", ",", False, False, False)


_quote, _write = _of_the_standard_library()


class _Writer:
    """One dialect. The same few keys occur in thousands of records, so their text is kept."""

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
        # What remains are the likes of an enumeration's members and named tuples.
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
    """Go's shortest form: plain from 1e-6 up to 1e21, beyond that with an exponent."""
    import math

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


def mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """A map, its keys in the order of their bytes, which is that of their characters in UTF-8."""
    return dict(sorted(values.items())) if len(values) > 1 else dict(values)


def object_in(data: bytes | str) -> dict[str, Any] | None:
    """Parse JSON from a store or another program; None unless it is an object."""
    import json

    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
