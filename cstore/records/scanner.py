"""JSON values out of text, by the scanner of the standard library.

`json` itself is not imported for it: the regular expressions that come along take longer than small files do.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

REFUSALS = (ValueError, StopIteration, RecursionError, SystemError)
"""What `scan` raises where there is no value, or where it is nested too deeply.

The last is how CPython says it as long as nobody has imported `json`, whose own error it looks for in vain.
"""


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise ValueError(f"number out of range: {text}")
    return number


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


class _Rules:
    """The scanner's settings: number types, and no control characters in texts."""

    strict = True
    parse_int = int
    parse_float = _finite
    parse_constant = _no_constant
    object_hook = object_pairs_hook = array_hook = None


def _make_scan() -> Callable[[str, int], tuple[Any, int]]:
    try:
        from _json import make_scanner
    except ImportError:  # it is CPython's own
        from json import JSONDecoder

        decoder: Any = JSONDecoder(parse_float=_finite, parse_constant=_no_constant)
        scan_once: Callable[[str, int], tuple[Any, int]] = decoder.scan_once
        return scan_once
    return make_scanner(_Rules)  # type: ignore[arg-type]  # any object with these attributes will do


scan = _make_scan()
"""Read the value that begins at a place in a text; return it and the place behind it."""


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
        raise ValueError("something follows it")
    return value


def after_blank(text: str, place: int) -> int:
    """Return the first place from `place` on that is not white space, or the end."""
    while text[place : place + 1] in _BLANK:
        place += 1
    return place


_BLANK = frozenset(" \t\n\r")
