"""Output of repairs: lines, JSON, or a table for terminals."""

from __future__ import annotations

from cstore.cli.output.findings import subject_of
from cstore.cli.output.structured import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from cstore.check.repair import Plan, Repaired, Step, Unrepairable
    from cstore.cli.output.grouped import Group
    from cstore.store.quarantine import Case


def plan(planned: Plan) -> Iterator[str]:
    """Yield one line per step and per subject that cannot be healed, each followed by its reasons, indented.

    Sources that the plan does not use, and a plan to be made later, come last.
    """
    for number, step in enumerate(planned.steps, 1):
        yield f"{number}. {step.what}"
        yield f"\tbecause: {step.why}"
        if step.evidence:
            yield f"\tevidence: {step.evidence}"
        if step.advice:
            yield f"\tadvice: {step.advice}"
    for one in planned.unrepairable:
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


_LATER = "the repair of what the damaged record files describe: a second plan, confirmed separately"
_NOT_IT = "it contains no digest that the repair needs"


def _subject(one: Unrepairable | Step) -> str:
    return one.subject.path if one.subject.kind == "store" else f"{one.subject.kind} {one.subject.id}"


def grouped(planned: Plan) -> list[Group]:
    """Return a plan as groups: runs of similar steps, in their order, then similar subjects that cannot be healed.

    Sources that the plan does not use, and a plan to be made later, come last.
    """
    from itertools import groupby

    from cstore.cli.output.grouped import Group

    numbered = enumerate(planned.steps, 1)
    runs = groupby(numbered, key=lambda each: (each[1].action, each[1].advice and each[0]))  # advice is for one step
    groups = [_together(list(run)) for _, run in runs]
    alike: dict[tuple[str, str, str], list[Unrepairable]] = {}
    for one in planned.unrepairable:
        alike.setdefault((one.subject.kind, one.reason, one.remedy), []).append(one)
    for members in alike.values():
        first, count = members[0], len(members)
        why = first.why if count == 1 else f"for example: {first.why}"
        notes = tuple(filter(None, (why, first.reason, first.remedy)))
        noun = "paths" if first.subject.kind == "store" else f"{first.subject.kind}s"
        what, places = f"{count} {noun}", tuple(map(subject_of, members))
        if count == 1:
            what, places = _subject(first), ()
        groups.append(Group(("-",), f"{what} cannot be healed", places, notes))
    if planned.unused:
        groups.append(Group(("-",), "not used", planned.unused, (_NOT_IT,)))
    if planned.steps and not planned.complete:
        groups.append(Group(("-",), f"to be planned: {_LATER}"))
    return groups


def _together(run: list[tuple[int, Step]]) -> Group:
    """Return the group of a run of steps with the same action; a single step keeps its own description."""
    from cstore.cli.output.grouped import Group

    (first, step), (last, _) = run[0], run[-1]
    if len(run) == 1:
        evidence = f"by {step.evidence}" if step.evidence else ""
        return Group((str(first),), step.what, (), tuple(filter(None, (step.why, evidence, step.advice))))
    sentence = f"{_MANY[step.action.word]} ({len(run)} steps)"
    notes = (f"for example: {step.why}", f"by {step.evidence}" if step.evidence else "")
    return Group((f"{first}-{last}",), sentence, tuple(_place(one) for _, one in run), tuple(filter(None, notes)))


def _place(step: Step) -> str:
    """Return the subject of a step, with its parts, for a group of similar steps."""
    if len(step.parts) == 1 and step.parts[0].startswith("/"):
        return step.parts[0]
    subject = subject_of(step)
    return f"{subject}: {', '.join(step.parts)}" if step.parts else subject


_MANY = {
    "put-aside": "move misplaced files into quarantine",
    "make-lock": "create lock files",
    "set-mode": "set the modes of directories",
    "set-owner": "set the owners of directories",
    "write-record-file": "rebuild record files",
    "add-record": "rebuild records",
    "set-layer": "correct the layers that records name",
    "set-image": "correct the images that records name",
    "set-parent": "correct the parents of layers",
    "set-digest": "correct the digests of layers",
    "drop-duplicates": "drop duplicate records",
    "settle-names": "settle names that several items have",
    "mark-complete": "mark layers complete",
    "make-links": "restore the short links of layers",
    "make-parts": "rewrite the storage driver's files",
    "make-subvolume": "convert directories of layers to subvolumes",
    "remake-layer": "rebuild layers, and move the damaged ones into quarantine",
    "add-layer": "restore layers",
    "restore-files": "restore files of layers",
    "set-attributes": "restore the attributes of files",
    "take-out-files": "move files of layers into quarantine",
    "write-item": "restore data items",
    "add-image": "restore images",
    "record-item": "record the sizes and digests of data items",
    "count-mounts": "correct the mount counts",
    "take-out": "move items that cannot be healed, and files without an owner, into quarantine",
}
"""The description of several steps with the same action, by the word of the action."""


