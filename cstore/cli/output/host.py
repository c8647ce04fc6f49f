"""Output of facts about the host: lines, JSON, metrics, or a table for terminals."""

from __future__ import annotations

from cstore.cli.output.structured import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.check import HostReport

_STYLES = {"problem": "bold red", "warning": "yellow", "ok": "green"}


def plain(report: HostReport) -> Iterator[str]:
    """Yield a line per fact: level, area, sentence and remedy, if any, separated by tabs."""
    for fact in report.facts:
        yield "\t".join(filter(None, (fact.level.value, fact.area, fact.sentence, fact.remedy)))


def document(report: HostReport) -> dict[str, Any]:
    """Return the document of a host report."""
    facts = [
        {"area": fact.area, "level": fact.level.value, "sentence": fact.sentence, "remedy": fact.remedy}
        for fact in report.facts
    ]
    room = {
        "bytes_free": report.bytes_free,
        "bytes_total": report.bytes_total,
        "inodes_free": report.inodes_free,
        "inodes_total": report.inodes_total,
    }
    return {"version": VERSION, "facts": facts, "file_system": room}


def metrics(report: HostReport) -> Iterator[str]:
    """Yield gauges in the text format of Prometheus (exposition format 0.0.4)."""
    yield "# HELP cstore_host_facts Facts about the host, by area and level."
    yield "# TYPE cstore_host_facts gauge"
    number: dict[tuple[str, str], int] = {}
    for fact in report.facts:
        key = (fact.area, fact.level.value)
        number[key] = number.get(key, 0) + 1
    for (area, level), count in number.items():
        yield f'cstore_host_facts{{area="{area}",level="{level}"}} {count}'
    for name, value, text in (
        ("bytes_free", report.bytes_free, "Bytes free for this user on the file system of the graph root."),
        ("bytes_total", report.bytes_total, "Bytes of the file system of the graph root."),
        ("inodes_free", report.inodes_free, "Inodes free on the file system of the graph root."),
        ("inodes_total", report.inodes_total, "Inodes of the file system of the graph root."),
    ):
        yield f"# HELP cstore_graph_root_{name} {text}"
        yield f"# TYPE cstore_graph_root_{name} gauge"
        yield f"cstore_graph_root_{name} {value}"


def styled(report: HostReport) -> None:
    """Print a table of the facts, in the order of the areas, with each remedy below its fact."""
    from rich.table import Table
    from rich.text import Text

    from cstore.cli.output.terminal import console
    from cstore.cli.output.text import visible

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for title in ("LEVEL", "AREA", "FACT"):
        table.add_column(title, no_wrap=title != "FACT", overflow="fold")
    for fact in report.facts:
        told = Text(visible(fact.sentence))
        if fact.remedy:
            told.append(f"\n{visible(fact.remedy)}", style="dim")
        table.add_row(Text(fact.level.value, style=_STYLES[fact.level.value]), fact.area, told)
    out = console()
    out.print(table)
    problems = len(report.problems)
    out.print(
        Text("no problem found", style="green")
        if not problems
        else Text(f"{problems} {'problem' if problems == 1 else 'problems'}", style="bold red")
    )
