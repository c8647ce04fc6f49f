"""The manners of writing options: those of Go's flag parsers, which the Go tool has, and options behind words too.

Options end at `--`; for the program itself, and where another program's words follow, at the first word. `-i=V` gives
a short option its value, while `-iV` bundles two; a switch may be told its value, `--json=false`, and never takes the
next word; one pair of quotes around a value after `=` goes away. (cli spec, 1.2)
"""

from __future__ import annotations

from cstore.cli.command import SWITCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cstore.cli.command import Option

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Misspelt(Exception):
    """A word that is no option, one that there is not, or one whose value is missing or makes no sense."""

    def __init__(self, sentence: str = "", *, option: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.option = option


def split_options(
    words: Sequence[str], options: Iterable[Option], *, anywhere: bool = False
) -> tuple[list[tuple[Option, str | bool]], list[str]]:
    """Take the options from a command line: from its front, or with `anywhere` also from between the words.

    Returns:
        Each option as often as it was given, with its text, or whether it was switched on; and the other words.

    Raises:
        Misspelt: the Go tool would not understand it either. Without a sentence: there is no such option.
    """
    by_spelling = {spelling: option for option in options for spelling in option.spellings}
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
        for spelling, value in _spellings(word):
            option = by_spelling.get(spelling)
            if option is None:
                raise Misspelt(option=word.partition("=")[0])
            given.append((option, _value(option, spelling, value, rest)))
    return given, passed + rest


def _spellings(word: str) -> list[tuple[str, str | None]]:
    """Take one option word apart into (spelling, value after "=") pairs; a bundle gives several."""
    head, equals, tail = word.partition("=")
    name = head.lstrip("-")
    if not name or name[0] == "-" or head.startswith("---"):
        raise Misspelt(f"{word!r} is not an option.")
    value = _unquoted(tail) if equals else None
    if head.startswith("--") or len(name) == 1:
        return [(head, value)]
    if name == "help":  # the peer's old spelling
        return [("--help", value)]
    return [(f"-{letter}", None) for letter in name]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def _value(option: Option, spelling: str, value: str | None, rest: list[str]) -> str | bool:
    """Read the value of one option. Takes it from `rest` if it needs one and has none yet."""
    if option.takes == SWITCH:
        return _truth(spelling, value)
    if value is not None:
        return value
    if not rest:
        raise Misspelt(f"Option {spelling!r} needs a value.", option=spelling)
    return rest.pop(0)


def _truth(spelling: str, value: str | None) -> bool:
    if value is None or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise Misspelt(f"Option {spelling!r} is a switch: {value!r} is neither true nor false.", option=spelling)
