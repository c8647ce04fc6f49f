"""Charts of a report: the treemap of the graph root, and age against size. Lengths are percentages to fit any width."""

from __future__ import annotations

import math

from cstore.cli.output.page.markup import counted, cut, name_of, percent, safe, size_text
from cstore.cli.output.page.treemap import Box, squarified
from cstore.cli.output.text import human_age, human_size
from cstore.report import GROUPS, Block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cstore.report import Report

_ROOM = Box(0, 0, 1000, 500)
_MOST = 300
"""The most blocks of a group that are drawn one by one; the others are drawn as one block."""
_LABEL = 40
_CAPTION = '<p class="caption" role="status" aria-live="polite"></p>\n'
_AGES: dict[float, str] = {3600: "hour", 86_400: "day", 604_800: "week", 2_592_000: "month", 31_536_000: "year"}


_APART = 1.8
"""The minimum ratio of the oldest to the youngest age for the labels of both to fit below the axis."""


# ── the treemap ──


def treemap(report: Report) -> str:
    """Return the treemap of all blocks, arranged by group."""
    groups: dict[str, list[Block]] = {group: [] for group in GROUPS}
    for block in _merged(report):
        groups[block.group].append(block)
    totals = {group: sum(block.size for block in blocks) for group, blocks in groups.items() if blocks}
    order = sorted(totals, key=lambda group: -totals[group])
    if not order:
        return "<p>There are no bytes to show.</p>"
    found: dict[str, list[str]] = {}
    for image in report.images:
        for part in image.slices:
            found.setdefault(part.layer, []).append(name_of(image.names, image.id).rpartition("/")[2])
    # For each layer, the name of one image that needs it, and the number of other images.
    users = {layer: names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "") for layer, names in found.items()}
    boxes = squarified([totals[group] for group in order], _ROOM)
    drawn = "".join(
        _group(group, groups[group], box, report.total, users) for group, box in zip(order, boxes, strict=True)
    )
    label = "Treemap of the bytes of the store; the table of groups has the sums. Arrow keys go from block to block."
    return f'<svg class="explore treemap" tabindex="0" role="img" aria-label="{label}">\n{drawn}</svg>\n{_CAPTION}'


def _merged(report: Report) -> list[Block]:
    """Return the blocks, the largest first, merging the unique blocks of an image: they are deleted with it."""
    images = {image.id: image for image in report.images}
    owners = {part.layer: image.id for image in report.images for part in image.slices}
    owners |= {each: each for each in images}
    found: list[Block] = []
    sums: dict[str, int] = {}
    for block in report.blocks:
        if block.group == "unique" and block.id in owners:
            owner = owners[block.id]
            sums[owner] = sums.get(owner, 0) + block.size
        else:
            found.append(block)
    found += (Block("unique", "image", owner, images[owner].names, size) for owner, size in sums.items())
    return sorted(found, key=lambda block: -block.size)


def _group(group: str, blocks: Sequence[Block], room: Box, total: int, users: Mapping[str, str]) -> str:
    shown, rest = blocks[:_MOST], blocks[_MOST:]
    items = [(block.size, *_words(block, users)) for block in shown]
    if rest:
        items.append((sum(block.size for block in rest), f"{len(rest):,} others", counted(len(rest), "smaller block")))
        items.sort(key=lambda item: -item[0])
    drawn = ""
    for box, (size, name, title) in zip(squarified([item[0] for item in items], room), items, strict=True):
        place = (
            f'x="{percent(box.x, _ROOM.width)}" y="{percent(box.y, _ROOM.height)}" '
            f'width="{percent(box.width, _ROOM.width)}" height="{percent(box.height, _ROOM.height)}"'
        )
        label = ""
        if box.width > _ROOM.width * 0.05 and box.height > _ROOM.height * 0.04:
            narrow = " class=n" if box.width < _ROOM.width * 0.2 else ""
            label = f'<text x="5" y="15"{narrow}>{safe(cut(name, _LABEL))}</text>'
        about = safe(f"{group}: {title}, {human_size(size)} ({percent(size, total)})")
        body = f'<title>{about}</title><rect width="100%" height="100%"/>{label}'
        drawn += f'<svg class="item g-{group}" {place}>{body}</svg>\n'
    return drawn


