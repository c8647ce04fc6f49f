"""Reading and validating a storage.conf file: TOML in, `FileSettings` out; errors name file, line and key.

`tomllib` takes as long to import as a whole command takes. So most files are read by `_PlainReader`, which supports
comments, `[tables]`, bare keys, strings without escapes, `true`, `false`, `inf`, decimal integers, arrays and inline
tables. Everything else, including every possible error, is left to `tomllib`.
"""

from __future__ import annotations

import os
import stat

from cstore import errors
from cstore.config.keys import RETIRED, Kind, all_keys, all_tables, is_table, kind_of
from cstore.config.options import Appended, FileSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LARGEST_FILE = 1 << 20
_NULL_DEVICE = os.makedev(1, 3)
_UNITS = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}
_TYPES: dict[str, type | tuple[type, ...]] = {
    Kind.TEXT: str,
    Kind.FLAG_WORD: str,
    Kind.FLAG: bool,
    Kind.TEXTS: list,
    Kind.NUMBER: int,
    Kind.TEXT_TABLE: dict,
    Kind.SECONDS: (int, float, str),
    Kind.EMPTY_TABLE: dict,
}
_BARE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_WORDS = {"true": True, "false": False, "inf": float("inf")}
_LONGEST_WORD = 200
_MOST_DIGITS = 18
_ELSEWHERE = "correct the file, or name another one in CONTAINERS_STORAGE_CONF"


def read_file(path: str) -> FileSettings:
    """Read a configuration file.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has a value of the wrong type for a known key.
    """
    try:
        data = read_named(path, _LARGEST_FILE)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise errors.ConfigError(path or '""', f"cannot be read: {reason}", hint=_ELSEWHERE) from error
    except errors.ConfigError as error:
        error.hint = error.hint or _ELSEWHERE
        raise
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()  # avoids importing the utf-8-sig codec
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise errors.ConfigError(path, "is not UTF-8 text", line=line, hint=_ELSEWHERE) from error
    return read_settings(path, text)


def read_settings(path: str, text: str) -> FileSettings:
    """Parse the text of a configuration file that is, or will be, at `path`.

    Raises:
        ConfigError: the text is not TOML, or has a value of the wrong type for a known key.
    """
    tables = read_plain(text)
    if tables is None:
        import tomllib

        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            import re

            reason, _, place = str(error).rpartition(" (at ")
            match = re.match(r"line (\d+)", place)
            line = int(match[1]) if match else text.rstrip().count("\n") + 1
            reason = reason or str(error)
            raise errors.ConfigError(path, reason[0].lower() + reason[1:], line=line, hint=_ELSEWHERE) from error
        except (RecursionError, ValueError) as error:  # too deeply nested, or a number of thousands of digits
            raise errors.ConfigError(path, f"is not usable TOML: {error}", hint=_ELSEWHERE) from error
    reading = _Reading(path, text)
    reading.walk(tables, "")
    return FileSettings(path, text, reading.values, tuple(reading.remarks))


def parse_seconds(text: str) -> float:
    """Parse a duration: a number, optionally followed by ms, s, m or h. Returns seconds.

    Raises:
        ValueError: it is not a duration.
    """
    import re

    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+|inf)\s*(ms|s|m|h|)\s*", text, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 30s, 1.5m or 2h")
    return float(match[1]) * _UNITS[match[2]]


def read_named(path: str, limit: int) -> bytes:
    """Read all of a small file that a user, the environment or another file names, without ever blocking.

    The null device is an empty file. A pipe is read only if the process inherited it open, as /dev/stdin or from the
    shell's process substitution, because any other pipe may never have a writer.

    Args:
        path: the file; links in it are followed.
        limit: the maximum size in bytes.

    Raises:
        OSError: as open(2) and read(2); EISDIR for a directory.
        ConfigError: it is not a file, or it is larger.
    """
    _require_readable(path, os.stat(path), limit)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        _require_readable(path, os.fstat(descriptor), limit)
        os.set_blocking(descriptor, True)
        data = file.read(limit + 1)
    if len(data) > limit:
        raise _too_large(path, limit)
    return data


