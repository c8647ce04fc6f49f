"""What a check has found: as the peer's groups of lines, as JSON, or as a table for a person."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.check import Finding, Removed, Report, Severity

TITLES = {
    "Layers": "layer",
    "ROLayers": "read-only layer",
    "Images": "image",
    "ROImages": "read-only image",
    "Containers": "container",
}


def plain(report: Report) -> Iterator[str]:
    """The peer's lines, group by group; what it has no group for comes last."""
    for key, items in report.groups():
        for name, lines in items.items():
            yield f"{TITLES[key]} {name}:"
            yield from (f" {line}" for line in lines)
    for path, sentences in report.others.items():
        yield f"store {path}:"
        yield from (f" {path}: {sentence}" for sentence in sentences)


def document(report: Report, removed: Removed | None = None) -> dict[str, Any]:
    """The peer's five keys with the text of each finding, then the findings themselves, and what was taken out."""
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
    """The peer's last line, on standard error: how many items have findings."""
    counted = [f"{len(items)} {TITLES[key]} errors" for key, items in report.groups()]
    others = [f"{len(report.others)} errors of the store itself"] if report.others else []
    return ", ".join([*counted, *others])


def styled(report: Report) -> None:
    """Show findings as a table, worst first, each with its remedy; then a line that sums up."""
    from rich.table import Table
    from rich.text import Text

    from cstore.cli.output.terminal import console
    from cstore.cli.output.text import visible

    out = console()
    if report.findings:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title in ("Severity", "What", "Finding"):
            table.add_column(title)
        for finding in sorted(report.findings, key=lambda item: item.severity.rank):
            told = Text(visible(finding.sentence))
            told.append(f"\n  {visible(advice(finding))}", style="dim")
            severity = Text(finding.severity.value, style=_STYLES[finding.severity.value])
            table.add_row(severity, Text(visible(subject_of(finding)), style="cyan"), told)
        out.print(table)
    out.print(Text(summary(report), style="bold" if report.findings else "green"))


_STYLES = {"data": "bold red", "records": "red", "export": "magenta", "leftover": "yellow", "cosmetic": "dim"}


def subject_of(finding: Finding) -> str:
    """What a finding is about, for people."""
    from cstore.cli.output.text import short_id

    subject = finding.subject
    return subject.path if subject.kind == "store" else f"{subject.kind} {short_id(subject.id)}"


def advice(finding: Finding) -> str:
    """What helps, and the command that does it."""
    remedy = finding.remedy
    return f"{remedy.sentence}: {remedy.command}" if remedy.command else remedy.sentence


def summary(report: Report) -> str:
    """What came of a check, in a line."""
    layers = len(report.examined)
    looked = f"the contents of {layers} {'layer was' if layers == 1 else 'layers were'} read"
    return f"{severities(report)}; {looked}" if report.findings else f"no damage found; {looked}"


def severities(report: Report) -> str:
    """How many findings there are of each severity, the worst first."""
    number: dict[Severity, int] = {}
    for finding in report.findings:
        number[finding.severity] = number.get(finding.severity, 0) + 1
    parts = (f"{count} {severity.value}" for severity, count in sorted(number.items(), key=lambda item: item[0].rank))
    found = len(report.findings)
    return f"{found} {'finding' if found == 1 else 'findings'} ({', '.join(parts)})"


def next_command(report: Report) -> str:
    """What to run next: a repair where there is damage, else what the worst finding says."""
    worst = min(report.findings, key=lambda finding: finding.severity.rank)
    if worst.severity.value in {"data", "records"}:
        return "cstore repair --dry-run"
    return worst.remedy.command
