"""Click commands built from the declarations, for everything except correct command lines.

They serve help, usage errors and suggestions, completion, and the manual. A correct line gives the same result as with
`reading`. `reading.split_options` parses the options; click receives them as `--long=value`, followed by `--`, and does
the rest: defaults, types, texts, exit codes.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

import click

from cstore.cli.command import COMMAND, NOBODY, SECONDS, SESSION, SWITCH, TEXTS, Option
from cstore.cli.output.complaints import as_document
from cstore.cli.output.streams import say
from cstore.cli.reading import Line, Misspelt, split_options
from cstore.cli.root import (
    BORROWED,
    BORROWED_OPTIONS,
    COMMON,
    GLOBAL_OPTIONS,
    entries,
    find,
    options_after,
    sections,
    targets,
)
from cstore.errors import UsageMistake

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cstore.cli.command import Command, Word

HELP = Option(spellings=("--help", "-h"), takes=SWITCH, tells=NOBODY, help="Show this message and exit.")
VERSION = Option(spellings=("--version",), takes=SWITCH, tells=NOBODY, help="Print the version and exit.")


def understand(words: Sequence[str], *, as_json: bool = False) -> Line | int:
    """Parse a command line and return it, or print help or a usage error and return the exit code.

    A usage error is printed as JSON if `as_json` is true or the line has `--json`.

    Raises:
        KeyboardInterrupt: the user interrupted the program.
    """
    try:
        understood = root.main(list(words), prog_name="cstore", standalone_mode=False)
    except click.ClickException as error:
        before_dashes = words[: words.index("--")] if "--" in words else words
        if as_json or "--json" in before_dashes or "-j" in before_dashes:
            command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "cstore"
            say(as_document(UsageMistake(error.format_message(), hint=f"see {command} --help")), json=True)
            return error.exit_code
        told = StringIO()
        error.show(told)
        say(told.getvalue().rstrip("\n"))  # the message quotes arguments, which may contain control characters
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error
    except SystemExit as exit_:  # click exits this way after printing completions
        return exit_.code if isinstance(exit_.code, int) else 1
    return understood if isinstance(understood, Line | int) else 0


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Switch(click.Option):
    """A flag that accepts an explicit value, as in `--json=false`.

    The help text shows a flag. Click's parser handles it as an option with a value, because `_in_full` always writes
    one; a single code path thus implements "last one wins" and "explicitly off".
    """

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # noqa: ARG002  - click's signature
        """Register the switch as an option that takes one value."""
        parser.add_option(obj=self, opts=self.opts, dest=self.name, action="store", nargs=1)


class Declared(click.types.StringParamType):
    """The click type of an option whose declaration converts the value: a number of seconds, or one of the choices."""

    def __init__(self, option: Option) -> None:
        self._option = option
        self.choices = option.choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert the text with `Option.meaning`."""
        try:
            return self._option.meaning(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


def _click_option(option: Option) -> click.Option:
    left_out = option.absent if option.tells == COMMAND else None
    if option.takes == SWITCH:
        return _Switch([*option.spellings], is_flag=True, default=left_out, help=option.help)
    shared: dict[str, Any] = {"metavar": option.metavar, "help": option.help}
    if option.takes == TEXTS:
        return click.Option([*option.spellings], multiple=True, **shared)
    kind = Declared(option) if option.takes == SECONDS or option.choices else None
    return click.Option([*option.spellings], default=left_out, type=kind, **shared)


def _click_argument(word: Word) -> click.Argument:
    metavar = word.metavar if word.required else f"[{word.metavar}]"
    metavar = f"{metavar}..." if word.many else metavar
    count = -1 if word.many else 1
    # Newer click uses any default, even None, as the value of an omitted argument.
    left_out = {} if word.required or word.many else {"default": ""}
    return click.Argument([word.name], metavar=metavar, required=word.required, nargs=count, **left_out)


_global_options = [_click_option(option) for option in GLOBAL_OPTIONS]


def global_options() -> list[click.Option]:
    """Return the options accepted before and after the command; always the same objects."""
    return _global_options


def _in_full(words: list[str], options: Sequence[Option], ctx: click.Context, *, anywhere: bool = False) -> list[str]:
    """Return the command line with every option in its long form, followed by `--` and the other arguments.

    Raises:
        click.UsageError: an option is unknown, or its value is missing or not valid.
    """
    try:
        given, rest = split_options(words, options, anywhere=anywhere)
    except Misspelt as error:
        if ctx.resilient_parsing:  # during completion an incomplete line is not an error
            return words
        raise _usage_error(error, options, ctx) from None
    written: list[str] = []
    for option, value in given:
        full = max(option.spellings, key=len)
        if option not in {HELP, VERSION}:
            written.append(f"{full}={str(value).lower() if isinstance(value, bool) else value}")
        elif value:
            written.append(full)
    return [*written, "--", *rest]


def _usage_error(error: Misspelt, options: Iterable[Option], ctx: click.Context) -> click.UsageError:
    if error.sentence and error.option:
        return click.BadOptionUsage(error.option, error.sentence, ctx)
    if error.sentence:
        return click.UsageError(error.sentence, ctx)
    if borrowed := BORROWED_OPTIONS.get(error.option):
        return click.UsageError(f"No such option {error.option!r}; {borrowed}", ctx)
    from difflib import get_close_matches

    near = get_close_matches(error.option, [spelling for option in options for spelling in option.spellings])
    return click.NoSuchOption(error.option, possibilities=near or None, ctx=ctx)


# ── commands ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class StoreCommand(click.Command):
    """A click command that also accepts the global options and ends its help with an example."""

    def __init__(self, command: Command) -> None:
        self.declaration = command
        self.own_params = [*map(_click_option, command.options), *map(_click_argument, command.words)]
        # Reuse the global option objects unless the command has an option with one of their spellings.
        known = dict(zip(GLOBAL_OPTIONS, _global_options, strict=True))
        after = options_after(command)[len(command.options) :]
        super().__init__(
            command.name,
            params=[*self.own_params, *(known.get(option) or _click_option(option) for option in after)],
            help=command.function.__doc__,
            options_metavar="[OPTIONS]",
            context_settings={"help_option_names": [*HELP.spellings], "allow_interspersed_args": False},
        )

    @property
    def example(self) -> str:
        """The example lines at the end of the help."""
        return self.declaration.example

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the options in full, then let click read them."""
        options = (*options_after(self.declaration), HELP)
        return super().parse_args(ctx, _in_full(args, options, ctx, anywhere=self.declaration.options_anywhere))

    def invoke(self, ctx: click.Context) -> Line:
        """Return the parsed line instead of running the command."""
        command = self.declaration
        told = {option.name for option in command.options if option.tells == COMMAND}
        told |= {word.name for word in command.words}
        settings: dict[str, Any] = {}
        for level in (ctx.parent, ctx):
            for option in (*command.options, *GLOBAL_OPTIONS):
                value = level.params.get(option.name) if level and option.tells == SESSION else None
                if value is not None and value != ():
                    settings[option.name] = (*settings.get(option.name, ()), *value) if option.takes == TEXTS else value
        return Line(
            command=command,
            values={name: value for name, value in ctx.params.items() if name in told},
            settings=settings,
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options and a reference to the global options."""
        _write_options("Options", [*self.own_params, self.get_help_option(ctx)], ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("Every command also takes the global options: see cstore --help.")

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  - click's signature
        """Write the example."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


def _write_options(title: str, params: Any, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    records = [record for param in params if isinstance(param, click.Option) and (record := param.get_help_record(ctx))]
    if records:
        with formatter.section(title):
            formatter.write_dl(records)


# ── the program ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Root(click.Group):
    """The program as a click group: it finds a command in the table and imports only its module."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Write the options in full, then let click read them."""
        return super().parse_args(ctx, _in_full(args, (*GLOBAL_OPTIONS, VERSION, HELP), ctx))

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  - click's signature
        """Return the names of all commands without importing them; aliases are not included."""
        return [entry.name for entry in entries()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> StoreCommand | None:  # noqa: ARG002  - click's signature
        """Import and return the command with that name or alias; None if there is none."""
        command = find(cmd_name)
        return None if command is None else StoreCommand(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command, or fail with a suggestion of similar names."""
        if not ctx.resilient_parsing and (name := args[0]) not in targets():
            from difflib import get_close_matches

            if name in BORROWED:
                ctx.fail(f"There is no command {name!r}; {BORROWED[name]}")
            near = get_close_matches(name, list(targets()), n=2)
            guess = f" Did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"There is no command {name!r}.{guess}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, then the global options: most users look for a command."""
        self.format_commands(ctx, formatter)
        _write_options("Global options", self.get_params(ctx), ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  - click's signature
        """Write the common commands, then all commands by section."""
        width = max(len(entry.name) for entry in entries())
        by_name = {entry.name: entry for entry in entries()}
        for title, rows in (("Common commands", [by_name[name] for name in COMMON]), *sections()):
            with formatter.section(title):
                formatter.write_dl([(entry.name.ljust(width), entry.help) for entry in rows])


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001  - click's signature
    if value and not ctx.resilient_parsing:
        from cstore import __version__

        click.echo(f"cstore {__version__}")
        ctx.exit()


root = Root(
    "cstore",
    params=[
        *_global_options,
        click.Option(
            [*VERSION.spellings],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help=VERSION.help,
        ),
    ],
    help="Container storage: layers, images and containers, shared with Podman, Buildah, skopeo and CRI-O.",
    epilog="An item is a layer, an image or a container. Refer to it by its ID, by a name, or by a unique prefix of "
    "its ID. The options above may stand before the command or after it; cstore COMMAND --help explains one command.",
    context_settings={"help_option_names": [*HELP.spellings]},
    subcommand_metavar="COMMAND [OPTIONS] [WORD]...",
)
