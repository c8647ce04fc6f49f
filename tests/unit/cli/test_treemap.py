"""The layout of a treemap: everything has its share of the area, is inside, and hides nothing else."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from cstore.cli.output.page.treemap import Box, squarified

ROOM = Box(10, 20, 1000, 500)


def drawn(count: int, seed: int) -> list[float]:
    """Sizes as stores have them: few large ones, many small ones."""
    source = random.Random(seed)
    return sorted((source.lognormvariate(10, 3) for _ in range(count)), reverse=True)


CASES = [[7.0], [1.0, 1.0], [1e15, 1.0], [6, 6, 4, 3, 2, 2, 1], drawn(40, 1), drawn(150, 2), [5.0] * 30]


@pytest.mark.parametrize("sizes", CASES, ids=lambda sizes: f"{len(sizes)} sizes")
def test_areas_are_in_proportion(sizes: list[float]) -> None:
    """Each rectangle has its share of the room, and together they fill it."""
    boxes = squarified(sizes, ROOM)

    whole = ROOM.width * ROOM.height
    for size, box in zip(sizes, boxes, strict=True):
        assert box.width * box.height == pytest.approx(size / sum(sizes) * whole, rel=1e-6, abs=1e-6)
    assert sum(box.width * box.height for box in boxes) == pytest.approx(whole)


@pytest.mark.parametrize("sizes", CASES, ids=lambda sizes: f"{len(sizes)} sizes")
def test_all_is_inside_and_nothing_overlaps(sizes: list[float]) -> None:
    """No rectangle leaves the room, and none covers another."""
    slack = 1e-6
    boxes = squarified(sizes, ROOM)

    for box in boxes:
        assert box.x >= ROOM.x - slack
        assert box.y >= ROOM.y - slack
        assert box.x + box.width <= ROOM.x + ROOM.width + slack
        assert box.y + box.height <= ROOM.y + ROOM.height + slack
    for one, other in combinations(boxes, 2):
        across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
        down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
        assert across <= slack or down <= slack


def test_equal_sizes_are_nearly_squares() -> None:
    """A treemap of slices would be right as well, and unreadable."""
    assert all(0.4 < box.width / box.height < 2.5 for box in squarified([1.0] * 50, ROOM))


def test_nothing_takes_no_room() -> None:
    """No sizes, no rectangles; without room, empty ones."""
    assert squarified([], ROOM) == []
    assert squarified([2.0, 1.0], Box(1, 2, 0, 5)) == [Box(1, 2, 0, 0)] * 2
