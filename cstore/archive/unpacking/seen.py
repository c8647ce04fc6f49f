"""A set of paths that takes little memory, for archives of millions of entries."""

from __future__ import annotations

from array import array
from bisect import bisect_left

_FRESH = 1 << 16
_MASK = (1 << 64) - 1


class SeenPaths:
    """Remembers paths by 64 bits of hash: eight bytes each, adding is fast, asking less so.

    Two paths out of a million are taken for one with a chance of 1 : 30 million. The hash is keyed anew for each run of
    the program, so no archive can be made for it.
    """

    def __init__(self) -> None:
        self._fresh: set[int] = set()
        self._sorted: list[array[int]] = []

    def add(self, path: bytes) -> None:
        """Remember a path."""
        self._fresh.add(hash(path) & _MASK)
        if len(self._fresh) >= _FRESH:
            self._sorted.append(array("Q", sorted(self._fresh)))
            self._fresh.clear()

    def __contains__(self, path: bytes) -> bool:
        number = hash(path) & _MASK
        return number in self._fresh or any(_holds(numbers, number) for numbers in self._sorted)


def _holds(numbers: array[int], number: int) -> bool:
    place = bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number
