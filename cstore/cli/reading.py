"""Command lines that are wholly in order, understood without click, whose import takes longer than most commands run.

Whatever raises the slightest doubt is left to `clicked`, which explains mistakes, shows help, and understands the same
lines in the same way: a test holds the two against each other.
"""

from __future__ import annotations

from cstore.cli.argv import Misspelt, split_options
from cstore.cli.command import COMMAND, SESSION, TEXTS
from cstore.cli.root import GLOBAL_OPTIONS, find, options_after
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from cstore.cli.command import Command, Option, Word


class Line(Value, kw_only=True):
    """A command line that was understood: the command, what its function is called with, and what the session is told.

    The session is told only what stands on the line, before the command or after it. A later value replaces an earlier
    one; texts add up.
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
                _enter(option, text, values if option.tells == COMMAND else settings)
    except (Misspelt, ValueError):
        return None
    return Line(command=command, values=values, settings=settings)


def _enter(option: Option, text: str | bool, values: dict[str, Any]) -> None:
    value = text if isinstance(text, bool) else option.meaning(text)
    values[option.name] = (*values.get(option.name, ()), value) if option.takes == TEXTS else value


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
