"""Decorators that declare the name, arguments and options of a command.

A command looks like this:

    @command("exists", example="cstore exists base")
    @words("items", "ITEM")
    @switch("-q", "--quiet", help="Print nothing; the exit code says it all.")
    @json_option
    def exists(session: Session, items: tuple[str, ...], quiet: bool) -> None:
        ...

The decorators return a `Command`, which is only a description. Two modules use it: `reading` parses correct command
lines, and `clicked` builds a click command from it for all other lines.
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

    The default of a switch is off, of a text "", and of texts an empty tuple; the session's settings omit an absent
    option. With `choices`, the value must be one of them.
    """

    spellings: tuple[str, ...]
    help: str
    takes: str = TEXT
    metavar: str = "TEXT"
    tells: str = COMMAND
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the parameter: the first long spelling."""
        return next(word for word in self.spellings if word.startswith("--"))[2:].replace("-", "_")

    @property
    def absent(self) -> object:
        """The default: the argument of the function if the command line lacks the option."""
        return {SWITCH: False, TEXTS: ()}.get(self.takes, "")

    def meaning(self, text: str) -> object:
        """Convert the text of a value to the value.

        Raises:
            ValueError: the text is not a valid value.
        """
        if self.choices and text not in ("", *self.choices):  # "" stands for an absent option
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
    """A positional argument; with `many`, all remaining ones. Options end at the first argument with `verbatim`."""

    name: str
    metavar: str
    required: bool = True
    many: bool = False
    verbatim: bool = False


class Command(Value, kw_only=True):
    """A command: its name, function, example lines for the help, options and positional arguments."""

    name: str
    function: Callable[..., None]
    example: str
    options: tuple[Option, ...]
    words: tuple[Word, ...]

    @property
    def options_anywhere(self) -> bool:
        """Whether options may follow positional arguments."""
        return not any(word.verbatim for word in self.words)


def command(name: str, *, example: str) -> Callable[[Callable[..., None]], Command]:
    """Declare a command. The docstring of the function is the help; `example` is appended to it."""

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
        _declared_on(function).insert(0, param)  # the topmost decorator is applied last
        return function

    return declare


def word(name: str, metavar: str, *, required: bool = True) -> Callable[[F], F]:
    """Declare one positional argument. The default is ""."""
    return _declaring(Word(name=name, metavar=metavar, required=required))


def words(name: str, metavar: str, *, required: bool = True) -> Callable[[F], F]:
    """Declare a variable number of positional arguments, passed as a tuple; at least one if `required`."""
    return _declaring(Word(name=name, metavar=metavar, required=required, many=True))


def program(name: str, metavar: str) -> Callable[[F], F]:
    """Declare the command line of another program, passed as a tuple; options after its name belong to that program."""
    return _declaring(Word(name=name, metavar=metavar, required=False, many=True, verbatim=True))


def switch(*spellings: str, help: str) -> Callable[[F], F]:  # noqa: A002  - the clearest name at the call
    """Declare a switch."""
    return _declaring(Option(spellings=spellings, takes=SWITCH, help=help))


def text(*spellings: str, help: str, metavar: str = "TEXT", choices: tuple[str, ...] = ()) -> Callable[[F], F]:  # noqa: A002  - as above
    """Declare an option with a value, which must be one of the choices if there are any. The default is ""."""
    return _declaring(Option(spellings=spellings, metavar=metavar, help=help, choices=choices))


def texts(*spellings: str, help: str, metavar: str = "TEXT", ignored: bool = False) -> Callable[[F], F]:  # noqa: A002  - as above
    """Declare a repeatable option, passed as a tuple; with `ignored`, it is accepted but not passed to the function."""
    tells = NOBODY if ignored else COMMAND
    return _declaring(Option(spellings=spellings, takes=TEXTS, metavar=metavar, tells=tells, help=help))


json_option = _declaring(Option(spellings=("-j", "--json"), takes=SWITCH, tells=SESSION, help="Print JSON."))
