"""Reading and validating a storage.conf file: TOML in, `FileSettings` out; errors name file, line and key."""

from __future__ import annotations

import os
import stat

from cstore import errors
from cstore.config.keys import RETIRED, Kind, all_keys, all_tables, is_table, kind_of
from cstore.config.options import Appended, FileSettings
from cstore.config.plain import read_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LARGEST_FILE = 1 << 20
_NULL_DEVICE = os.makedev(1, 3)
_UNITS = {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}
_ELSEWHERE = "correct the file, or name another one in CONTAINERS_STORAGE_CONF"


def read_file(path: str) -> FileSettings:
    """Read a configuration file.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has a value of the wrong type for a known key.
    """
    return read_settings(path, _read_text(path))


def read_settings(path: str, text: str) -> FileSettings:
    """Parse the text of a configuration file that is, or will be, at `path`.

    Raises:
        ConfigError: the text is not TOML, or has a value of the wrong type for a known key.
    """
    reading = _Reading(path, text)
    reading.walk(_parse_toml(path, text), "")
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
    """Read a small file that a user, the environment or another file names, whole and without ever waiting for it.

    The null device is an empty file. A pipe is read only where the process was given it open, as /dev/stdin or as the
    shell's process substitution: nobody can tell whether anybody will write to another one.

    Args:
        path: links in it are followed.
        limit: bytes that it has at most.

    Raises:
        OSError: as open(2) and read(2); EISDIR for a directory.
        ConfigError: it is something else than a file, or larger.
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


def _read_text(path: str) -> str:
    try:
        data = read_named(path, _LARGEST_FILE)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise errors.ConfigError(path or '""', f"cannot be read: {reason}", hint=_ELSEWHERE) from error
    except errors.ConfigError as error:
        error.hint = error.hint or _ELSEWHERE
        raise
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode()  # avoids importing the utf-8-sig codec
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise errors.ConfigError(path, "is not UTF-8 text", line=line, hint=_ELSEWHERE) from error


def _parse_toml(path: str, text: str) -> dict[str, Any]:
    plain = read_plain(text)
    if plain is not None:
        return plain
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        import re

        reason, _, place = str(error).rpartition(" (at ")
        match = re.match(r"line (\d+)", place)
        line = int(match[1]) if match else text.rstrip().count("\n") + 1
        reason = reason or str(error)
        raise errors.ConfigError(path, reason[0].lower() + reason[1:], line=line, hint=_ELSEWHERE) from error
    except (RecursionError, ValueError) as error:  # too deeply nested, or a number of thousands of digits
        raise errors.ConfigError(path, f"is not usable TOML: {error}", hint=_ELSEWHERE) from error


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
                if first != written:  # they differ in case only, so it is unclear which one counts
                    raise self._error(key, f"it is given twice, as {first} and as {written}", "remove one of them")
                self.values[key] = self._checked(key, kind, value)
            elif not is_table(key):
                self.remarks.append(self._unknown(written, key))
            elif isinstance(value, dict):
                self.walk(value, written)
            else:
                raise self._error(key, f"it must be a table, not {_type_name(value)}")

    def _error(self, key: str, reason: str, hint: str = "") -> errors.ConfigError:
        from cstore.config.lines import line_of

        return errors.ConfigError(self._path, reason, line=line_of(self._text, key), key=key, hint=hint)

    def _unknown(self, written: str, key: str) -> errors.ConfigError:
        if note := RETIRED.get(key):
            return self._error(written, "this key is no longer used and was ignored", note)
        guess = nearest_key(key)
        return self._error(written, "unknown key, ignored", f"did you mean {guess}?" if guess else "")

    def _checked(self, key: str, kind: str, value: Any) -> Any:
        if kind == Kind.TEXTS and isinstance(value, list):
            value = self._without_append(key, value)
        match kind:
            case Kind.TEXT | Kind.FLAG_WORD:
                fine = isinstance(value, str)
            case Kind.FLAG:
                fine = isinstance(value, bool)
            case Kind.TEXTS:
                fine = isinstance(value, list) and all(isinstance(item, str) for item in value)
            case Kind.NUMBER:
                return self._checked_number(key, value)
            case Kind.TEXT_TABLE:
                return self._checked_table(key, value)
            case Kind.SECONDS:
                return self._checked_seconds(key, value)
            case Kind.EMPTY_TABLE:
                return self._checked_empty(key, value)
        if not fine:
            got = "an array of anything else" if isinstance(value, list) and kind == Kind.TEXTS else _type_name(value)
            raise self._error(key, f"it must be {kind}, not {got}", _remedy(key, kind, value))
        if kind != Kind.FLAG and any("\0" in text for text in ([value] if isinstance(value, str) else value)):
            raise self._error(key, "it contains a NUL character")
        return value

    def _without_append(self, key: str, value: list[Any]) -> list[Any]:
        """Remove `{append=true}` from an array, which then extends the value of earlier files."""
        marks = [item for item in value if isinstance(item, dict)]
        for mark in marks:
            if mark.keys() != {"append"} or not isinstance(mark["append"], bool):
                raise self._error(key, "a table in this array can only be {append=true} or {append=false}")
        texts = [item for item in value if not isinstance(item, dict)]
        return Appended(texts) if marks and marks[-1]["append"] else texts

    def _checked_number(self, key: str, value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            hint = _remedy(key, Kind.NUMBER, value)
            raise self._error(key, f"it must be {Kind.NUMBER}, not {_type_name(value)}", hint)
        from cstore.idmap import LARGEST_ID

        if not 0 <= value <= LARGEST_ID:
            raise self._error(key, f"{value} is not {Kind.NUMBER}")
        return value

    def _checked_table(self, key: str, value: Any) -> dict[str, str]:
        if not isinstance(value, dict):
            raise self._error(key, f"it must be {Kind.TEXT_TABLE}, not {_type_name(value)}")
        for name, item in value.items():
            if not isinstance(item, str):
                inner, reason = f"{key}.{name}", f"it must be a string, not {_type_name(item)}"
                raise self._error(inner, reason, _remedy(inner, Kind.TEXT, item))
        return value

    def _checked_seconds(self, key: str, value: Any) -> float:
        if isinstance(value, str):
            try:
                return parse_seconds(value)
            except ValueError as error:
                raise self._error(key, str(error)) from error
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._error(key, f"it must be {Kind.SECONDS}, not {_type_name(value)}")
        if not value >= 0:  # `value < 0` would accept NaN
            raise self._error(key, f"{value} is not {Kind.SECONDS}")
        return float(min(value, 1 << 62)) if isinstance(value, int) else value

    def _checked_empty(self, key: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._error(key, f"it must be {Kind.EMPTY_TABLE}, not {_type_name(value)}")
        self.remarks += [
            self._error(f"{key}.{name}", "this key is no longer used and was ignored", "device mapper is gone")
            for name in value
        ]
        return {}


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
