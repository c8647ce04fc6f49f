"""Output of deletions and the bytes freed: lines for scripts, JSON, or a table for terminals."""

from __future__ import annotations

from cstore.cli.output.structured import VERSION
from cstore.cli.output.text import human_size, short_id, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.insight import Plan


def lines(plan: Plan) -> Iterator[str]:
    """Yield the kind, ID, bytes on disk and names of each item to delete; then the total of the bytes freed."""
    for each in plan.going:
        yield f"{each.kind}\t{visible(each.id)}\t{each.disk}\t{','.join(map(visible, each.names))}"
    yield f"total\t-\t{plan.freed}\t"


def document(plan: Plan, *, dry_run: bool) -> dict[str, Any]:
    """Return the document of a plan, including refused items and problems."""
    return {
        "version": VERSION,
        "dry_run": dry_run,
        "items": [
            {"kind": each.kind, "id": each.id, "names": list(each.names), "disk": each.disk,
             **({"goes_with": each.goes_with} if each.goes_with else {})}
            for each in plan.going
        ],
        "freed": plan.freed,
        "refused": [
            {"kind": each.kind, "id": each.id, "names": list(each.names), "reason": each.error.message,
             "remedy": each.error.hint}
            for each in plan.refused
        ],
        "problems": list(plan.problems),
    }  # fmt: skip


def show(plan: Plan, *, dry_run: bool, stderr: bool = False) -> None:
    """Print the items to delete as a table, and the total of the bytes freed."""
    from cstore.cli.output import styled
    from cstore.cli.output.terminal import console

    out = console(stderr=stderr)
    if not plan.going:
        out.print("nothing to delete", style="dim")
        return
    names = {each.id: each.names[0] if each.names else short_id(each.id) for each in plan.going}
    table = styled.titled_table("Kind", "ID", "Names", "On disk", "", right={"On disk"})
    for each in plan.going:
        note = f"with {names.get(each.goes_with, short_id(each.goes_with))}" if each.goes_with else ""
        shown = styled.Fitted(each.names)
        table.add_row(each.kind, visible(short_id(each.id)), shown, human_size(each.disk), styled.Sentence(note))
    out.print(table)
    out.print(f"{'would free' if dry_run else 'freed'} {human_size(plan.freed)} ({plan.freed} bytes)")
