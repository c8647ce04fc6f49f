"""Output of the holders of an item: a tree of lines, a JSON document, or a colored tree."""

from __future__ import annotations

from cstore.cli.output.structured import VERSION
from cstore.cli.output.text import short_id, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from rich.tree import Tree

    from cstore.insight import Holder, Holding

_INDENT = 4
"""The terminal columns per level of a tree."""


def lines(found: Holding) -> Iterator[str]:
    """Yield the item, then its holders, each below the item or holder that it holds, indented by two more spaces."""
    from cstore.insight import flattened

    yield f"{found.kind} {visible(found.id)}{_names(found.names)}{_nothing(found)}"
    for depth, holder in flattened(found.holders):
        yield "  " * (depth + 1) + _sentence(holder, holder.id)
    if found.unseen:
        yield f"  {found.unseen}"


def _nothing(found: Holding) -> str:
    if found.holders:
        return ""
    return ": nothing is known to hold it" if found.unseen else ": nothing holds it"


def _names(names: tuple[str, ...]) -> str:
    return f" ({', '.join(map(visible, names))})" if names else ""


def _sentence(holder: Holder, identifier: str, *, with_command: bool = True) -> str:
    maker = f", made by {holder.maker}" if holder.maker and holder.maker != "unknown" else ""
    maker = ", made by cstore or by a tool that leaves no mark" if holder.maker == "unknown" else maker
    since = f", created {holder.created}" if holder.created and holder.kind == "container" else ""
    command = f": {holder.command}" if holder.command and with_command else ""
    return f"{holder.kind} {visible(identifier)}{_names(holder.names)} {holder.how}{maker}{since}{visible(command)}"


def document(found: list[Holding]) -> dict[str, Any]:
    """Return a document with all items, each with the tree of its holders."""
    return {
        "version": VERSION,
        "items": [
            {
                "kind": each.kind,
                "id": each.id,
                "names": list(each.names),
                "held_by": [_document(holder) for holder in each.holders],
                "unseen": each.unseen,
                "problems": list(each.problems),
            }
            for each in found
        ],
    }


def _document(holder: Holder) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": holder.kind, "id": holder.id, "names": list(holder.names), "how": holder.how}
    more = {"maker": holder.maker, "created": holder.created, "command": holder.command}
    held = [_document(each) for each in holder.held_by]
    return {**document, **{key: text for key, text in more.items() if text}, "held_by": held}


def show(found: Iterable[Holding]) -> None:
    """Print the tree of holders of each item, with the commands that release it.

    If a command is too long for the tree, all commands are printed in full below it.
    """
    from rich.text import Text
    from rich.tree import Tree

    from cstore.cli.output.terminal import console
    from cstore.insight import flattened

    out = console()
    for each in found:
        held = list(flattened(each.holders))
        fits = all(_INDENT * (depth + 1) + len(visible(holder.command)) <= out.width for depth, holder in held)
        head = Text.assemble((f"{each.kind} {visible(short_id(each.id))}", "cyan"), (_names(each.names), "bold"))
        if not each.holders:
            head.append(_nothing(each), style="yellow" if each.unseen else "green")
        tree = Tree(head, guide_style="dim")
        for holder in each.holders:
            _grow(tree, holder, with_commands=fits)
        if each.unseen:
            tree.add(Text(each.unseen, style="yellow"))
        out.print(tree)
        commands = dict.fromkeys(holder.command for _, holder in reversed(held) if holder.command)
        if commands and not fits:
            out.print(Text("to let go:", style="dim"))
        for command in () if fits else commands:
            out.print(Text(visible(command), style="yellow"), soft_wrap=True)


def _grow(tree: Tree, holder: Holder, *, with_commands: bool) -> None:
    from rich.text import Text

    leaf = Text(_sentence(holder, short_id(holder.id), with_command=False))
    if holder.command and with_commands:
        leaf.append(f"\n{visible(holder.command)}", style="yellow")
    branch = tree.add(leaf)
    for each in holder.held_by:
        _grow(branch, each, with_commands=with_commands)
