"""Output of identified items and paths: lines, a JSON document, or colored text."""

from __future__ import annotations

from cstore.cli.output.structured import VERSION
from cstore.cli.output.text import short_id, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from cstore.insight import Identity, Known

_SHOWN = 10


def lines(found: list[Identity]) -> Iterator[str]:
    """Yield a line per answer: kind, ID or path, names, and how it was identified.

    The path, the rest of the path inside it, and the users of a layer follow on lines indented with a tab.
    """
    for each in found:
        names = ",".join(map(visible, each.names))
        yield f"{each.kind}\t{visible(each.id or each.path)}\t{names}\t{visible(each.how)}"
        if each.id and each.path:
            yield f"\tpath: {visible(each.path)}"
        if each.inside:
            yield f"\tinside: {visible(each.inside)}"
        for user in each.used_by:
            yield f"\t{user.kind}: {visible(user.id)}{_names(user)}"


def _names(known: Known | Identity) -> str:
    return f" ({', '.join(map(visible, known.names))})" if known.names else ""


def document(found: dict[str, list[Identity]]) -> dict[str, Any]:
    """Return a document with the answers for each text."""
    answers = [{"text": text, "found": list(map(_document, each))} for text, each in found.items()]
    return {"version": VERSION, "answers": answers}


def _document(each: Identity) -> dict[str, Any]:
    document: dict[str, Any] = {"kind": each.kind}
    if each.id:
        document |= {"id": each.id, "names": list(each.names)}
    document |= {key: text for key, text in (("path", each.path), ("inside", each.inside)) if text}
    document["how"] = each.how
    used_by = [{"kind": user.kind, "id": user.id, "names": list(user.names)} for user in each.used_by]
    more = {"used_by": used_by, "problems": list(each.problems)}
    return {**document, **{key: told for key, told in more.items() if told}}


def show(found: Iterable[Identity]) -> None:
    """Print the answers on a terminal."""
    from rich.text import Text

    from cstore.cli.output.terminal import console

    out = console()
    for each in found:
        head = Text(f"{each.kind} {visible(short_id(each.id) if each.id else each.path)}", style="cyan")
        out.print(Text.assemble(head, (_names(each), "bold")), soft_wrap=True)
        out.print(Text(f"  {visible(each.how)}", style="dim"), soft_wrap=True)
        if each.id and each.path:
            out.print(f"  {visible(each.path)}", soft_wrap=True)
        if each.inside:
            out.print(f"  inside: /{visible(each.inside)}", soft_wrap=True)
        for user in each.used_by[:_SHOWN]:
            out.print(f"  used by {user.kind} {visible(short_id(user.id))}{_names(user)}", soft_wrap=True)
        if len(each.used_by) > _SHOWN:
            out.print(f"  and {len(each.used_by) - _SHOWN} more")
