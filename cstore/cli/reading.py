"""Parser of correct command lines without click, whose import takes longer than most commands run.

This module leaves every doubtful line to `clicked`, which explains errors, prints help, and parses correct lines to the
same result; a test compares the two parsers.

The option syntax is that of Go's flag parsers, which the Go tool uses, but options may also follow positional
arguments. Options end at `--`; options before the command, and options of a command that runs another program, also
end at the first positional argument. `-i=V` gives a short option a value, while `-iV` bundles two options; a switch may
have an explicit value, `--json=false`, and never consumes the next argument; one pair of quotes around a value after
`=` is removed. (cli spec, 1.2)
"""

from __future__ import annotations

from cstore.cli.command import COMMAND, SESSION, SWITCH, TEXTS
from cstore.cli.root import GLOBAL_OPTIONS, find, options_after
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from cstore.cli.command import Command, Option, Word

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Misspelt(Exception):
    """An invalid or unknown option, or one whose value is missing or not valid."""

    def __init__(self, sentence: str = "", *, option: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.option = option


def split_options(
    words: Sequence[str], options: Iterable[Option], *, anywhere: bool = False
) -> tuple[list[tuple[Option, str | bool]], list[str]]:
    """Parse the options at the front of a command line; with `anywhere`, also those between positional arguments.

    Returns:
        Each occurrence of an option with its text, or its state if it is a switch; and the positional arguments.

    Raises:
        Misspelt: an option is not valid, as in the Go tool. Without a sentence, the option is unknown.
    """
    by_spelling: dict[str, Option] = {}
    rest = list(words)
    passed: list[str] = []
    given: list[tuple[Option, str | bool]] = []
    while rest:
        if len(rest[0]) < 2 or not rest[0].startswith("-"):
            if not anywhere:
                break
            passed.append(rest.pop(0))
            continue
        word = rest.pop(0)
        if word == "--":
            break
        if not by_spelling:  # built on demand: most lines of a batch have no options
            by_spelling = {spelling: option for option in options for spelling in option.spellings}
        for spelling, value in _spellings(word):
            option = by_spelling.get(spelling)
            if option is None:
                raise Misspelt(option=word.partition("=")[0])
            given.append((option, _value(option, spelling, value, rest)))
    return given, passed + rest


def _spellings(word: str) -> list[tuple[str, str | None]]:
    """Split one option argument into (spelling, value after "=") pairs; a bundle gives several."""
    head, equals, tail = word.partition("=")
    name = head.lstrip("-")
    if not name or name[0] == "-" or head.startswith("---"):
        raise Misspelt(f"{word!r} is not an option.")
    quoted = len(tail) > 1 and tail[0] == tail[-1] and tail[0] in "\"'"
    value = (tail[1:-1] if quoted else tail) if equals else None
    if head.startswith("--") or len(name) == 1:
        return [(head, value)]
    if name == "help":  # the Go tool's old spelling, -help
        return [("--help", value)]
    return [(f"-{letter}", None) for letter in name]


def _value(option: Option, spelling: str, value: str | None, rest: list[str]) -> str | bool:
    """Return the value of one option. If it needs a value and has none after "=", take the next word from `rest`."""
    if option.takes == SWITCH:
        if value is None or value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise Misspelt(f"Option {spelling!r} is a switch: {value!r} is neither true nor false.", option=spelling)
    if value is not None:
        return value
    if not rest:
        raise Misspelt(f"Option {spelling!r} needs a value.", option=spelling)
    return rest.pop(0)


class Line(Value, kw_only=True):
    """A parsed command line: the command, the arguments of its function, and the options for the session.

    The settings contain only the options on the line, before or after the command. A later value replaces an earlier
    one; texts accumulate.
    """

    command: Command
    values: Mapping[str, Any]
    settings: Mapping[str, Any]


def read(words: Sequence[str]) -> Line | None:
    """Parse a command line that runs a command; return None for any other line."""
    settings: dict[str, Any] = {}
    try:
        before, rest = split_options(words, GLOBAL_OPTIONS)
        command = find(rest[0]) if rest else None
        if command is None:
            return None
        after, rest = split_options(rest[1:], options_after(command), anywhere=command.options_anywhere)
        values = _assigned(rest, command.words)
        values |= {option.name: option.absent for option in command.options if option.tells == COMMAND}
        for option, text in (*before, *after):
            if option.tells in {COMMAND, SESSION}:
                into = values if option.tells == COMMAND else settings
                value = text if isinstance(text, bool) else option.meaning(text)
                into[option.name] = (*into.get(option.name, ()), value) if option.takes == TEXTS else value
    except (Misspelt, ValueError):
        return None
    return Line(command=command, values=values, settings=settings)


def _assigned(words: list[str], places: tuple[Word, ...]) -> dict[str, Any]:
    """Assign the positional arguments to their declarations.

    Raises:
        ValueError: there are too few or too many arguments.
    """
    values: dict[str, Any] = {}
    rest = list(words)
    for count, place in enumerate(places, 1):
        spare = len(rest) - len(places[count:])  # a variable-length argument leaves one word to each later argument
        if place.required and (spare < 1 if place.many else not rest):
            raise ValueError(place.metavar)
        if place.many:
            values[place.name], rest = tuple(rest[:spare]), rest[spare:]
        else:
            values[place.name] = rest.pop(0) if rest else ""
    if rest:
        raise ValueError(rest[0])
    return values
