"""Generator of manual pages and completions from the command tree: `python -m cstore.cli.reference [DIRECTORY]`.

The declaration of a command is the only source of its name, arguments, options and help. A test regenerates all files
and compares them, so the files in `man/` and `completions/` stay up to date.
"""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from cstore import __version__
from cstore.cli.clicked import StoreCommand, global_options, root
from cstore.cli.root import entries, sections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cstore.cli.root import Entry

OVERVIEW = """
cstore manages container storage: the layers, images and containers in the store that Podman, Buildah, skopeo and CRI-O
use, safely beside them.

A layer is a file tree that records the changes to its parent, another layer. An image is a layer with all layers below
it, and data that describes it: a manifest and a configuration. A container is a writable layer on top of an image. Each
of the three has an ID, and may have names, a text called metadata, and data items, which are named files.

Output on a terminal has tables, trees and color; in a pipe, plain lines; with --json, one JSON document. Warnings,
errors and progress go to standard error.

Options may stand anywhere before --, except after the program of cstore unshare. Long options are written --name=VALUE
or --name VALUE, short ones -n=VALUE or -n VALUE; short switches can be bundled, as in -tq. A switch can be told its
value, as in --json=false. The last value wins.

An item is a layer, an image or a container. Refer to it by its ID, by one of its names, or by a unique prefix of its
ID.
"""

EXIT_CODES = (
    ("0", "Success."),
    ("1", "The command or a part of it failed, an item does not exist, or a check has findings."),
    ("2", "Usage error; nothing was done."),
    ("3", "The store could not be checked."),
    ("126, 127", "cstore unshare: the program cannot be run, or does not exist. Other codes are the program's."),
    ("130", "Interrupted; nothing is left half-done."),
)

ENVIRONMENT = (
    ("CONTAINERS_STORAGE_CONF", "The configuration file, instead of the usual ones."),
    ("STORAGE_DRIVER, STORAGE_OPTS", "Storage driver and its options, over those of the file."),
    ("NO_COLOR, CLICOLOR=0", "No color."),
    ("CLICOLOR_FORCE=1", "Tables and color even if the output is not a terminal."),
)

FILES = (
    ("/etc/containers/storage.conf", "The administrator's configuration."),
    ("/usr/share/containers/storage.conf", "The distribution's configuration; read if there is no other."),
    ("$XDG_CONFIG_HOME/containers/storage.conf", "An ordinary user's configuration; usually below ~/.config."),
    ("$XDG_STATE_HOME/cstore/check-*.json", "Where a check with a time limit continues; usually below ~/.local/state."),
)


class Described(NamedTuple):
    """A command with its row of the table and its click context."""

    entry: Entry
    command: StoreCommand
    context: click.Context

    @property
    def options(self) -> list[click.Option]:
        """The command's own options, including help."""
        own = [param for param in self.command.own_params if isinstance(param, click.Option)]
        help_option = self.command.get_help_option(self.context)
        return [*own, *([help_option] if help_option else [])]

    @property
    def words(self) -> list[str]:
        """The positional arguments, as in the usage line."""
        return self.command.collect_usage_pieces(self.context)[1:]


def described() -> Iterator[Described]:
    """Yield every command in the order of the table."""
    parent = click.Context(root, info_name="cstore")
    for entry in entries():
        command = root.get_command(parent, entry.name)
        if not isinstance(command, StoreCommand):
            raise TypeError(f"{entry.name} is not declared with @command")
        yield Described(entry, command, command.make_context(entry.name, [], parent, resilient_parsing=True))


# ── manual pages ──────────────────────────────────────────────────────────────────────────────────────────────────────


def main_page() -> str:
    """Return cstore(1): the list of commands, and the facts that apply to all of them."""
    context = click.Context(root, info_name="cstore")
    return _page(
        "cstore",
        ("NAME", [f"cstore {_DASH} container storage on the command line"]),
        ("SYNOPSIS", [r"\fBcstore\fR [\fIOPTIONS\fR] \fICOMMAND\fR [\fIOPTIONS\fR] [\fIWORD\fR]..."]),
        ("DESCRIPTION", _paragraphs(OVERVIEW)),
        *(
            (title.upper(), _tagged((", ".join((entry.name, *entry.aliases)), entry.help) for entry in rows))
            for title, rows in sections()
        ),
        ("GLOBAL OPTIONS", ["They may stand before the command or after it.", *_options(global_options(), context)]),
        ("EXIT STATUS", _tagged(EXIT_CODES)),
        ("ENVIRONMENT", _tagged(ENVIRONMENT)),
        ("FILES", _tagged(FILES)),
        ("SEE ALSO", [", ".join([*(rf"\fBcstore-{entry.name}\fR(1)" for entry in entries()), *_OTHER_PAGES])]),
    )