def _words(block: Block, users: Mapping[str, str]) -> tuple[str, str]:
    """Return the label of a block in its rectangle, and its full description."""
    if block.kind == "layer":
        name = name_of(block.names, block.id)
        whose = users.get(block.id, "")
        return whose or name, f"layer {name}" + (f" of {whose}" if whose else "")
    if not block.id:
        return block.kind, block.kind
    name = name_of(block.names, block.id)
    return name.rpartition("/")[2] or name, f"{block.kind} {name}"


# ── age against size ──


def scatter(report: Report) -> str:
    """Return a scatter plot of the images whose age and size are known; both axes are logarithmic."""
    points = [image for image in report.images if image.created > 0 and image.size > 0]
    if not points:
        return "<p>No image has both a recorded time and a size.</p>"
    ages = [max(report.made - image.created, 60.0) for image in points]
    across, up = _Axis(ages), _Axis([float(image.size) for image in points])
    marks = "".join(_age_lines(across, ages)) + "".join(_size_lines(up))
    places = [(across.at(age), up.at(image.size, down=True)) for image, age in zip(points, ages, strict=True)]
    drawn = "".join(
        f'<circle class="item{"" if image.containers else " idle"}" cx="{x}" cy="{y}" r="5"><title>'
        f"{safe(name_of(image.names, image.id))}: {size_text(image.size)}, {human_age(age)}</title></circle>\n"
        for image, age, (x, y) in zip(points, ages, places, strict=True)
    )
    label = "Images by age, to the right, and size, upward; the table of images has the numbers."
    left_out = len(report.images) - len(points)
    note = f"<p>{counted(left_out, 'image')} without a recorded time or size left out.</p>" if left_out else ""
    return (
        f'<svg class="explore scatter" tabindex="0" role="img" aria-label="{label}">{marks}\n{drawn}</svg>\n{_CAPTION}'
        '<p class="legend"><span class="dot"></span> used by a container '
        f'<span class="dot idle"></span> used by none</p>{note}\n'
    )


class _Axis:
    """A logarithmic axis, with its ends a little beyond the values."""

    def __init__(self, values: Sequence[float]) -> None:
        self.least, self.most = min(values) / 1.6, max(values) * 1.6

    def at(self, value: float, *, down: bool = False) -> str:
        """Return the position of a value, with a margin for labels on the left or, with `down`, below."""
        part = math.log(value / self.least) / math.log(self.most / self.least)
        return percent(4 + 88 * (1 - part), 100) if down else percent(9 + 89 * part, 100)


def _age_lines(axis: _Axis, ages: Sequence[float]) -> Iterator[str]:
    ticks = {age: text for age, text in _AGES.items() if axis.least < age < axis.most}
    if len(ticks) < 2:  # all images have about the same age: label the youngest and the oldest
        ends = (min(ages), max(ages))
        ticks = {age: human_age(age) for age in (ends if ends[1] > ends[0] * _APART else ends[:1])}
    for age, text in ticks.items():
        place = axis.at(age)
        yield f'<line x1="{place}" x2="{place}" y1="0" y2="93%"/><text x="{place}" y="99%" class="m">{text}</text>'


def _size_lines(axis: _Axis) -> Iterator[str]:
    tens = [10**power for power in range(16) if axis.least < 10**power < axis.most]
    finer = [digit * 10**power for power in range(16) for digit in (1, 2, 5)]
    for tick in tens if len(tens) > 1 else [tick for tick in finer if axis.least < tick < axis.most]:
        place = axis.at(tick, down=True)
        text = human_size(tick).replace(".0", "")
        yield f'<line x1="9%" x2="100%" y1="{place}" y2="{place}"/><text x="0" y="{place}" dy="4">{text}</text>'
