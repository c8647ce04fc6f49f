"""Output of a check: lines in the Go tool's groups, JSON, or similar findings grouped for terminals."""

from __future__ import annotations

from cstore.cli.output.text import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from cstore.check import Finding, Removed, Report, Severity
    from cstore.check.repair import Step, Unrepairable
    from cstore.cli.output.grouped import Group

TITLES = {
    "Layers": "layer",
    "ROLayers": "read-only layer",
    "Images": "image",
    "ROImages": "read-only image",
    "Containers": "container",
}


def plain(report: Report) -> Iterator[str]:
    """Yield the Go tool's lines, group by group, each once; findings for which it has no group come last.

    The Go tool repeats the lines of a layer below each image that has the layer and each container of such an image.
    """
    told: set[str] = set()
    for key, items in report.groups():
        for name, lines in items.items():
            yield f"{TITLES[key]} {name}:"
            yield from (f" {line}" for line in dict.fromkeys(lines) if line not in told)
            told.update(lines)
    for path, sentences in report.others.items():
        yield f"store {path}:"
        yield from (f" {path}: {sentence}" for sentence in dict.fromkeys(sentences))


def document(report: Report, removed: Removed | None = None) -> dict[str, Any]:
    """Return the Go tool's five keys with the text of each finding, then the findings themselves, and removed items."""
    found: dict[str, Any] = dict(report.groups())
    found["Findings"] = [finding.document() for finding in report.findings]
    found["Unexamined"] = list(report.unexamined)
    found["Notes"] = list(report.notes)
    if removed is not None:
        found["Removed"] = [{"kind": kind, "id": identifier} for kind, identifier in removed.done]
        found["Errors"] = [
            {"kind": kind, "id": identifier, "error": error.message} for kind, identifier, error in removed.failed
        ]
        found["Case"] = removed.case
    return found


def counts(report: Report) -> str:
    """Return the Go tool's last line, for standard error: the number of items with findings."""
    counted = [f"{len(items)} {TITLES[key]} errors" for key, items in report.groups()]
    others = [f"{len(report.others)} errors of the store itself"] if report.others else []
    return ", ".join([*counted, *others])


def grouped(findings: Iterable[Finding]) -> list[Group]:
    """Return groups of similar findings, the worst first: those of the same kind with the same advice and store."""
    from cstore.check import KINDS
    from cstore.cli.output.grouped import Group

    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in sorted(findings, key=lambda item: item.severity.rank):
        alike.setdefault((finding.kind, advice(finding), finding.store), []).append(finding)
    return [
        Group(
            (str(len(members)), members[0].severity.value),
            KINDS[kind].meaning if len(members) > 1 else members[0].sentence,
            tuple(_place(one) for one in members) if len(members) > 1 else (subject_of(members[0]),),
            tuple(filter(None, (f"in the additional store {store}" if store else "", helps))),
        )
        for (kind, helps, store), members in alike.items()
    ]


def _place(finding: Finding) -> str:
    """Return the place of a finding in a group of similar findings, in a form that other commands accept."""
    path = str(finding.evidence.get("path", ""))
    if finding.kind.startswith("file-") and path:
        return f"{short_id(finding.subject.name)}:/{path.removeprefix('.').lstrip('/')}"
    if finding.subject.kind == "store" or path:
        return path or finding.subject.path
    part = str(finding.evidence.get("part", ""))
    return f"{subject_of(finding)}: {part}" if part else subject_of(finding)


def text(report: Report) -> Iterator[str]:
    """Yield similar findings grouped, as plain text; then the conclusion."""
    from cstore.cli.output.grouped import lines

    yield from lines(grouped(report.findings))
    yield from _conclusion(report)


def styled(report: Report) -> None:
    """Print a table of similar findings grouped; then the conclusion."""
    from cstore.cli.output import grouped as groups
    from cstore.cli.output.styled import Sentence
    from cstore.cli.output.terminal import console

    if report.findings:
        titles = {"Count": True, "Severity": False, "Finding": False}
        groups.table(titles, grouped(report.findings), styles=_STYLES)
    for line in _conclusion(report):
        console().print(Sentence(line, "bold" if report.findings else "green"))


_STYLES = {"data": "bold red", "records": "red", "export": "magenta", "leftover": "yellow", "cosmetic": "dim"}


def subject_of(one: Finding | Unrepairable | Step) -> str:
    """Return the subject of a finding or a step, with a short ID."""
    subject = one.subject
    return subject.path if subject.kind == "store" else f"{subject.kind} {short_id(subject.id)}"


def advice(finding: Finding) -> str:
    """Return the remedy of a finding, with its command if it has one."""
    remedy = finding.remedy
    return f"{remedy.sentence}: {remedy.command}" if remedy.command else remedy.sentence


def summary(report: Report) -> str:
    """Return the summary of a check as one line."""
    layers = len(report.examined)
    looked = f"the contents of {layers} {'layer was' if layers == 1 else 'layers were'} read"
    if not report.findings:
        return f"no damage found; {looked}"
    return f"{severities(report)}; {looked}"


def _conclusion(report: Report) -> Iterator[str]:
    """Yield the summary, and the command to run next if there is one."""
    yield summary(report)
    if report.findings and (then := next_command(report)):
        yield f"next: {then}"


def severities(report: Report) -> str:
    """Return the number of findings, and the number of each severity, the worst first."""
    number: dict[Severity, int] = {}
    for finding in report.findings:
        number[finding.severity] = number.get(finding.severity, 0) + 1
    parts = (f"{count} {severity.value}" for severity, count in sorted(number.items(), key=lambda item: item[0].rank))
    found = len(report.findings)
    return f"{found} {'finding' if found == 1 else 'findings'} ({', '.join(parts)})"


def next_command(report: Report) -> str:
    """Return the command to run next: a repair if there is damage, otherwise the remedy of the worst finding."""
    worst = min(report.findings, key=lambda finding: finding.severity.rank)
    if worst.severity.value in {"data", "records"}:
        return "cstore repair --dry-run"
    return worst.remedy.command
