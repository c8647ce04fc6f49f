"""The commands, as a table of contents. Nothing in the table is imported before it is called for."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from cstore.cli.command import GoSyntax, global_options

if TYPE_CHECKING:
    from collections.abc import Iterator


class Entry(NamedTuple):
    """One row: the name, `module:attribute` below `cstore.cli.commands`, one line of help, other spellings."""

    name: str
    target: str
    help: str
    aliases: tuple[str, ...] = ()


SECTIONS: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Layers",
        (
            Entry("create-layer", "create:create_layer", "Create a layer.", ("createlayer",)),
            Entry("import-layer", "create:import_layer", "Make a layer of a tar archive.", ("importlayer",)),
            Entry("layers", "layers:layers", "List layers."),
            Entry("layer", "layers:layer", "Show what is recorded of layers."),
            Entry("delete-layer", "delete:delete_layer", "Delete layers on which nothing builds.", ("deletelayer",)),
            Entry(
                "create-storage-layer",
                "create:create_storage_layer",
                "Create a tree in the storage driver, without a record.",
            ),
            Entry("storage-layers", "layers:storage_layers", "List the trees that the storage driver knows."),
            Entry(
                "layer-parent-owners",
                "layers:layer_parent_owners",
                "List owners above mounted layers that their ID maps miss.",
            ),
        ),
    ),
    (
        "Contents",
        (
            Entry("changes", "diff:changes", "List what a layer adds, modifies and deletes."),
            Entry("diff", "diff:diff", "Write a layer as a tar archive."),
            Entry("diffsize", "diff:diffsize", "Add up the sizes of what a layer changes.", ("diff-size",)),
            Entry("applydiff", "diff:applydiff", "Apply a tar archive to a layer.", ("apply-diff",)),
            Entry("mount", "mount:mount", "Mount layers or containers."),
            Entry("unmount", "mount:unmount", "Unmount layers or containers.", ("umount",)),
            Entry("mounted", "mount:mounted", "Say which layers or containers are mounted."),
        ),
    ),
    (
        "Names and data",
        (
            Entry("exists", "exists:exists", "Say whether layers, images or containers exist."),
            Entry("get-names", "names:get_names", "List the names of an item.", ("getnames",)),
            Entry("set-names", "names:set_names", "Replace the names of an item.", ("setnames",)),
            Entry("add-names", "names:add_names", "Add names to an item.", ("addnames",)),
            Entry("remove-names", "names:remove_names", "Take names from an item.", ("removenames",)),
            Entry("metadata", "metadata:metadata", "Print the metadata of items."),
            Entry("set-metadata", "metadata:set_metadata", "Replace the metadata of an item.", ("setmetadata",)),
            Entry("list-layer-data", "bigdata:list_layer_data", "List the data items of a layer.", ("listlayerdata",)),
            Entry("get-layer-data", "bigdata:get_layer_data", "Write out a data item of a layer.", ("getlayerdata",)),
            Entry("set-layer-data", "bigdata:set_layer_data", "Store a data item with a layer.", ("setlayerdata",)),
        ),
    ),
    (
        "The store",
        (
            Entry("delete", "delete:delete", "Delete items, without asking whether they are in use."),
            Entry("gc", "gc:gc", "Remove what no record owns."),
            Entry("wipe", "wipe:wipe", "Delete all layers, images and containers."),
            Entry("shutdown", "wipe:shutdown", "Release what the storage driver holds."),
            Entry("status", "status:status", "Show where the store is and which driver it uses."),
            Entry("config", "status:config", "Print the configuration as JSON."),
            Entry("version", "status:version", "Print the version."),
        ),
    ),
)


def entries() -> Iterator[Entry]:
    """All rows of the table, in its order."""
    for _title, rows in SECTIONS:
        yield from rows


def _targets() -> dict[str, str]:
    return {name: entry.target for entry in entries() for name in (entry.name, *entry.aliases)}


class Root(GoSyntax, click.Group):
    """The program: finds a command in the table and imports only that one."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  - click's signature
        """Name the commands without importing them; aliases stay out of sight."""
        return [entry.name for entry in entries()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  - click's signature
        """Import the command of that name or alias."""
        target = _targets().get(cmd_name)
        if target is None:
            return None
        from importlib import import_module

        module, _, attribute = target.partition(":")
        found = getattr(import_module(f"cstore.cli.commands.{module}"), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{target} is not a command")
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if not ctx.resilient_parsing and args[0] not in _targets():
            ctx.fail(_no_such_command(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  - click's signature
        """Write the table by section."""
        width = max(len(entry.name) for entry in entries())
        for title, rows in SECTIONS:
            with formatter.section(title):
                formatter.write_dl([(entry.name.ljust(width), entry.help) for entry in rows])


def _no_such_command(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(_targets()), n=2)
    guess = f" Did you mean {' or '.join(near)}?" if near else ""
    return f"There is no command {name!r}.{guess}"


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:  # noqa: ARG001  - click's signature
    if value and not ctx.resilient_parsing:
        from cstore import __version__

        click.echo(f"cstore {__version__}")
        ctx.exit()


root = Root(
    "cstore",
    params=[
        *global_options(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_print_version,
            help="Print the version and exit.",
        ),
    ],
    help="Container storage: layers, images and containers, shared with Podman, Buildah, skopeo and CRI-O.",
    epilog="Global options may stand before the command or after it. cstore COMMAND --help explains one command.",
    context_settings={"help_option_names": ["--help", "-h"]},
    subcommand_metavar="COMMAND [OPTIONS] [WORD]...",
)
