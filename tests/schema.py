"""docs/json.md as a schema: documents can be validated against its tables.

The page shows a document with a type in place of each value: `{"id":text,"size"?:number|null}`. Descriptions in prose
are not validated.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "json.md")

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|…\w*|\w+|[][{}:,|?])')
_TIME = re.compile(r"@-?\d+|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DIGEST = re.compile(r"[a-z0-9+._-]+:[0-9a-f]+")


class Shape(NamedTuple):
    """The expected shape of a value: `kind` is `object`, `map`, `list`, `one of`, `is`, `any`, or a name."""

    kind: str
    parts: Any = None
    open: bool = False


ANY = Shape("any")


class Schema:
    """The page: the shape of each command's document and of each named document."""

    def __init__(self) -> None:
        with open(PAGE, encoding="utf-8") as file:
            text = re.sub(r"(?<!\|)\n(?=[^|\n#])", " ", file.read()).replace("\\|", "|")
        self.named: dict[str, Shape] = {}
        self.commands: dict[str, Shape] = {}
        for names, cell in re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE):
            shape = _shape_in(cell)
            for name in re.findall(r"\*([\w ]+)\*", names):
                self.named[name] = shape
            for command in re.findall(r"`([a-z][\w -]*)`", names):
                self.commands[command] = shape
        for name, body in re.findall(r"\*([a-z ]+)\*\s+(?:is\s+)?`(\{.*?\})`", text):
            self.named[name] = _parsed(body)

    def problems(self, shape: Shape, value: Any, place: str = "") -> list[str]:
        """Return what is wrong with a value, as sentences."""
        if shape.kind == "one of":
            found = [self.problems(each, value, place) for each in shape.parts]
            return min(found, key=len)
        if shape.kind == "is":
            return [] if value == shape.parts else [f"{place}: {value!r} is not {shape.parts!r}"]
        if shape.kind in {"object", "map", "list"}:
            return self._inside(shape, value, place)
        if shape.kind in self.named:
            return self.problems(self.named[shape.kind], value, place)
        is_one = _PLAIN.get(shape.kind)
        return [] if is_one is None or is_one(value) else [f"{place}: {value!r} is no {shape.kind}"]

    def _inside(self, shape: Shape, value: Any, place: str) -> list[str]:
        if not isinstance(value, list if shape.kind == "list" else dict):
            return [f"{place}: {value!r} is no {shape.kind}"]
        inside = enumerate(value) if isinstance(value, list) else value.items()
        if shape.kind != "object":
            return [one for key, each in inside for one in self.problems(shape.parts, each, f"{place}.{key}")]
        keys: dict[str, tuple[Shape, bool]] = shape.parts
        missing = [f"{place}: no {key!r}" for key, (_, required) in keys.items() if required and key not in value]
        more = [] if shape.open else [f"{place}: {key!r} is not described" for key in value if key not in keys]
        found = (self.problems(keys[key][0], each, f"{place}.{key}") for key, each in inside if key in keys)
        return [*missing, *more, *(one for problems in found for one in problems)]


_PLAIN: dict[str, Callable[[Any], Any]] = {
    "text": lambda value: isinstance(value, str),
    "path": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "flag": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "time": lambda value: isinstance(value, str) and (not value or _TIME.fullmatch(value)),
    "digest": lambda value: isinstance(value, str) and (not value or _DIGEST.fullmatch(value)),
}


def _shape_in(cell: str) -> Shape:
    """Return the shape at the beginning of a cell; `any` if it is only described in prose."""
    list_of = re.match(r"\[\*([\w ]+)\*\]", cell)
    if list_of:
        return Shape("one of", (Shape("list", Shape(list_of[1])), Shape("null")))
    name = re.match(r"\*([\w ]+)\*(?=$|,)", cell)
    if name:
        return Shape(name[1], open=True)
    code = re.match(r"(?:[^`]{0,40}: )?`([^`]+)`", cell)
    if code is None:
        return ANY
    changed = "also" in cell or "with `" in cell or ", and of" in cell
    shape = _parsed(re.sub(r"\*([\w ]+)\*", lambda found: found[1].replace(" ", "_"), code[1]))
    return shape._replace(open=shape.open or changed) if shape.kind == "object" else shape


def _parsed(text: str) -> Shape:
    tokens = _TOKEN.findall(text)
    try:
        return _alternatives(tokens)
    except (IndexError, ValueError):
        return ANY


def _alternatives(tokens: list[str]) -> Shape:
    found = [_value(tokens)]
    while tokens and tokens[0] == "|":
        tokens.pop(0)
        found.append(_value(tokens))
    return found[0] if len(found) == 1 else Shape("one of", tuple(found))


def _value(marks: list[str]) -> Shape:
    mark = marks.pop(0)
    if mark == "{":
        return _object(marks)
    if mark == "[":
        inside = _alternatives(marks)
        several = marks[0] != "]"
        while marks.pop(0) != "]":
            pass
        return Shape("list", ANY if several else inside)
    if mark.startswith('"'):
        return Shape("is", mark[1:-1])
    if mark.isdigit():
        return Shape("is", int(mark))
    return ANY if mark.startswith("…") else Shape(mark.replace("_", " "))


def _object(marks: list[str]) -> Shape:
    keys: dict[str, tuple[Shape, bool]] = {}
    is_open = False
    while marks[0] != "}":
        mark = marks.pop(0)
        if mark == ",":
            continue
        if mark.startswith("…"):
            is_open = True
            continue
        optional = marks[0] == "?"
        if optional:
            marks.pop(0)
        if marks.pop(0) != ":":
            raise ValueError(mark)
        shape = _alternatives(marks)
        if not mark.startswith('"'):  # a placeholder for arbitrary keys
            while marks.pop(0) != "}":
                pass
            return Shape("map", shape)
        keys[mark[1:-1]] = shape, not optional
    marks.pop(0)
    return Shape("object", keys, is_open)
