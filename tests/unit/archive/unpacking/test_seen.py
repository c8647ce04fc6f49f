"""Remembering many paths in little memory."""

from __future__ import annotations

import sys

import pytest

from cstore.archive.unpacking import seen
from cstore.archive.unpacking.seen import SeenPaths


@pytest.mark.parametrize("at_once", [3, 1000, 1 << 16])
def test_membership(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """What was added is in, what was not is out, however many parts the set has."""
    monkeypatch.setattr(seen, "_FRESH", at_once)
    paths = SeenPaths()
    for number in range(0, 4000, 2):
        paths.add(b"d/%d" % number)

    assert [number for number in range(4000) if b"d/%d" % number in paths] == list(range(0, 4000, 2))
    assert b"" not in paths


def test_memory() -> None:
    """A path takes eight bytes when there are many."""
    paths = SeenPaths()
    for number in range(200_000):
        paths.add(b"some/long/directory/name/%d" % number)

    assert sum(sys.getsizeof(numbers) for numbers in paths._sorted) < 200_000 * 9
