"""Map user and group IDs between containers and the host. These functions are pure: no files, no processes."""

from __future__ import annotations

from cstore import errors
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

LARGEST_ID = 2**32 - 1
_END = 2**32 - 1
"""The end of the kernel's IDs: the last number stands for "no ID"."""
_MOST_RANGES = 340
"""The largest number of lines in /proc/PID/uid_map."""


class IDRange(Value):
    """A range of `size` IDs, from `container_id` in the container and `host_id` on the host."""

    container_id: int
    host_id: int
    size: int


class IDMap(Value):
    """Ranges of user and group IDs. Without ranges of a kind, IDs of this kind are the same inside and outside."""

    uids: tuple[IDRange, ...] = ()
    gids: tuple[IDRange, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.uids or self.gids)

    @property
    def is_contiguous(self) -> bool:
        """Whether the ranges of each kind have no gaps, neither inside nor outside."""
        return is_contiguous(self.uids) and is_contiguous(self.gids)

    def to_host(self, uid: int, gid: int) -> tuple[int, int]:
        """Map an owner inside to the owner outside.

        Raises:
            IDNotMapped: a range is given and does not cover the ID.
        """
        return map_out(self.uids, uid, "UID"), map_out(self.gids, gid, "GID")

    def to_container(self, uid: int, gid: int) -> tuple[int, int]:
        """Map an owner outside to the owner inside: the inverse of `to_host`.

        Raises:
            IDNotMapped: a range is given and does not cover the ID.
        """
        return map_in(self.uids, uid, "UID"), map_in(self.gids, gid, "GID")

    def within(self, outer: IDMap) -> IDMap:
        """Return this map as seen from outside a namespace with the map `outer`, without IDs that `outer` lacks."""
        return IDMap(_within(self.uids, outer.uids), _within(self.gids, outer.gids))


IDENTITY = IDMap()


def _within(inner: Sequence[IDRange], outer: Sequence[IDRange]) -> tuple[IDRange, ...]:
    if not inner or not outer:
        return tuple(inner or outer)
    parts = []
    for one in inner:
        for two in outer:
            start = max(one.host_id, two.container_id)
            size = min(one.host_id + one.size, two.container_id + two.size) - start
            if size > 0:
                inside, outside = one.container_id + start - one.host_id, two.host_id + start - two.container_id
                parts.append(IDRange(inside, outside, size))
    return tuple(parts)


def is_contiguous(ranges: Sequence[IDRange]) -> bool:
    """Return whether ranges have no gaps, inside and outside."""
    from itertools import pairwise

    inside = sorted((part.container_id, part.size) for part in ranges)
    outside = sorted((part.host_id, part.size) for part in ranges)
    return all(
        start + size == following for starts in (inside, outside) for (start, size), (following, _) in pairwise(starts)
    )


def map_out(ranges: Sequence[IDRange], number: int, noun: str) -> int:
    """Map one ID from inside to outside."""
    if not ranges:
        return number
    for part in ranges:
        if part.container_id <= number < part.container_id + part.size:
            return part.host_id + number - part.container_id
    raise errors.IDNotMapped(format_ranges(ranges), noun, number, "container")


def map_in(ranges: Sequence[IDRange], number: int, noun: str) -> int:
    """Map one ID from outside to inside."""
    if not ranges:
        return number
    for part in ranges:
        if part.host_id <= number < part.host_id + part.size:
            return part.container_id + number - part.host_id
    raise errors.IDNotMapped(format_ranges(ranges), noun, number, "host")


def parse_ranges(text: str, noun: str = "uid") -> tuple[IDRange, ...]:
    """Parse `container:host:size[:container:host:size…]`; an empty text has no ranges.

    Raises:
        InvalidIDMap: not triples of numbers from 0 to 2**32 - 1. `noun` is "uid" or "gid", for the Go tool's text.
    """
    if not text:
        return ()
    words = text.split(":")
    malformed = f'initializing ID mappings: {noun} setting is malformed expected ["uint32:uint32:uint32"]: ["{text}"]'
    if len(words) % 3:
        raise errors.InvalidIDMap(text, "it does not consist of triples CONTAINER:HOST:SIZE", go_text=malformed)
    for word in words:
        if not (word.isascii() and word.isdecimal() and int(word) <= LARGEST_ID):
            raise errors.InvalidIDMap(text, f"{word!r} is not a number from 0 to {LARGEST_ID}", go_text=malformed)
    numbers = [int(word) for word in words]
    return tuple(IDRange(*numbers[place : place + 3]) for place in range(0, len(numbers), 3))


def format_ranges(ranges: Iterable[IDRange]) -> str:
    """Return ranges in the format that `parse_ranges` reads."""
    return ":".join(f"{part.container_id}:{part.host_id}:{part.size}" for part in ranges)


def check_possible(id_map: IDMap) -> None:
    """Check that the kernel would accept a map; Go also records others, and only a later mount fails.

    Raises:
        InvalidIDMap: a range is empty, exceeds the last ID, or overlaps another one, or there are too many.
    """
    for ranges in (id_map.uids, id_map.gids):
        for part in ranges:
            if part.size < 1:
                raise errors.InvalidIDMap(format_ranges([part]), "its size is less than 1")
            if min(part.container_id, part.host_id) < 0 or max(part.container_id, part.host_id) + part.size > _END:
                raise errors.InvalidIDMap(
                    format_ranges([part]),
                    f"it is not between 0 and {_END - 1}, the last ID",
                    hint="give a smaller size",
                )
        if len(ranges) > _MOST_RANGES:
            reason = f"it has {len(ranges)} ranges, and the kernel takes no more than {_MOST_RANGES}"
            raise errors.InvalidIDMap(format_ranges(ranges[:1]) + ":…", reason, hint="give fewer, larger ranges")
        guilty = list(_overlapping(ranges))
        if guilty:
            several = len(guilty) > 1
            raise errors.InvalidIDMap(
                ", ".join(guilty),
                "it overlaps another range of the map",
                hint="give ranges that have no ID in common, inside or outside",
                go_text=f"the specified UID and/or GID mapping{'s' * several} {', '.join(guilty)} "
                f"conflict{'s' * (not several)} with other mappings: invalid mappings specified",
            )


def _overlapping(ranges: Sequence[IDRange]) -> Iterator[str]:
    """Yield the text of every range that overlaps an earlier one, inside or outside, as Go does."""
    inside: list[tuple[int, int]] = []
    outside: list[tuple[int, int]] = []
    for part in ranges:
        for taken, first in ((inside, part.container_id), (outside, part.host_id)):
            end = first + part.size
            if any(first < other_end and other < end for other, other_end in taken):
                yield format_ranges([part])
            else:
                taken.append((first, end))
