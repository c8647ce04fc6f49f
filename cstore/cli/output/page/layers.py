"""The layers of a report: a tree, or a table if there are too many; and the layers of each image as a waterfall."""

from __future__ import annotations

from cstore.cli.output.page.markup import (
    cell,
    counted,
    cut,
    name_of,
    percent,
    safe,
    section,
    shortened,
    size_text,
    table,
)
from cstore.cli.output.text import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.report import LayerFacts, Report, Slice

_MOST_IN_TREE = 60
_MOST_IN_TABLE = 500
_ROW = 40
_STEP = 16
"""The height of a row of the tree (`_ROW`) and the width of a column (`_STEP`), in pixels."""
_DEEPEST = 12
_THICKEST = 14
MOST_DRAWN = 1000
_MOST_SLICES = 4500
_FEWEST_SLICES = 5
_MOST_OPEN = 8
_COMMAND = 160
_LABEL = 40
"""The most characters shown of a command (`_COMMAND`) and of an image's name (`_LABEL`)."""


# ── the graph ──


def graph(report: Report) -> str:
    """Return a tree of the layers, or a table if there are too many.

    A longer bar in the tree is a larger layer; a thicker bar is in more images.
    """
    if not report.layers:
        return "<p>There are no layers.</p>"
    if len(report.layers) > _MOST_IN_TREE:
        return _as_table(report.layers)
    placed = _placed(report.layers)
    largest = max(max(layer.size, 0) for layer in report.layers) or 1
    most = max(layer.images for layer in report.layers) or 1
    rows = {layer.id: number for number, (layer, _) in enumerate(placed)}
    columns = {layer.id: column for layer, column in placed}
    tops: dict[str, str] = {}
    for image in report.images:
        for part in image.slices[-1:]:
            tops[part.layer] = tops.get(part.layer, "") + f" ← {name_of(image.names, image.id).rpartition('/')[2]}"
    drawn = "".join(
        _row(layer, number, column, largest, most, tops.get(layer.id, "")) + _line(layer, number, column, rows, columns)
        for number, (layer, column) in enumerate(placed)
    )
    label = "Layers below their parents. A longer bar is a larger layer; a thicker bar is in more images."
    return f'<svg class="tree" height="{len(placed) * _ROW}" role="img" aria-label="{label}">\n{drawn}</svg>\n'


def _placed(layers: Sequence[LayerFacts]) -> list[tuple[LayerFacts, int]]:
    """Return each layer with its column, parents first. Layers that share a parent are one column further to the right.

    Layers that are their own ancestors have no root; they come last.
    """
    children: dict[str, list[LayerFacts]] = {}
    for layer in layers:
        children.setdefault(layer.parent, []).append(layer)
    found: dict[str, tuple[LayerFacts, int]] = {}
    for start in (*children.get("", ()), *layers):
        waiting = [(start, 0)]
        while waiting:
            layer, column = waiting.pop()
            if layer.id in found:
                continue
            found[layer.id] = layer, column
            below = children.get(layer.id, [])
            deeper = min(column + (len(below) > 1), _DEEPEST)
            waiting += ((child, deeper) for child in reversed(below))
    return list(found.values())


def _row(layer: LayerFacts, number: int, column: int, largest: int, most: int, top: str) -> str:
    """Return the row of a layer; `top` has the names of the images of which it is the top layer."""
    left, at = 14 + column * _STEP, number * _ROW
    thick = 3 + round((_THICKEST - 3) * layer.images / most)
    group = "shared" if layer.images > 1 else "unique" if layer.images else "unused"
    group = "container" if layer.containers and not layer.images else group
    length = percent(max(layer.size, 0) or largest / 400, largest)
    uses = [counted(layer.images, "image")] if layer.images else []
    uses += [counted(layer.containers, "container")] if layer.containers else []
    used = ", ".join(uses) or "not used"
    words = (name_of(layer.names, layer.id), cut(top.strip(), _LABEL), f"{size_text(layer.size)},", used)
    text = " ".join(word for word in words if word)
    return (
        f'<circle cx="{left - 7}" cy="{at + 12}" r="3.5"/><text x="{left}" y="{at + 16}">{safe(text)}</text>'
        f'<svg x="{left}" y="{at + 21}" height="{_THICKEST + 1}" width="80%">'
        f'<rect class="g-{group}" width="{length}" height="{thick}" rx="1"/></svg>\n'
    )


def _line(layer: LayerFacts, number: int, column: int, rows: dict[str, int], columns: dict[str, int]) -> str:
    """Return the line from a layer's parent to the layer."""
    parent = rows.get(layer.parent, number)
    if parent >= number:
        return ""
    left, start = 7 + columns[layer.parent] * _STEP, parent * _ROW + 16
    down = number * _ROW + 12
    end = f"V{down}H{4 + column * _STEP}" if columns[layer.parent] < column else f"V{down - 4}"
    return f'<path d="M{left} {start}{end}"/>\n'


