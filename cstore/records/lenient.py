"""Read files that Go accepts and a strict parser refuses, and report exactly where a file is damaged.

Go ignores the case of keys, takes `null` for a zero value, and replaces invalid UTF-8 and lone surrogates by U+FFFD
(store-format 3). No current program writes such files, but people with editors do. This is the slow path, only for
files or records that the strict parser refused.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

from cstore.records.shapes import ENTRY_KEYS, Flaw, columns_of, divide, lower
from cstore.values import Value

if TYPE_CHECKING:
    from cstore.records.model import R

_BLANK = re.compile(r"[ \t\n\r]*")
_MOST_DIGITS = 309
"""Digits in the longest number that Go accepts, because it reads numbers in unknown fields as floating point."""
_CUT = re.compile(r"(?:t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|-|\\?u?[0-9a-fA-F]{0,3})\Z")
"""The end of a text that is truncated within a word, a number or an escape."""
_NOT_UNICODE = re.compile("[\ud800-\udfff]")
_MAP_ENTRY_KEYS = {key: key for key in ENTRY_KEYS}
_MAPS, _OWNERS = frozenset({"uidmap", "gidmap"}), frozenset({"uidset", "gidset"})


class Element(Value):
    """One element of the top-level list: its bytes, its offset in the file, its value."""

    raw: bytes
    offset: int
    value: Any


class Scan:
    """The elements before the first syntax error, and the error."""

    def __init__(self) -> None:
        self.elements: list[Element] = []
        self.flaw: Flaw | None = None


def scan(data: bytes) -> Scan:
    """Split a record file into its elements, up to the first syntax error. Raises nothing."""
    found = Scan()
    if b"\0" in data:
        only = not data.strip(b"\0")
        reason = "it is filled with NUL bytes" if only else "it contains NUL bytes, as files may after a crash"
        found.flaw = Flaw(reason, data.index(b"\0"))
        data = data[: data.index(b"\0")]
    _scan_text(data.decode("utf-8", "surrogateescape"), found)
    return found


def _scan_text(text: str, found: Scan) -> None:
    place = _skip_blank(text, 0)
    if text[place:].strip(" \t\n\r") in {"", "null"}:
        if not text[place:]:
            _break(found, text, place, "it contains only white space")
        return
    if text[place] != "[":
        _break(found, text, place, "it is not a list")
        return
    place = _skip_blank(text, place + 1)
    if text[place : place + 1] == "]":
        place += 1
    else:
        place = _scan_elements(text, place, found)
    rest = _skip_blank(text, place)
    if not found.flaw and rest < len(text):
        _break(found, text, rest, "there is data after the list")


def _scan_elements(text: str, place: int, found: Scan) -> int:
    """Read elements and the closing bracket; return the offset after it, or that of the syntax error."""
    offset = _size(text[:place])
    while True:
        try:
            value, end = _DECODER.raw_decode(text, place)
        except RecursionError:
            _break(found, text, place, f"{_nth(found)} is nested too deeply")
            return place
        except json.JSONDecodeError as error:
            cut = error.msg.startswith("Unterminated") or _CUT.match(text, error.pos)
            reason = f"it ends in {_nth(found)}" if cut else f"{_nth(found)}: {lower(error.msg).removesuffix(' at')}"
            _break(found, text, error.pos, reason)
            return place
        except ValueError as error:
            _break(found, text, place, f"{_nth(found)}: {error}")
            return place
        raw = _bytes(text[place:end])
        found.elements.append(Element(raw, offset, value))
        after = _skip_blank(text, end)
        mark = text[after : after + 1]
        following = _skip_blank(text, after + 1)
        offset += len(raw) + _size(text[end:following])
        if mark == "]":
            return after + 1
        if mark != ",":
            last = _nth(found, -1)
            reason = f"after {last} there is neither ',' nor ']'" if mark else f"it ends after {last}"
            _break(found, text, after, reason)
            return after
        place = following


def to_record(kind: type[R], value: object) -> R:
    """Convert a parsed object to a record, with Go's tolerance.

    Raises:
        ValueError: it is not an object, a field has the wrong type, or there is no ID. The message has the reason.
    """
    if not isinstance(value, dict):
        raise ValueError(f"it is {_name_of(value)}, not an object")  # noqa: TRY004  - data, not a programming error
    columns = columns_of(kind)
    known, _ = divide(value, {key: key for key in columns})
    if not known.get("id"):
        raise ValueError("it has no ID")
    fields = {}
    for key, item in known.items():
        if item is not None:
            name, check = columns[key]
            fields[name] = check(_fit(key, item), key)
    return kind.made_of(fields)


def _fit(key: str, item: Any) -> Any:
    """Replace nulls inside a field by zero values, as Go does, and clean its text."""
    if key == "flags":
        return clean(item)
    if isinstance(item, list):
        return [_fit_element(key, element) for element in item]
    if isinstance(item, dict):
        zero: object = 0 if key == "big-data-sizes" else ""
        return {clean(name): zero if part is None else clean(part) for name, part in item.items()}
    return clean(item)


def _fit_element(key: str, element: Any) -> Any:
    if key in _MAPS:
        known = divide(element or {}, _MAP_ENTRY_KEYS)[0] if isinstance(element, dict | None) else element
        return {name: part for name, part in known.items() if part is not None} if isinstance(known, dict) else known
    if element is None:
        return 0 if key in _OWNERS else ""
    return clean(element)


def clean(value: Any) -> Any:
    """Replace everything in a parsed value that is not Unicode by U+FFFD."""
    if isinstance(value, str):
        return value if value.isascii() else _NOT_UNICODE.sub("\ufffd", value)
    if isinstance(value, list):
        return [clean(element) for element in value]
    if isinstance(value, dict):
        return {clean(key): clean(element) for key, element in value.items()}
    return value


def _last_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; the last of equal keys counts, in value and order."""
    built: dict[str, Any] = {}
    for key, value in pairs:
        built.pop(key, None)
        built[key] = value
    return built


def _integer(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"number out of range: {text[:20]}…")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"number out of range: {text}")
    return number


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_last_wins, parse_float=_finite, parse_int=_integer, parse_constant=_no_constant
)


def _skip_blank(text: str, place: int) -> int:
    match = _BLANK.match(text, place)
    return match.end() if match else place


def _break(found: Scan, text: str, place: int, reason: str) -> None:
    if found.flaw is None:
        found.flaw = Flaw(reason, _size(text[:place]))


def _nth(found: Scan, shift: int = 0) -> str:
    return f"record {len(found.elements) + 1 + shift}"


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(_bytes(text))


def _name_of(value: object) -> str:
    names = {bool: "a Boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "null")
