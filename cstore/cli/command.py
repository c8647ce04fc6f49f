"""What every command is made of: its class, and the decorators that declare it.

A command reads like this:

    @command("exists", example="cstore exists base")
    @words("items", "ITEM")
    @switch("-q", "--quiet", help="Print nothing; the exit code says it all.")
    @json_option
    @pass_session
    def exists(session: Session, items: tuple[str, ...], quiet: bool) -> None:
        ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

from cstore.cli.argv import Switch, rewrite
from cstore.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound="Callable[..., Any]")


class GoSyntax(click.Command):
    """A command whose options are written as the peer's are."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Rewrite `args`, then let click read them."""
        try:
            args = rewrite(args, self.get_params(ctx), ctx)
        except click.UsageError:
            if not ctx.resilient_parsing:  # a half-typed line, waiting to be completed, is no mistake
                raise
        return super().parse_args(ctx, args)


class StoreCommand(GoSyntax):
    """A command that also takes the global options, and whose help ends with an example."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example
        self.own_params = tuple(self.params)
        self.params.extend(global_options())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first and the ones that all commands share after them."""
        _write_options("Options", [*self.own_params, self.get_help_option(ctx)], ctx, formatter)
        _write_options("Global options", global_options(), ctx, formatter)

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


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    """Hand a global option to the session, whichever side of the command it stood on."""
    if value is not None and value != () and param.name:
        ctx.ensure_object(Session).settings.remember(param.name, value)
    return value


_GLOBAL_OPTIONS: list[click.Option] = []


def global_options() -> list[click.Option]:
    """The options that are accepted before the command and after it; the same objects each time."""
    if not _GLOBAL_OPTIONS:
        shared: dict[str, Any] = {"expose_value": False, "callback": _remember}
        text = {**shared, "metavar": "PATH"}
        _GLOBAL_OPTIONS.extend(
            [
                click.Option(["-g", "--graph"], help="Root of the storage tree.", **text),
                click.Option(["-R", "--run"], help="Root of the runtime state tree.", **text),
                click.Option(["--image-store"], help="Root of the separate image store.", **text),
                Switch(
                    ["--transient-store"], default=None, help="Keep container records under the run root.", **shared
                ),
                click.Option(
                    ["-s", "--storage-driver"], metavar="NAME", help="Storage driver ($STORAGE_DRIVER).", **shared
                ),
                click.Option(
                    ["--storage-opt"],
                    multiple=True,
                    metavar="KEY=VALUE",
                    help="Driver option ($STORAGE_OPTS); may be repeated.",
                    **shared,
                ),
                Switch(
                    ["--no-sync"],
                    default=None,
                    help="Do not wait for the disk: faster, unsafe in a power cut.",
                    **shared,
                ),
                click.Option(
                    ["--lock-timeout"],
                    type=click.FloatRange(min=0),
                    metavar="SECONDS",
                    help="Give up on a lock after so long.",
                    **shared,
                ),
                Switch(
                    ["-U", "--unshare"],
                    default=None,
                    help="Run in a user namespace (the default when rootless).",
                    **shared,
                ),
                Switch(["-D", "--debug"], default=None, help="Print debugging information.", **shared),
            ]
        )
    return _GLOBAL_OPTIONS


def command(name: str, *, example: str, **attributes: Any) -> Callable[[Callable[..., Any]], StoreCommand]:
    """Declare a command. Its docstring is its help; `example` are the lines that end it."""
    return click.command(
        name,
        cls=StoreCommand,
        example=example,
        context_settings={"help_option_names": ["--help", "-h"], "allow_interspersed_args": False},
        options_metavar="[OPTIONS]",
        **attributes,
    )


def word(name: str, metavar: str, *, required: bool = True) -> Callable[[F], F]:
    """Declare one positional word. Left out, it is ""."""
    return click.argument(
        name, metavar=metavar if required else f"[{metavar}]", required=required, default=None if required else ""
    )


def words(name: str, metavar: str) -> Callable[[F], F]:
    """Declare one or more positional words, given as a tuple."""
    return click.argument(name, metavar=f"{metavar}...", nargs=-1, required=True)


def switch(*spellings: str, **attributes: Any) -> Callable[[F], F]:
    """Declare a flag."""
    return click.option(*spellings, cls=Switch, default=False, **attributes)


def text(*spellings: str, **attributes: Any) -> Callable[[F], F]:
    """Declare an option with a value. Left out, it is ""."""
    return click.option(*spellings, default="", **attributes)


def texts(*spellings: str, **attributes: Any) -> Callable[[F], F]:
    """Declare an option that may be repeated, given as a tuple."""
    return click.option(*spellings, multiple=True, **attributes)


def _prefer_json(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001  - click's signature
    ctx.ensure_object(Session).json = value


json_option = switch("-j", "--json", help="Print JSON.", expose_value=False, is_eager=True, callback=_prefer_json)


def pass_session(function: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Give the command what it works with as its first argument."""
    return click.make_pass_decorator(Session, ensure=True)(function)
