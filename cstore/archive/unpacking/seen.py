"""Sets and lists of paths, and of numbers, that take little memory, for archives of millions of entries."""

from __future__ import annotations

import marshal
import struct
import sys
import zlib
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
    """A set of paths as 64-bit hashes: it takes eight bytes per path; adding is fast, lookups are slower.

    The probability of a collision among a million paths is 1 in 30 million. The hash has a new key in each run of the
    program, so an archive cannot be built to cause collisions.
    """

    def __init__(self) -> None:
        self._fresh: set[int] = set()
        self._sorted: list[memoryview[int]] = []

    def add(self, path: bytes) -> None:
        """Add a path."""
        self._fresh.add(hash(path) & _MASK)
        if len(self._fresh) >= _FRESH:
            packed = struct.pack(f"{len(self._fresh)}Q", *sorted(self._fresh))
            self._sorted.append(memoryview(packed).cast("Q"))
            self._fresh.clear()

    def __contains__(self, path: bytes) -> bool:
        number = hash(path) & _MASK
        return number in self._fresh or any(
            (place := bisect_left(numbers, number)) < len(numbers) and numbers[place] == number
            for numbers in self._sorted
        )


class Numbers:
    """A row of numbers of 64 bits, eight bytes each. `array` has the same, and imports `collections` for it."""

    def __init__(self, packed: bytes = b"") -> None:
        self._packed = bytearray(packed)

    def append(self, number: int) -> None:
        """Put a number at the end."""
        self._packed += number.to_bytes(8, sys.byteorder)

    def __len__(self) -> int:
        return len(self._packed) // 8

    def pack(self) -> bytes:
        """A form that marshal(3) can write."""
        return bytes(self._packed)

    def view(self) -> memoryview[int]:
        """All of them, to be looked up by place. Nothing can be added as long as it is there."""
        return memoryview(self._packed).cast("Q")


class PathList(Generic[_T]):
    """A list of paths, each with a value that marshal can write."""

    def __init__(self) -> None:
        self._recent: list[tuple[bytes, _T]] = []
        self._packed: list[bytes] = []

    def add(self, path: bytes, what: _T) -> None:
        """Append a path."""
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