def _require_readable(path: str, status: os.stat_result, limit: int) -> None:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        if status.st_size > limit:
            raise _too_large(path, limit)
        return
    if stat.S_ISDIR(mode):
        import errno

        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if stat.S_ISFIFO(mode):
        if not path.startswith(("/dev/fd/", "/dev/stdin", "/proc/self/fd/")):
            raise errors.ConfigError(path, "is a FIFO, not a file", hint="write its contents to a file and name that")
    elif not (stat.S_ISCHR(mode) and status.st_rdev == _NULL_DEVICE):
        raise errors.ConfigError(path, f"is a {'socket' if stat.S_ISSOCK(mode) else 'device'}, not a file")


def _too_large(path: str, limit: int) -> errors.ConfigError:
    return errors.ConfigError(path, f"is larger than {limit >> 20} MiB, more than any such file")


class _Reading:
    """One walk through the tables of one file."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self._spelled: dict[str, str] = {}
        self.values: dict[str, Any] = {}
        self.remarks: list[errors.ConfigError] = []

    def walk(self, table: dict[str, Any], above: str) -> None:
        for name, value in table.items():
            written = f"{above}.{name}" if above else name
            key = written.lower()
            if kind := kind_of(key):
                first = self._spelled.setdefault(key, written)
                if first != written:  # they differ in case only, so it is unclear which one should take effect
                    raise self._error(key, f"it is given twice, as {first} and as {written}", "remove one of them")
                self.values[key] = self._checked(key, kind, value)
            elif not is_table(key):
                note, reason = RETIRED.get(key, ""), "this key is no longer used and was ignored"
                if not note:
                    guess, reason = nearest_key(key), "unknown key, ignored"
                    note = f"did you mean {guess}?" if guess else ""
                self.remarks.append(self._error(written, reason, note))
            elif isinstance(value, dict):
                self.walk(value, written)
            else:
                raise self._error(key, f"it must be a table, not {_type_name(value)}")

    def _error(self, key: str, reason: str, hint: str = "") -> errors.ConfigError:
        from cstore.config.lines import line_of

        return errors.ConfigError(self._path, reason, line=line_of(self._text, key), key=key, hint=hint)

    def _checked(self, key: str, kind: str, value: Any) -> Any:
        """Return the effective form of a value.

        Raises:
            ConfigError: it has another type, or is out of range.
        """
        if kind == Kind.TEXTS and isinstance(value, list):
            # `{append=true}` in an array makes it extend the value of earlier files.
            marks = [item for item in value if isinstance(item, dict)]
            for mark in marks:
                if mark.keys() != {"append"} or not isinstance(mark["append"], bool):
                    raise self._error(key, "a table in this array can only be {append=true} or {append=false}")
            texts = [item for item in value if not isinstance(item, dict)]
            value = Appended(texts) if marks and marks[-1]["append"] else texts
        mixed = isinstance(value, list) and kind == Kind.TEXTS and not all(isinstance(item, str) for item in value)
        typed = isinstance(value, _TYPES[kind]) and (kind == Kind.FLAG or not isinstance(value, bool))
        if mixed or not typed:
            got = "an array of anything else" if mixed else _type_name(value)
            raise self._error(key, f"it must be {kind}, not {got}", _remedy(key, kind, value))
        match kind:
            case Kind.TEXT | Kind.FLAG_WORD | Kind.TEXTS:
                if any("\0" in text for text in ([value] if isinstance(value, str) else value)):
                    raise self._error(key, "it contains a NUL character")
            case Kind.NUMBER:
                from cstore.idmap import LARGEST_ID

                if not 0 <= value <= LARGEST_ID:
                    raise self._error(key, f"{value} is not {Kind.NUMBER}")
            case Kind.TEXT_TABLE:
                for name, item in value.items():
                    if not isinstance(item, str):
                        inner, reason = f"{key}.{name}", f"it must be a string, not {_type_name(item)}"
                        raise self._error(inner, reason, _remedy(inner, Kind.TEXT, item))
            case Kind.SECONDS:
                try:
                    value = parse_seconds(value) if isinstance(value, str) else value
                except ValueError as error:
                    raise self._error(key, str(error)) from error
                if not value >= 0:  # `value < 0` would accept NaN
                    raise self._error(key, f"{value} is not {Kind.SECONDS}")
                return float(min(value, 1 << 62)) if isinstance(value, int) else value
            case Kind.EMPTY_TABLE:
                note = ("this key is no longer used and was ignored", "device mapper is gone")
                self.remarks += [self._error(f"{key}.{name}", *note) for name in value]
                return {}
        return value


def nearest_key(key: str) -> str:
    """Return the known key or table closest to `key`; "" if none is close."""
    from difflib import get_close_matches

    plain = {known.replace("-", "_"): known for known in sorted(all_keys().keys() | all_tables())}
    wanted = key.lower().replace("-", "_")
    leaf = wanted.rpartition(".")[2]
    moved = [known for name, known in plain.items() if name.rpartition(".")[2] == leaf]
    if moved:
        return min(moved, key=len)
    near = get_close_matches(wanted, plain, n=1, cutoff=0.85)
    return plain[near[0]] if near else ""


def _remedy(key: str, kind: str, value: Any) -> str:
    name = key.rpartition(".")[2]
    if kind in {Kind.TEXT, Kind.FLAG_WORD} and isinstance(value, bool | int | float):
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return f'write it in quotes: {name} = "{text}"'
    if kind == Kind.FLAG and str(value).lower() in {"true", "false"}:
        return f"write it without quotes: {name} = {str(value).lower()}"
    if kind == Kind.NUMBER and isinstance(value, str) and value.isascii() and value.isdecimal():
        number = f"0o{value.lstrip('0') or '0'}" if name == "force_mask" else value
        return f"write it without quotes: {name} = {number}"
    if kind == Kind.TEXTS and isinstance(value, str):
        return f'write it in brackets: {name} = ["{value}"]'
    return ""


def _type_name(value: Any) -> str:
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", list: "an array", dict: "a table"}
    return names.get(type(value), "a date or time")


# ── the plain subset of TOML ──


def read_plain(text: str) -> dict[str, Any] | None:
    """Parse a whole file; None if it needs `tomllib`."""
    if not text.replace("\n", "").replace("\t", "").isprintable():
        return None
    # Most of a file is lines of comments. One inside a string of several lines is no comment, but that is not plain.
    lines = [line for line in text.split("\n") if not line.startswith("#")]
    try:
        return _PlainReader("\n".join(lines)).document()
    except (_NotPlain, RecursionError):
        return None


class _NotPlain(Exception):
    """The text is outside the subset, or invalid."""


class _PlainReader:
    """One pass over one text. Past its last character, `_next` returns "", which is in no character set."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._inline: list[dict[str, Any]] = []  # tables that are values

    def document(self) -> dict[str, Any]:
        root: dict[str, Any] = {}
        headed: list[dict[str, Any]] = []  # tables whose header has occurred
        table = root
        while self._skip_gap():
            if self._next() != "[":
                self._pair(table)
            else:
                table, mark = root, "["
                while self._next() == mark:
                    self._take(mark)
                    table = table.setdefault(self._word(), {})
                    if not isinstance(table, dict) or any(table is other for other in self._inline):
                        raise _NotPlain
                    self._skip_blank()
                    mark = "."
                self._take("]")
                if any(table is other for other in headed):
                    raise _NotPlain
                headed.append(table)
            self._skip_blank()
            if self._next() not in {"", "\n", "#"}:
                raise _NotPlain
        return root

    def _pair(self, table: dict[str, Any]) -> None:
        key = self._word()
        self._take("=")
        if key in table:
            raise _NotPlain
        table[key] = self._value()

    def _value(self) -> Any:
        match self._next():
            case "'" | '"' as quote:
                end = self._text.find(quote, self._at + 1)
                text = self._text[self._at + 1 : end]
                if end < 0 or "\n" in text or "\\" in text or self._text.startswith(quote * 3, self._at):
                    raise _NotPlain
                self._at = end + 1
                return text
            case "[":
                self._take("[")
                values: list[Any] = []
                while self._skip_gap() and self._next() != "]":
                    values.append(self._value())
                    self._skip_gap()
                    if self._next() != "]":
                        self._take(",")
                self._take("]")
                return values
            case "{":
                return self._inline_table()
        word = self._word()
        if word in _WORDS:
            return _WORDS[word]
        if not word.isdecimal() or len(word) > _MOST_DIGITS or (word[0] == "0" and word != "0"):
            raise _NotPlain
        return int(word)

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
        ahead = self._text[self._at : self._at + _LONGEST_WORD]
        word = ahead[: len(ahead) - len(ahead.lstrip(_BARE))]
        if not 0 < len(word) < _LONGEST_WORD:
            raise _NotPlain
        self._at += len(word)
        return word
