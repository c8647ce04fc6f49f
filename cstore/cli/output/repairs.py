"""What a repair plans and does: as lines, as JSON, as a table for a person."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from cstore.check.repair import Hopeless, Plan, Repaired
    from cstore.store.quarantine import Case


def plan(planned: Plan) -> Iterator[str]:
    """One line for each step and each thing that cannot be healed, and what each rests on, indented."""
    for number, step in enumerate(planned.steps, 1):
        yield f"{number}. {step.what}"
        yield f"\tbecause: {step.why}"
        if step.evidence:
            yield f"\tevidence: {step.evidence}"
        if step.advice:
            yield f"\tadvice: {step.advice}"
    for one in planned.hopeless:
        yield f"cannot be healed: {_subject(one)}"
        yield f"\tbecause: {one.why}"
        yield f"\treason: {one.reason}"
        if one.remedy:
            yield f"\tremedy: {one.remedy}"
    for path in planned.unused:
        yield f"not used: {path}"
        yield f"\treason: {_NOT_IT}"
    if planned.steps and not planned.complete:
        yield f"to be planned: {_LATER}"


_LATER = "repairs of what the damaged record files describe; that plan is shown and confirmed separately"
_NOT_IT = "it contains no digest that is needed"


def _subject(one: Hopeless) -> str:
    return one.subject.path if one.subject.kind == "store" else f"{one.subject.kind} {one.subject.id}"


def styled_plan(planned: Plan) -> None:
    """Show a plan as a table."""
    from rich.table import Table
    from rich.text import Text

    from cstore.cli.output.terminal import console
    from cstore.cli.output.text import visible

    out = console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right")
    table.add_column("What")
    for number, step in enumerate(planned.steps, 1):
        told = Text(visible(step.what), style="bold")
        told.append(f"\n{visible(step.why)}", style="")
        if step.evidence:
            told.append(f"\nby {visible(step.evidence)}", style="dim")
        if step.advice:
            told.append(f"\n{visible(step.advice)}", style="yellow")
        table.add_row(Text(str(number), style="green"), told)
    for one in planned.hopeless:
        told = Text(f"{visible(_subject(one))} cannot be healed", style="bold red")
        told.append(f"\n{visible(one.why)}; {visible(one.reason)}", style="")
        if one.remedy:
            told.append(f"\n{visible(one.remedy)}", style="dim")
        table.add_row(Text("-", style="red"), told)
    for path in planned.unused:
        told = Text(f"{visible(path)} is not used", style="bold")
        told.append(f"\n{_NOT_IT}", style="")
        table.add_row(Text("-"), told)
    if planned.steps and not planned.complete:
        table.add_row(Text("-"), Text(f"to be planned: {_LATER}", style="dim"))
    if table.row_count:
        out.print(table)
    else:
        out.print(Text("nothing needs repair", style="green"))


def document(result: Repaired) -> dict[str, Any]:
    """Everything that came of a repair."""
    return {
        "plans": [planned.document() for planned in result.plans],
        "done": [step.document() for step in result.done],
        "failed": [{**step.document(), "error": error.message} for step, error in result.failed],
        "left": [finding.document() for finding in result.left.findings],
        "lost": [one.document() for one in result.lost],
        "case": result.case,
        "healed": result.healed,
    }


def summary(result: Repaired) -> Iterator[str]:
    """What was done, where the old things are, and whether all is well now."""
    if not result.done and not result.failed:
        yield "nothing needs repair" if result.healed else "nothing could be healed"
    else:
        yield f"{_count(result.done, 'step')} done, {len(result.failed)} failed; {_state(result)}"
    if result.case:
        yield f"what was removed or changed is in quarantine case {result.case}"
        yield f"to undo: cstore repair --undo {result.case}"


def _state(result: Repaired) -> str:
    if result.serious:
        return f"{_count(result.serious, 'finding')} left; see cstore check"
    if result.lost:
        return f"{_count(result.lost, 'record')} could not be rebuilt"
    return "the store is sound"


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def case_document(case: Case) -> dict[str, Any]:
    """A quarantine case as JSON."""
    from cstore.store.quarantine import Kept

    there = {entry.name for entry in case.kept}
    entries = [
        {"path": entry.path, "why": entry.why, "there": entry.name in there}
        if isinstance(entry, Kept)
        else {"record": entry.shelf.value, "before": entry.before, "after": entry.after, "why": entry.why}
        for entry in case.entries
    ]
    facts = {"id": case.id, "created": case.created, "by": case.by, "bytes": case.bytes, "flaw": case.flaw}
    return {**facts, "entries": entries}


def case_lines(case: Case) -> Iterator[str]:
    """A case and what is in it, tab-indented."""
    from cstore.store.quarantine import Kept

    yield case.id
    yield f"\tcreated: {case.created}"
    yield f"\tby: {case.by}"
    yield f"\tbytes: {case.bytes}"
    if case.flaw:
        yield f"\tflaw: {case.flaw}"
    for entry in case.entries:
        what = entry.path if isinstance(entry, Kept) else f"a record of {entry.shelf.value}s"
        yield f"\t{what}: {entry.why}"


def styled_cases(found: Sequence[Case]) -> None:
    """Show cases as a table."""
    from rich.table import Table
    from rich.text import Text

    from cstore.cli.output.terminal import console
    from cstore.cli.output.text import human_size, visible

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("Case", "By", "Size", "Entries"):
        table.add_column(title, justify="right" if title in {"Size", "Entries"} else "left")
    for case in found:
        told = Text(case.flaw, style="red") if case.flaw else Text(str(len(case.entries)))
        table.add_row(Text(case.id, style="cyan"), Text(visible(case.by)), human_size(case.bytes), told)
    console().print(table if found else Text("nothing is in quarantine", style="dim"))