def command_page(one: Described) -> str:
    """Return cstore-NAME(1)."""
    text = (one.command.help or "").partition("\n")[2].strip()
    also = f"Also known as {' and '.join(one.entry.aliases)}." if one.entry.aliases else ""
    words = "".join(f" {_escaped(word)}" for word in one.words)
    others = [rf"\fBcstore\-{other}\fR(1)" for other in _ALSO.get(one.entry.name, ())]
    see = ", ".join([r"\fBcstore\fR(1)", *others, *([_DAMAGE_PAGE] if others else [])])
    return _page(
        f"cstore-{one.entry.name}",
        ("NAME", [f"cstore-{one.entry.name} {_DASH} {_escaped(one.entry.help.rstrip('.'))}"]),
        ("SYNOPSIS", [rf"\fBcstore {_escaped(one.entry.name)}\fR [\fIOPTIONS\fR]{words}"]),
        ("DESCRIPTION", _paragraphs("\n\n".join(filter(None, (text or one.entry.help, also))))),
        ("OPTIONS", [*_options(one.options, one.context), ".PP", "Global options are listed in \\fBcstore\\fR(1)."]),
        ("EXAMPLE", [".nf", *(_escaped(line) for line in one.command.example.splitlines()), ".fi"]),
        *_MORE.get(one.entry.name, tuple)(),
        ("EXIT STATUS", _EXIT_STATUS.get(one.entry.name, [_USUAL])),
        ("SEE ALSO", [see]),
    )


def _findings() -> tuple[tuple[str, list[str]], ...]:
    """Return the sections about the severities and the kinds of findings, with the names used in the JSON output."""
    from cstore.check import KINDS, Severity

    kinds = KINDS.values()
    rows = [(f"{each.word} ({each.severity.value})", f"{each.meaning[0].upper()}{each.meaning[1:]}.") for each in kinds]
    severities = []
    for each in Severity:
        status = "Check exits 1, repair 0." if each.counts else "Check and repair exit 0."
        status = "Check exits 1, and repair if it remains." if each.is_serious else status
        severities.append((each.value, f"{each.meaning} {status}"))
    return (("SEVERITIES", ["Worst first:", *_tagged(severities)]), ("FINDINGS", _tagged(rows)))


_MORE: dict[str, Callable[[], tuple[tuple[str, list[str]], ...]]] = {"check": _findings}
"""Functions that return additional sections for the page of a command, by command name."""
_USUAL = r"As in \fBcstore\fR(1). 0: success. 1: failure. 2: usage error."
_EXIT_STATUS: dict[str, list[str]] = {
    "check": ["0: no finding above cosmetic. 1: findings. 2: usage error. 3: the store could not be checked."],
    "repair": ["0: the store is sound (leftovers may remain). 1: damage remains. 2: usage error."],
    "doctor": ["0: no problem. 1: at least one problem. 2: usage error. 3: the store could not be opened."],
    "exists": ["0: all items exist. 1: an item does not exist. 2: usage error."],
    "mounted": ["0: all items are known, mounted or not. 1: an item is unknown. 2: usage error."],
    "unshare": ["That of the program; 126 or 127 if it cannot be run or found, 1 if there is no user namespace."],
}
"""The exit status of each command for which it means more than success, failure or usage error."""
_DASH = r"\-"
_DAMAGE_PAGE = r"\fBcstore\-damage\fR(7)"
_OTHER_PAGES = (r"\fBcstore\-storage.conf\fR(5)", r"\fBcstore\-layout\fR(5)", _DAMAGE_PAGE)
_ALSO = {"check": ("repair", "gc"), "repair": ("check", "gc")}
"""Related commands by command name. All of them concern damage, so their pages also refer to cstore-damage(7)."""


def _page(name: str, *sections: tuple[str, Iterable[str]]) -> str:
    lines = [f'.TH "{name.upper()}" "1" "" "cstore {__version__}" "cstore"']
    for title, body in sections:
        lines += [f".SH {title}", *body]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Escape backslashes, a leading control character of troff, and hyphens, at which troff would break lines."""
    safe = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{safe}" if safe[:1] in {".", "'"} else safe


def _paragraphs(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += [".PP", _escaped(re.sub(r"\s+", " ", paragraph.strip()))]
    return lines[1:]


def _tagged(rows: Iterable[tuple[str, str]]) -> list[str]:
    return [line for tag, text in rows for line in (".TP", rf"\fB{_escaped(tag)}\fR", _escaped(text))]


def _options(options: Iterable[click.Option], context: click.Context) -> list[str]:
    records = (option.get_help_record(context) for option in options)
    return _tagged(record for record in records if record)


# ── everything, to disk ───────────────────────────────────────────────────────────────────────────────────────────────


def files() -> dict[str, str]:
    """Return the text of every generated file by its path relative to the project."""
    from cstore.cli.completions import bash, fish, zsh

    commands = list(described())
    pages = {f"man/cstore-{one.entry.name}.1": command_page(one) for one in commands}
    return {
        "man/cstore.1": main_page(),
        **pages,
        "completions/cstore.bash": bash(commands),
        "completions/_cstore": zsh(commands),
        "completions/cstore.fish": fish(commands),
    }


def write(directory: str) -> None:
    """Write every generated file below `directory`."""
    for path, text in files().items():
        target = os.path.join(directory, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)


if __name__ == "__main__":
    write(sys.argv[1] if len(sys.argv) > 1 else ".")