def text(planned: Plan) -> Iterator[str]:
    """Return the lines of a plan with similar steps grouped, as plain text."""
    from cstore.cli.output.grouped import lines

    return lines(grouped(planned))


def styled_plan(planned: Plan) -> None:
    """Print a plan as a table with similar steps grouped."""
    from rich.text import Text

    from cstore.cli.output import grouped as groups
    from cstore.cli.output.terminal import console

    found = grouped(planned)
    if found:
        groups.table({"Step": True, "What": False}, found, styles={"-": "bold red"})
    else:
        console().print(Text("nothing needs repair", style="green"))


def document(result: Repaired) -> dict[str, Any]:
    """Return the document of the result of a repair."""
    return {
        "version": VERSION,
        "plans": [planned.document() for planned in result.plans],
        "done": [step.document() for step in result.done],
        "failed": [{**step.document(), "error": error.message} for step, error in result.failed],
        "left": [finding.document() for finding in result.left.findings],
        "lost": [one.document() for one in result.lost],
        "case": result.case,
        "healed": result.healed,
    }


def summary(result: Repaired) -> Iterator[str]:
    """Yield the summary of a repair: its steps, the state of the store, and the quarantine case with the old data."""
    if not result.done and not result.failed:
        yield "nothing needs repair" if result.healed else "nothing could be healed"
    else:
        state = f"{_count(result.lost, 'record')} could not be rebuilt" if result.lost else "the store is sound"
        state = f"{_count(result.serious, 'finding')} left; see cstore check" if result.serious else state
        yield f"{_count(result.done, 'step')} done, {len(result.failed)} failed; {state}"
    if result.case:
        yield f"quarantine case with what was removed or changed: {result.case}"
        yield f"to undo: cstore repair --undo {result.case}"


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def case_document(case: Case) -> dict[str, Any]:
    """Return the document of a quarantine case."""
    from cstore.store.quarantine import Kept

    there = {entry.name for entry in case.kept}
    entries = [
        {"path": entry.path, "why": entry.why, "there": entry.name in there}
        if isinstance(entry, Kept)
        else {"record": entry.item_kind.value, "before": entry.before, "after": entry.after, "why": entry.why}
        for entry in case.entries
    ]
    facts = {
        "version": VERSION,
        "id": case.id,
        "created": case.created,
        "by": case.by,
        "bytes": case.bytes,
        "flaw": case.flaw,
    }
    return {**facts, "entries": entries}


def case_lines(case: Case) -> Iterator[str]:
    """Yield the ID of a quarantine case, and below it its details and entries, indented with a tab."""
    from cstore.store.quarantine import Kept

    yield case.id
    yield f"\tcreated: {case.created}"
    yield f"\tby: {case.by}"
    yield f"\tbytes: {case.bytes}"
    if case.flaw:
        yield f"\tflaw: {case.flaw}"
    for entry in case.entries:
        what = entry.path if isinstance(entry, Kept) else f"a record of {entry.item_kind.value}s"
        yield f"\t{what}: {entry.why}"


def styled_cases(found: Sequence[Case]) -> None:
    """Print quarantine cases as a table."""
    from rich.text import Text

    from cstore.cli.output.styled import titled_table
    from cstore.cli.output.terminal import console
    from cstore.cli.output.text import human_size, visible

    table = titled_table("Case", "By", "Size", "Entries", right={"Size", "Entries"})
    for case in found:
        told = Text(case.flaw, style="red") if case.flaw else Text(str(len(case.entries)))
        table.add_row(Text(case.id, style="cyan"), Text(visible(case.by)), human_size(case.bytes), told)
    console().print(table if found else Text("nothing is in quarantine", style="dim"))