def _as_table(layers: Sequence[LayerFacts]) -> str:
    ordered = sorted(layers, key=lambda layer: (-layer.size, layer.id))
    rows = []
    for layer in ordered[:_MOST_IN_TABLE]:
        name, parent = safe(name_of(layer.names, layer.id)), safe(name_of((), layer.parent))
        counts = cell(str(layer.images), right=True) + cell(str(layer.containers), right=True)
        size = cell(size_text(layer.size), layer.size, right=True)
        rows.append(f"<tr>{cell(f'<bdi>{name}</bdi>')}{size}{counts}{cell(f'<code>{parent}</code>')}</tr>")
    rest = ordered[_MOST_IN_TABLE:]
    left_out = human_size(sum(max(layer.size, 0) for layer in rest))
    more = f"; {counted(len(rest), 'smaller layer')} of {left_out} left out" if rest else ""
    titles = ("Layer", "Size", "Images", "Containers", "Parent")
    note = f"<p>{counted(len(layers), 'layer')} are too many for a drawing; this is a table{more}.</p>"
    return note + table("layers", titles, rows, right=frozenset({"Size", "Images", "Containers"}))


# ── waterfalls ──


def waterfalls(report: Report) -> str:
    """Return a waterfall chart for each image: its layers from the lowest up, with their wasted bytes.

    The bar of each layer starts where the previous one ends.
    """
    images = sorted(enumerate(report.images), key=lambda pair: -pair[1].size)
    shown, rest = images[:MOST_DRAWN], images[MOST_DRAWN:]
    most = max(_FEWEST_SLICES, _MOST_SLICES // max(len(shown), 1))
    is_open = len(shown) <= _MOST_OPEN
    body = ""
    for number, image in shown:
        wasted = sum(part.overwritten + part.deleted for part in image.slices)
        facts = f"{size_text(image.size)}, {counted(len(image.slices), 'layer')}"
        facts += f", {human_size(wasted)} wasted" if wasted else ""
        name, rows = safe(name_of(image.names, image.id)), "".join(_slices(image.slices, most))
        body += (
            f"<details{' open' if is_open else ''}><summary><bdi>{name}</bdi> <small>{facts}</small></summary>"
            f'<ol class="fall" id="w{number}">\n{rows or "<li>no layers</li>"}</ol></details>\n'
        )
    scroll = body if is_open else f'<div class="scroll" tabindex="0" role="region" aria-label="Images">{body}</div>'
    told = f"{_key('ov', 'overwritten')} {_key('de', 'deleted')} by a layer above"
    told = "not searched, because only records were read" if report.quick else told
    more = f"<p>The {counted(len(rest), 'smallest image')} left out.</p>" if rest else ""
    return section("waterfalls", "What images are made of", f"<p>Wasted bytes: {told}.</p>", scroll, more)


def _key(kind: str, word: str) -> str:
    pattern = f'<svg width="26" height="12"><rect class="{kind}" width="100%" height="100%"/></svg>'
    return f'<span class="key">{pattern} {word}</span>'


def _slices(slices: Sequence[Slice], most: int) -> Iterator[str]:
    """Yield the rows of an image. Beyond `most` layers, the smallest are omitted, and the last row has their number."""
    total = sum(max(part.size, 0) for part in slices)
    kept = set(sorted(range(len(slices)), key=lambda place: -slices[place].size)[:most])
    before = 0
    for place, part in enumerate(slices):
        at, before = before, before + max(part.size, 0)
        if place not in kept:
            continue
        length = max(part.size, 0, total / 400)
        bars = f'<rect x="{percent(at, total)}" width="{percent(length, total)}" height="100%"/>'
        wasted = ""
        for kind, word, amount in (("ov", "overwritten", part.overwritten), ("de", "deleted", part.deleted)):
            width = min(amount, before - at)  # the length of a file may exceed the bytes stored for it
            if width > 0:
                bars += f'<rect class="{kind}" x="{percent(at, total)}" width="{percent(width, total)}" height="100%"/>'
                wasted += f", {human_size(width)} {word}"
                at += width
        step = f"<span>{safe(shortened(part.step, _COMMAND))}</span>" if part.step else ""
        layer = safe(name_of((), part.layer))
        yield (
            f'<li value="{place + 1}"><b>{size_text(part.size)}</b>{wasted} <code>{layer}</code>'
            f'<svg class="bar" aria-hidden="true">{bars}</svg>{step}</li>\n'
        )
    if len(slices) > most:
        yield f"<li>{counted(len(slices) - most, 'smaller layer')} left out</li>\n"
