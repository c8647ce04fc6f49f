"""Editing one key of a configuration text; all other lines, including comments, stay unchanged."""

from __future__ import annotations

from cstore.config import keys
from cstore.config.driver_options import file_options
from cstore.config.keys import OPTIONS, Kind, kind_of
from cstore.config.lines import key_lines
from cstore.config.parse import nearest_key, read_settings
from cstore.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.config.options import FileSettings


def full_key(written: str) -> str:
    """Return the full dotted name of a key that may be written without `storage.` or `storage.options.`.

    Raises:
        ConfigError: the key is unknown.
    """
    word = written.lower()
    names = (word, f"storage.{word}", f"{OPTIONS}.{word}")
    for key in names:
        above = key.rpartition(".")[0]
        if kind_of(key) or above == keys.PULL_OPTIONS:
            return key
    guess = next(filter(None, map(nearest_key, names)), "")
    raise ConfigError(written, "there is no such key", hint=f"did you mean {guess}?" if guess else "")


def value_of(key: str, text: str) -> Any:
    """Parse `text` as the value of `key`; strings need no quotes, and array items are separated by commas.

    Raises:
        ConfigError: the key does not take such a value.
    """
    kind = kind_of(key) or Kind.TEXT
    if kind in {Kind.TEXT, Kind.FLAG_WORD}:
        return text
    if kind == Kind.FLAG and text in {"true", "false"}:
        return text == "true"
    if kind == Kind.TEXTS and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind == Kind.SECONDS and text[-1:] in {"s", "m", "h"}:
        return text
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        raise ConfigError(key, f"it must be {kind}, not {text!r}") from None


def check_options(settings: FileSettings) -> None:
    """Check that every driver accepts the options in a file.

    Raises:
        ConfigError: a driver does not accept an option.
    """
    from cstore.drivers.registry import DRIVERS

    for driver in DRIVERS:
        file_options(settings, driver)


def with_value(path: str, text: str, key: str, value: Any) -> str:
    """Return the text of the file at `path` with `key` set to `value`.

    Raises:
        ConfigError: the text is invalid before or after the change, or the key's form in it cannot be edited.
    """
    before = read_settings(path, text)
    above, _, name = key.rpartition(".")
    line = _line(name, value)
    lines = text.splitlines()
    at = key_lines(text).get(tuple(key.split(".")), 0)
    if at:
        end = at - 1 + _length(lines[at - 1 :])
        written = lines[at - 1].partition("=")[0].rstrip()  # as spelled in the file: dotted, indented or quoted
        lines[at - 1 : end] = [f"{written} = {line.partition(' = ')[2]}{_comment(lines[end - 1], at == end)}"]
    elif header := _header(lines, above):
        lines.insert(header, line)
    else:
        lines += [*([""] if lines else []), f"[{above}]", line]
    return _checked(path, before.values, lines, key, value)


def without(path: str, text: str, key: str) -> str:
    """Return the text of the file at `path` without `key`; see `with_value`."""
    before = read_settings(path, text)
    at = key_lines(text).get(tuple(key.split(".")), 0)
    if not at:
        raise ConfigError(path, "the key is not in this file", key=key, hint="cstore config --sources says where it is")
    lines = text.splitlines()
    del lines[at - 1 : at - 1 + _length(lines[at - 1 :])]
    return _checked(path, before.values, lines, key, None)


def _line(name: str, value: Any) -> str:
    import tomli_w

    items = value if isinstance(value, list) else [value]
    written = [tomli_w.dumps({"x": item}).removeprefix("x = ").strip() for item in items if not isinstance(item, dict)]
    written += ["{append = true}" for item in items if isinstance(item, dict) and item == {"append": True}]
    return f"{name} = [{', '.join(written)}]" if isinstance(value, list) else f"{name} = {written[0]}"


def _length(lines: list[str]) -> int:
    """Return the number of lines of the key and value at the start of `lines`; 1 if there are comments between."""
    import tomllib

    for count in range(1, len(lines) + 1):
        try:
            if len(tomllib.loads("\n".join(lines[:count]))) == 1:
                return count
        except tomllib.TOMLDecodeError:
            if "#" in lines[count - 1]:
                break
    return 1


def _comment(line: str, whole: bool) -> str:
    """Return the comment after a key and value, after two blanks. Not `whole`: `line` is only their last line."""
    import tomllib

    if not whole:
        return f"  #{line.partition('#')[2]}" if "#" in line else ""
    for at in (at for at, letter in enumerate(line) if letter == "#"):
        try:
            if len(tomllib.loads(line[:at])) == 1:
                return "  " + line[at:]
        except tomllib.TOMLDecodeError:
            continue  # the mark is inside a string
    return ""


def _header(lines: list[str], table: str) -> int:
    """Return the line number of a table's header; 0 if it has none."""
    wanted = f"[{table}]"
    return next((at for at, line in enumerate(lines, 1) if line.partition("#")[0].replace(" ", "") == wanted), 0)


def _has_value(text: str, key: str) -> bool:
    """Return whether `text` is TOML in which `key` has a value."""
    import tomllib

    try:
        found: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    for name in key.split("."):
        inner = {written.lower(): item for written, item in found.items()} if isinstance(found, dict) else {}
        if name not in inner:
            return False
        found = inner[name]
    return True


def _checked(path: str, before: Any, lines: list[str], key: str, value: Any) -> str:
    """Check that the edited text has the new value and that nothing else has changed."""
    text = "\n".join(lines) + "\n"
    reason = "the key cannot be changed in this file without changing other lines"
    stuck = ConfigError(path, reason, key=key, hint="change it with an editor")
    if value is not None and not _has_value(text, key):
        raise stuck
    after = read_settings(path, text)
    check_options(after)
    changed = dict(before)
    table, _, name = key.rpartition(".")
    if table == keys.PULL_OPTIONS:
        inner = {**changed.get(table, {}), name: value}
        changed[table] = {one: said for one, said in inner.items() if said is not None}
        if not changed[table] and table not in after.values:
            del changed[table]
    elif value is None:
        changed.pop(key, None)
    else:
        changed[key] = after.values.get(key)
    if changed != after.values or (value is not None and table != keys.PULL_OPTIONS and key not in after.values):
        raise stuck
    return text
