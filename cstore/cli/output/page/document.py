"""The HTML document of a report."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256

from cstore.cli.output import findings
from cstore.cli.output.page.charts import scatter, treemap
from cstore.cli.output.page.layers import MOST_DRAWN, graph, waterfalls
from cstore.cli.output.page.markup import UNKNOWN, cell, counted, name_of, percent, safe, section, size_text, table
from cstore.cli.output.page.style import PATTERNS, SCRIPT, STYLE
from cstore.cli.output.text import human_age, human_size
from cstore.report import GROUPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.report import Report

_MOST_FINDINGS = 500
_MOST_NOTES = 50
_MOST_NAMES = 10
_MOST_IMAGES = 3000
_CONTENTS = (
    ("summary", "Summary"), ("space", "Space"), ("images", "Images"), ("layers", "Layers"),
    ("waterfalls", "What images are made of"), ("age", "Age and size"), ("findings", "Findings"),
)  # fmt: skip


def page(report: Report, version: str) -> str:
    """Return the page. Its script contains no data of the store; its policy allows no other script and no network."""
    digest = b64encode(sha256(SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; base-uri 'none'"
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title in _CONTENTS)
    body = (
        _summary(report, version)
        + _space(report)
        + _images(report)
        + section("layers", "Layers", graph(report))
        + waterfalls(report)
        + section("age", "Age and size", "<p>Images by age and size, both logarithmic.</p>", scatter(report))
        + _findings(report)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Container storage: {safe(report.root)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body>{PATTERNS}<header><h1>Container storage: <bdi>{safe(report.root)}</bdi></h1>"
        f'<nav aria-label="Sections">{links}</nav></header>\n'
        f"<main>\n{body}</main>\n<script>{SCRIPT}</script></body></html>\n"
    )


def _summary(report: Report, version: str) -> str:
    made = f"{datetime.fromtimestamp(report.made, UTC):%Y-%m-%d %H:%M} UTC"
    cards = [
        ("Bytes in the store" if not report.quick else "Bytes by the records", human_size(report.total)),
        ("Images", f"{len(report.images):,}"),
        ("Containers", f"{report.containers:,}"),
        ("Layers", f"{len(report.layers):,}"),
    ]
    room = report.file_system
    if room is not None:
        used = f"{human_size(room.available)} <small>of {human_size(room.size)}</small>"
        cards.append(("Free on the disk", used))
    cards += [("Driver", safe(report.driver)), ("Made", f"{made} <small>by cstore {safe(version)}</small>")]
    shown = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in cards)
    flaws = "".join(f'<p class="flaw">The records are damaged: {safe(flaw.message)}</p>' for flaw in report.flaws)
    read = "<p>Only the records were read: files without a record, and sizes that are not recorded, are missing.</p>"
    told = (*report.unread, *report.notes)
    notes = "".join(f"<li>{safe(note)}</li>" for note in told[:_MOST_NOTES])
    rest = len(told) - _MOST_NOTES
    notes += f"<li>{counted(rest, 'more note')}</li>" if rest > 0 else ""
    notes = f'<ul class="notes">{notes}</ul>' if notes else ""
    return section("summary", "Summary", f'<dl class="cards">{shown}</dl>', flaws, read if report.quick else "", notes)


def _space(report: Report) -> str:
    totals = dict.fromkeys(GROUPS, 0)
    for block in report.blocks:
        totals[block.group] += block.size
    rows = [
        f'<tr>{cell(f"""<span class="swatch g-{group}"></span>{group}<br><small>{GROUPS[group]}</small>""", group)}'
        f"{cell(human_size(size), size, right=True)}{cell(percent(size, report.total), size, right=True)}</tr>"
        for group, size in totals.items()
        if size
    ]
    titles = ("Group", "Bytes", "Share")
    shown = table("groups", titles, rows, right=frozenset({"Bytes", "Share"}))
    return section("space", "Space", treemap(report), shown)


def _images(report: Report) -> str:
    if not report.images:
        return section("images", "Images", "<p>There are no images.</p>")
    order = sorted(range(len(report.images)), key=lambda number: -report.images[number].size)
    drawn = set(order[:MOST_DRAWN])
    rows = []
    for number in order[:_MOST_IMAGES]:
        image = report.images[number]
        label = safe(name_of(image.names, image.id))
        name = f'<a href="#w{number}"><bdi>{label}</bdi></a>' if number in drawn else f"<bdi>{label}</bdi>"
        others = (safe(name_of((other,), "")) for other in image.names[1:_MOST_NAMES])
        name += "".join(f"<br><small><bdi>{other}</bdi></small>" for other in others)
        name += f"<br><code>{safe(name_of((), image.id))}</code>" if image.names else ""
        sizes = "".join(cell(size_text(size), size, right=True) for size in (image.size, image.unique, image.shared))
        age = report.made - image.created if image.created else -1.0
        users = ", ".join(f"<bdi>{safe(name_of((user,), ''))}</bdi>" for user in image.containers[:_MOST_NAMES])
        rest = len(image.containers) - _MOST_NAMES
        users += f" and {rest:,} more" if rest > 0 else ""
        last = cell(human_age(age) if image.created else UNKNOWN, round(age), right=True)
        rows.append(f"<tr>{cell(name, label)}{sizes}{last}{cell(users, len(image.containers))}</tr>")
    rest = len(order) - _MOST_IMAGES
    more = f"<p>The {counted(rest, 'smallest image')} left out.</p>" if rest > 0 else ""
    titles = ("Name", "Size", "Unique", "Shared", "Age", "Used by")
    box = '<input type="search" aria-label="Filter images" placeholder="Filter images" hidden>'
    shown = table("images", titles, rows, right=frozenset({"Size", "Unique", "Shared", "Age"}))
    return section("images", "Images", box, shown, more)


def _findings(report: Report) -> str:
    checked = report.checked
    if checked is None:
        return section("findings", "Findings", "<p>The store was not checked; cstore report --check does it.</p>")
    rows = []
    for one in sorted(checked.findings, key=lambda one: one.severity.rank)[:_MOST_FINDINGS]:
        severity = f'<span class="tag s-{one.severity.value}">{one.severity.value}</span>'
        advice = f"<br><small>{safe(findings.advice(one))}</small>"
        sentence = f"<b><bdi>{safe(findings.subject_of(one))}</bdi></b><br>{safe(one.sentence)}{advice}"
        rows.append(f"<tr>{cell(severity, one.severity.rank)}{cell(sentence)}</tr>")
    told = f"<p>A quick check: {safe(findings.summary(checked))}.</p>"
    shown = table("findings", ("Severity", "Finding"), rows) if rows else ""
    return section("findings", "Findings", told, shown)
