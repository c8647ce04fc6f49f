"""Words of a command line, rewritten so that click reads them as the peer would.

The peer follows the manners of Go's flag parsers: options end at the first word that is none; `-i=V` gives a short
option its value while `-iV` bundles two; a switch may be told its value, `--json=false`, and never takes the next word;
one pair of quotes around a value after `=` goes away. Here every option becomes `--long=value`, the end of options
becomes `--`, and click does the rest: defaults, types, texts, exit codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Switch(click.Option):
    """A flag that may be told its value, as in `--json=false`.

    To the reader of a help text it is a flag. To click's parser it is an option with a value, because `rewrite` always
    writes one; this keeps "last one wins" and "explicitly off" in one place.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("is_flag", True)
        super().__init__(*args, **kwargs)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # noqa: ARG002  - click's signature
        """Register as an option that takes one value."""
        parser.add_option(obj=self, opts=self.opts, dest=self.name, action="store", nargs=1)


def rewrite(words: Sequence[str], params: Iterable[click.Parameter], ctx: click.Context | None = None) -> list[str]:
    """Rewrite the words after a program or command name into click's long form.

    Args:
        words: what the shell handed over.
        params: the parameters of the command that shall read them; arguments are passed over.
        ctx: where a usage error shall point to.

    Raises:
        click.UsageError: an unknown option, a missing or unreadable value.
    """
    options = {spelling: param for param in params if isinstance(param, click.Option) for spelling in param.opts}
    rest = list(words)
    written: list[str] = []
    while rest and len(rest[0]) > 1 and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        for spelling, value in _split(word, ctx):
            option = options.get(spelling)
            if option is None:
                raise _unknown(word.partition("=")[0], options, ctx)
            written += _written(option, spelling, value, rest, ctx)
    return [*written, "--", *rest]


def _split(word: str, ctx: click.Context | None) -> list[tuple[str, str | None]]:
    """Take one option word apart into (spelling, value after "=") pairs; a bundle gives several."""
    head, equals, tail = word.partition("=")
    name = head.lstrip("-")
    if not name or name[0] == "-" or head.startswith("---"):
        raise click.UsageError(f"{word!r} is not an option.", ctx)
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


def _written(
    option: click.Option, spelling: str, value: str | None, rest: list[str], ctx: click.Context | None
) -> list[str]:
    """Write one option in full. Takes its value from `rest` if it needs one and has none yet."""
    full = max(option.opts, key=len)
    if not option.is_flag:
        if value is None:
            if not rest:
                raise click.BadOptionUsage(spelling, f"Option {spelling!r} needs a value.", ctx)
            value = rest.pop(0)
        return [f"{full}={value}"]
    on = _truth(spelling, value, ctx)
    if isinstance(option, Switch):
        return [f"{full}={'true' if on else 'false'}"]
    return [full] if on else []


def _truth(spelling: str, value: str | None, ctx: click.Context | None) -> bool:
    if value is None or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise click.BadOptionUsage(spelling, f"Option {spelling!r} is a switch: {value!r} is neither true nor false.", ctx)


def _unknown(spelling: str, options: Iterable[str], ctx: click.Context | None) -> click.NoSuchOption:
    from difflib import get_close_matches

    return click.NoSuchOption(spelling, possibilities=get_close_matches(spelling, list(options)) or None, ctx=ctx)
