"""Parse JSON values with the scanner of the standard library.

`json` itself is not imported, because importing its regular expressions takes longer than parsing a small file.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

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
