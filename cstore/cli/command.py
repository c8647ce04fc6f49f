"""How a command says what it is called, takes and does.

A command reads like this:

    @command("exists", example="cstore exists base")
    @words("items", "ITEM")
    @switch("-q", "--quiet", help="Print nothing; the exit code says it all.")
    @json_option
    def exists(session: Session, items: tuple[str, ...], quiet: bool) -> None:
        ...

What the decorators leave is a `Command`, a description and nothing more. It is read twice: by `reading`, which
understands a command line that is wholly in order, and by `clicked`, which makes a click command of it for all others.
"""

from __future__ import annotations

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])

SWITCH, TEXT, TEXTS, SECONDS = "switch", "text", "texts", "seconds"
"""The argument of an option: none; a value; a repeatable value; a duration."""

COMMAND, SESSION, NOBODY = "command", "session", "nobody"
"""The receiver of an option: the command's function, the session, or none."""


class Option(Value, kw_only=True):
    """An option: its spellings, argument, receiver and help.

    If left out, a switch is off, a text is "", and texts are empty; the session is not told. With `choices`, the value
    is one of them.
    """

    spellings: tuple[str, ...]
    help: str
    takes: str = TEXT
    metavar: str = "TEXT"
    tells: str = COMMAND
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the value: the first long spelling."""
        return next(word for word in self.spellings if word.startswith("--"))[2:].replace("-", "_")

    @property
    def absent(self) -> object:
        """The value for a function whose command line does not have the option."""
        return {SWITCH: False, TEXTS: ()}.get(self.takes, "")

    def meaning(self, text: str) -> object:
        """Turn the text of a value into the value.

        Raises:
            ValueError: it makes no sense.
        """
        if self.choices and text not in ("", *self.choices):  # "" as if it were left out
            raise ValueError(f"{text!r} is not one of: {', '.join(self.choices)}")
        return _seconds(text) if self.takes == SECONDS else text


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number of seconds, such as 2.5") from None
    if number >= 0:
        return number
    raise ValueError(f"{text!r} is not a number of seconds from 0 upward")


class Word(Value, kw_only=True):
    """A positional argument, or with `many` all that are left. After the first one with `verbatim`, options end."""

    name: str
    metavar: str
    required: bool = True
    many: bool = False
    verbatim: bool = False


class Command(Value, kw_only=True):
    """A command: its name, the function that does it, the lines that end its help, and what it takes."""

    name: str
    function: Callable[..., None]
    example: str
    options: tuple[Option, ...]
    words: tuple[Word, ...]

    @property
    def options_anywhere(self) -> bool:
        """Whether options may stand behind words."""
        return not any(word.verbatim for word in self.words)


def command(name: str, *, example: str) -> Callable[[Callable[..., None]], Command]:
    """Declare a command. Its docstring is its help; `example` are the lines that end it."""

    def declare(function: Callable[..., None]) -> Command:
        declared = _declared_on(function)
        options = tuple(param for param in declared if isinstance(param, Option))
        positional = tuple(param for param in declared if isinstance(param, Word))
        return Command(name=name, function=function, example=example, options=options, words=positional)

    return declare


def _declared_on(function: Any) -> list[Option | Word]:
    declared: list[Option | Word] = function.__dict__.setdefault("declared", [])
    return declared


def _declaring(param: Option | Word) -> Callable[[F], F]:
    def declare(function: F) -> F:
        _declared_on(function).insert(0, param)  # the decorator that stands highest is applied last
        return function

    return declare


def word(name: str, metavar: str, *, required: bool = True) -> Callable[[F], F]:
    """Declare one positional word. Left out, it is ""."""
    return _declaring(Word(name=name, metavar=metavar, required=required))


def words(name: str, metavar: str, *, required: bool = True) -> Callable[[F], F]:
    """Declare positional words, one or more if they are required, given as a tuple."""
    return _declaring(Word(name=name, metavar=metavar, required=required, many=True))


def program(name: str, metavar: str) -> Callable[[F], F]:
    """Declare the command line of another program, given as a tuple: options behind its name are that program's."""
    return _declaring(Word(name=name, metavar=metavar, required=False, many=True, verbatim=True))


def switch(*spellings: str, help: str) -> Callable[[F], F]:  # noqa: A002  - reads best where it is used
    """Declare a flag."""
    return _declaring(Option(spellings=spellings, takes=SWITCH, help=help))


def text(*spellings: str, help: str, metavar: str = "TEXT", choices: tuple[str, ...] = ()) -> Callable[[F], F]:  # noqa: A002  - as above
    """Declare an option with a value, one of the choices if there are any. Left out, it is ""."""
    return _declaring(Option(spellings=spellings, metavar=metavar, help=help, choices=choices))


def texts(*spellings: str, help: str, metavar: str = "TEXT", ignored: bool = False) -> Callable[[F], F]:  # noqa: A002  - as above
    """Declare an option that may be repeated, given as a tuple; or with `ignored` not given at all."""
    tells = NOBODY if ignored else COMMAND
    return _declaring(Option(spellings=spellings, takes=TEXTS, metavar=metavar, tells=tells, help=help))


json_option = _declaring(Option(spellings=("-j", "--json"), takes=SWITCH, tells=SESSION, help="Print JSON."))
