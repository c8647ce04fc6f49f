"""Squarified treemap layout: divides a rectangle into rectangles proportional to sizes and as square as possible."""

from __future__ import annotations

from typing import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Box(NamedTuple):
    """A rectangle: the coordinates of its upper left corner, its width and its height."""

    x: float
    y: float
    width: float
    height: float


def squarified(sizes: Sequence[float], room: Box) -> list[Box]:
    """Return a rectangle for each size, so that they fill `room` in proportion; sizes are above 0, the largest first.

    Rows are laid along the shorter side of the remaining space; a row grows while its worst aspect ratio improves.
    """
    if not sizes or room.width <= 0 or room.height <= 0:
        return [Box(room.x, room.y, 0, 0) for _ in sizes]
    scale = room.width * room.height / sum(sizes)
    areas = [size * scale for size in sizes]
    found: list[Box] = []
    left = room
    while len(found) < len(areas):
        start = end = len(found)
        side, total, worst = min(left.width, left.height), 0.0, float("inf")
        while end < len(areas):
            grown = total + areas[end]
            ratio = float("inf")  # the worst aspect ratio in the row, whose rectangles are sorted by size
            if areas[end] and side:
                ratio = max(side * side * areas[start] / (grown * grown), grown * grown / (side * side * areas[end]))
            if ratio > worst:
                break
            total, worst, end = grown, ratio, end + 1
        boxes, left = _row(areas[start:end], left, last=end == len(areas))
        found += boxes
    return found


def _row(areas: list[float], room: Box, *, last: bool) -> tuple[list[Box], Box]:
    """Lay a row along the shorter side, and return its rectangles and the remaining space.

    The last row takes all of the space, to make up for rounding.
    """
    along = min(room.height, room.width)
    depth = sum(areas) / along if along else 0.0
    boxes, at = [], 0.0
    for area in areas:
        length = along * area / sum(areas)
        if room.width >= room.height:
            boxes.append(Box(room.x, room.y + at, room.width if last else depth, length))
        else:
            boxes.append(Box(room.x + at, room.y, length, room.height if last else depth))
        at += length
    if room.width >= room.height:
        return boxes, Box(room.x + depth, room.y, max(room.width - depth, 0.0), room.height)
    return boxes, Box(room.x, room.y + depth, room.width, max(room.height - depth, 0.0))
