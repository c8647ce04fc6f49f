"""Finding the line of each key in a TOML text, for error messages.

`tomllib` returns values without their positions. This scanner finds positions without values: it runs only when there
is an error to report, and only on text that `tomllib` has accepted, so it validates nothing.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:""|")?'
    r"|'''.*?'''(?:''|')?"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]*")

Path = tuple[str, ...]


def key_lines(text: str) -> dict[Path, int]:
    """Map the path of every table and key, in lower case, to the line of its first occurrence, counted from 1."""
    return _Scanner(text).scan()


def line_of(text: str, dotted: str) -> int:
    """Return the line of the key `dotted`, or of its nearest enclosing table in the text; 0 if there is none."""
    lines = key_lines(text)
    path = tuple(dotted.lower().split("."))
    return next((lines[path[:depth]] for depth in range(len(path), 0, -1) if path[:depth] in lines), 0)


class _Scanner:
    """One pass over one text. Unexpected text ends the scan; positions found before it are kept."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[Path, int] = {}

    def scan(self) -> dict[Path, int]:
        table: Path = ()
        while self._skip(_BLANK):
            start = self._at
            if self._text[start] == "[":
                self._skip_marks("[")
                table = self._key(())
                self._skip_marks("]")
            else:
                self._pair(table)
            if self._at == start:
                break
        return self._found

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        """Skip `pattern`; return whether any text is left."""
        match = pattern.match(self._text, self._at)
        if match:
            self._at = match.end()
        return self._at < len(self._text)

    def _skip_marks(self, mark: str) -> None:
        while self._text[self._at : self._at + 1] == mark:
            self._at += 1
        self._skip(_SPACE)

    def _key(self, above: Path) -> Path:
        """Read a dotted key and record the line of each of its parts."""
        line = self._text.count("\n", 0, self._at) + 1
        path = above
        while self._skip(_SPACE):
            match = _STRING.match(self._text, self._at) or _BARE_KEY.match(self._text, self._at)
            if match is None:
                break
            self._at = match.end()
            path = (*path, match.group().strip("\"'").lower())
            self._found.setdefault(path, line)
            self._skip(_SPACE)
            if self._text[self._at : self._at + 1] != ".":
                break
            self._at += 1
        return path

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self._skip(_SPACE)
        if self._text[self._at : self._at + 1] == "=":
            self._at += 1
            self._value(path)

    def _value(self, path: Path) -> None:
        if not self._skip(_BLANK):
            return
        mark = self._text[self._at]
        if mark == "[":
            self._enclosed("]", path, self._value)
        elif mark == "{":
            self._enclosed("}", path, self._pair)
        elif match := _STRING.match(self._text, self._at):
            self._at = match.end()
        else:
            self._skip(_SCALAR)

    def _enclosed(self, end: str, path: Path, read: Callable[[Path], None]) -> None:
        self._at += 1
        while self._skip(_BLANK) and self._text[self._at] != end:
            start = self._at
            read(path)
            if self._skip(_BLANK) and self._text[self._at] == ",":
                self._at += 1
            if self._at == start:
                return
        self._at += 1
