"""Sets and lists of paths that take little memory, for archives of millions of entries."""

from __future__ import annotations

import marshal
import zlib
from array import array
from bisect import bisect_left

from cstore.values import Generic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeVar

    _T = TypeVar("_T")
else:
    _T = None


_FRESH = 1 << 16
_AT_ONCE = 8192
_MASK = (1 << 64) - 1


class SeenPaths:
    """Remembers paths by 64 bits of hash: eight bytes each, adding is fast, asking less so.

    The chance that two of a million paths collide is 1 : 30 million. The hash has a new key for each run of the
    program, so no archive can provoke collisions.
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


class PathList(Generic[_T]):
    """A row of paths, each with something that marshal(3) can write."""

    def __init__(self) -> None:
        self._recent: list[tuple[bytes, _T]] = []
        self._packed: list[bytes] = []

    def add(self, path: bytes, what: _T) -> None:
        """Put a path at the end."""
        self._recent.append((path, what))
        if len(self._recent) >= _AT_ONCE:
            self._packed.append(zlib.compress(marshal.dumps(self._recent), 1))
            self._recent = []

    def __iter__(self) -> Iterator[tuple[bytes, _T]]:
        for packed in self._packed:
            yield from _unpacked(packed)
        yield from self._recent

    def __reversed__(self) -> Iterator[tuple[bytes, _T]]:
        yield from reversed(self._recent)
        for packed in reversed(self._packed):
            yield from reversed(_unpacked(packed))


def _unpacked(packed: bytes) -> list[tuple[bytes, _T]]:
    rows: list[tuple[bytes, _T]] = marshal.loads(zlib.decompress(packed))  # noqa: S302  - written right here
    return rows
