"""A parser for the subset of TOML that most files use: importing `tomllib` takes as long as a whole command.

It reads comments, `[tables]`, bare keys, strings without escapes, `true`, `false`, `inf`, decimal integers, arrays and
inline tables. Everything else, including every possible error, is left to `tomllib`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_WORDS = {"true": True, "false": False, "inf": float("inf")}
_MOST_DIGITS = 18


def read_plain(text: str) -> dict[str, Any] | None:
    """Parse a whole file; None if it needs `tomllib`."""
    if not text.replace("\n", "").replace("\t", "").isprintable():
        return None
    try:
        return _Reader(text).document()
    except (_NotPlain, RecursionError):
        return None


class _NotPlain(Exception):
    """The text is outside the subset, or invalid."""


class _Reader:
    """One pass over one text. Past its last character, `_next` returns "", which is in no character set."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._root: dict[str, Any] = {}
        self._headed: list[dict[str, Any]] = []  # tables whose header has occurred
        self._inline: list[dict[str, Any]] = []  # tables that are values

    def document(self) -> dict[str, Any]:
        table = self._root
        while self._skip_gap():
            if self._next() == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()
            if self._next() not in {"", "\n", "#"}:
                raise _NotPlain
        return self._root

    # ── characters ──

    def _next(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip_blank(self) -> None:
        while self._next() in {" ", "\t"}:
            self._at += 1

    def _skip_gap(self) -> bool:
        """Skip blanks, comments and line ends; return whether anything follows."""
        self._skip_blank()
        while self._next() in {"\n", "#"}:
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end + 1
            self._skip_blank()
        return bool(self._next())

    def _take(self, mark: str) -> None:
        self._skip_blank()
        if self._next() != mark:
            raise _NotPlain
        self._at += 1
        self._skip_blank()

    def _word(self) -> str:
        start = self._at
        while self._next() in _BARE:
            self._at += 1
        if start == self._at:
            raise _NotPlain
        return self._text[start : self._at]

    # ── tables ──

    def _header(self) -> dict[str, Any]:
        table = self._root
        mark = "["
        while self._next() == mark:
            self._take(mark)
            table = table.setdefault(self._word(), {})
            if not isinstance(table, dict) or _is_among(table, self._inline):
                raise _NotPlain
            self._skip_blank()
            mark = "."
        self._take("]")
        if _is_among(table, self._headed):
            raise _NotPlain
        self._headed.append(table)
        return table

    def _pair(self, table: dict[str, Any]) -> None:
        key = self._word()
        self._take("=")
        if key in table:
            raise _NotPlain
        table[key] = self._value()

    # ── values ──

    def _value(self) -> Any:
        match self._next():
            case "'" | '"' as quote:
                return self._quoted(quote)
            case "[":
                return self._list()
            case "{":
                return self._inline_table()
        word = self._word()
        if word in _WORDS:
            return _WORDS[word]
        if not word.isdecimal() or len(word) > _MOST_DIGITS or (word[0] == "0" and word != "0"):
            raise _NotPlain
        return int(word)

    def _quoted(self, quote: str) -> str:
        end = self._text.find(quote, self._at + 1)
        value = self._text[self._at + 1 : end]
        if end < 0 or "\n" in value or "\\" in value or self._text.startswith(quote * 3, self._at):
            raise _NotPlain
        self._at = end + 1
        return value

    def _list(self) -> list[Any]:
        self._take("[")
        values: list[Any] = []
        while self._skip_gap() and self._next() != "]":
            values.append(self._value())
            self._skip_gap()
            if self._next() != "]":
                self._take(",")
        self._take("]")
        return values

    def _inline_table(self) -> dict[str, Any]:
        self._take("{")
        table: dict[str, Any] = {}
        self._inline.append(table)
        while self._next() != "}":
            self._pair(table)
            self._skip_blank()
            if self._next() != "}":
                self._take(",")
                if self._next() == "}":
                    raise _NotPlain
        self._take("}")
        return table


def _is_among(table: dict[str, Any], others: list[dict[str, Any]]) -> bool:
    return any(table is other for other in others)
