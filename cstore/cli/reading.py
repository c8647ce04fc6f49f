"""Parses correct command lines without click, whose import takes longer than most commands run.

Whatever raises the slightest doubt is left to `clicked`, which explains mistakes, shows help, and understands the same
lines in the same way: a test holds the two against each other.

The manners of writing options are those of Go's flag parsers, which the Go tool has, and options behind words too.
Options end at `--`; for the program itself, and where another program's words follow, at the first word. `-i=V` gives
a short option its value, while `-iV` bundles two; a switch may be told its value, `--json=false`, and never takes the
next word; one pair of quotes around a value after `=` goes away. (cli spec, 1.2)
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
    """Parse the options of a command line: at its front, or with `anywhere` also between the words.

    Returns:
        Each option as often as it was given, with its text, or whether it was switched on; and the other words.

    Raises:
        Misspelt: the Go tool would not understand it either. Without a sentence: there is no such option.
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
        if not by_spelling:  # a line of a batch has few options
            by_spelling = {spelling: option for option in options for spelling in option.spellings}
        for spelling, value in _spellings(word):
            option = by_spelling.get(spelling)
            if option is None:
                raise Misspelt(option=word.partition("=")[0])
            given.append((option, _value(option, spelling, value, rest)))
    return given, passed + rest


def _spellings(word: str) -> list[tuple[str, str | None]]:
    """Split one option word into (spelling, value after "=") pairs; a bundle yields several."""
    head, equals, tail = word.partition("=")
    name = head.lstrip("-")
    if not name or name[0] == "-" or head.startswith("---"):
        raise Misspelt(f"{word!r} is not an option.")
    quoted = len(tail) > 1 and tail[0] == tail[-1] and tail[0] in "\"'"
    value = (tail[1:-1] if quoted else tail) if equals else None
    if head.startswith("--") or len(name) == 1:
        return [(head, value)]
    if name == "help":  # the Go tool's old spelling
        return [("--help", value)]
    return [(f"-{letter}", None) for letter in name]


def _value(option: Option, spelling: str, value: str | None, rest: list[str]) -> str | bool:
    """Read the value of one option. Takes it from `rest` if it needs one and has none yet."""
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

    The session gets only options on the line, before the command or after it. A later value replaces an earlier one;
    texts accumulate.
    """

    command: Command
    values: Mapping[str, Any]
    settings: Mapping[str, Any]


def read(words: Sequence[str]) -> Line | None:
    """Understand a command line; None if there is any doubt about it."""
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
    """Give each positional word to its place.

    Raises:
        ValueError: there are too few or too many.
    """
    values: dict[str, Any] = {}
    rest = list(words)
    for count, place in enumerate(places, 1):
        spare = len(rest) - len(places[count:])  # a place for many leaves one word to each that comes after it
        if place.required and (spare < 1 if place.many else not rest):
            raise ValueError(place.metavar)
        if place.many:
            values[place.name], rest = tuple(rest[:spare]), rest[spare:]
        else:
            values[place.name] = rest.pop(0) if rest else ""
    if rest:
        raise ValueError(rest[0])
    return values
