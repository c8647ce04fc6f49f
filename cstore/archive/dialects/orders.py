"""Guess the order that a layer's files had in its archive."""

from __future__ import annotations

import stat
from itertools import islice, pairwise, permutations, product
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

from cstore.archive.dialects.table import Order
from cstore.archive.names import split_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cstore.archive.dialects.scan import Node

_Key: TypeAlias = tuple[int, Any]
_Moment: TypeAlias = tuple[int, int, int]
"""When a name was created: the time; within a clock tick, the inode number; and 1 if it was right after that inode."""

_MOST = 256
"""The number of orders by birth that are tried."""
_LONGEST_GROUP = 4
"""The number of names of one file up to which all their orders are tried."""
_MOST_PLACES = 12
_MOST_CHOICES = 5000
"""The number of ways that are tried to place the names of all files with several."""


def orders(order: Order, nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Yield the possible orders of a kind, the likeliest first; at least one."""
    if order is Order.WALK:
        yield sorted(nodes, key=lambda node: node.path.split(b"/"))
    elif order is Order.PATH:
        yield sorted(nodes, key=lambda node: node.path)
    elif order is Order.LISTED:
        yield list(nodes)
    else:
        yield from islice(_by_birth(nodes), _MOST)


def _by_birth(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Yield orders by birth time. Of files from the same clock tick, those in the same directory stay together.

    All names of a file share its birth time. It is unknown which was the first; the last one was created when the
    inode last changed.
    """
    seen: set[tuple[int, ...]] = set()
    for moments in _moments(nodes):
        for found in _sorted(nodes, moments):
            times = [moments[node][0] for node in found]
            if any(one > other for one, other in pairwise(times)):
                continue  # the times contradict this order; the last order always passes
            mark = tuple(node.listed for node in found)
            if mark not in seen:
                seen.add(mark)
                yield found


def _sorted(nodes: Sequence[Node], moments: dict[Node, _Moment]) -> Iterator[list[Node]]:
    inodes: dict[Node, _Key] = {node: (moments[node][0], moments[node][1:]) for node in nodes}
    paths: dict[Node, _Key] = {node: (moments[node][0], node.path) for node in nodes}
    listed: dict[Node, _Key] = {node: (moments[node][0], node.listed) for node in nodes}
    for keys in (inodes, paths, listed):
        yield _depth_first(nodes, keys.__getitem__)
        yield _whole_folders(nodes, keys.__getitem__)
        yield _whole_folders(nodes, keys.__getitem__, given=True)
    yield sorted(nodes, key=inodes.__getitem__)


def _depth_first(nodes: Sequence[Node], key: Callable[[Node], _Key]) -> list[Node]:
    """Sort the names of each directory; the contents of a subdirectory follow it directly."""
    children = _children(nodes, key)
    found: list[Node] = []
    stack = children.get(b"", [])[::-1]
    while stack:
        node = stack.pop()
        found.append(node)
        if node.is_directory:
            stack += children.get(node.path, [])[::-1]
    return found if len(found) == len(nodes) else sorted(nodes, key=key)


def _whole_folders(nodes: Sequence[Node], key: Callable[[Node], _Key], *, given: bool = False) -> list[Node]:
    """Sort like libarchive: all names of a directory, then the contents of the last directory among them.

    `given`: the top-level names were passed to it one by one, so each is a separate tree.
    """
    children = _children(nodes, key)
    found: list[Node] = []
    for top in [[node] for node in children.get(b"", [])] if given else [children.get(b"", [])]:
        found += top
        folders = [node.path for node in top if node.is_directory]
        while folders:
            names = children.get(folders.pop(), [])
            found += names
            folders += [node.path for node in names if node.is_directory]
    return found if len(found) == len(nodes) else sorted(nodes, key=key)


def _children(nodes: Sequence[Node], key: Callable[[Node], _Key]) -> dict[bytes, list[Node]]:
    children: dict[bytes, list[Node]] = {}
    for node in nodes:
        children.setdefault(split_name(node.path)[0], []).append(node)
    for each in children.values():
        each.sort(key=key)
    return children


def _moments(nodes: Sequence[Node]) -> Iterator[dict[Node, _Moment]]:
    """Yield the possible creation times of all names, the likeliest first."""
    groups: dict[int, list[Node]] = {}
    for node in nodes:
        if node.status.st_nlink > 1 and not node.whiteout and not stat.S_ISDIR(node.status.st_mode):
            groups.setdefault(node.status.st_ino, []).append(node)
    choices = [_of_group(group, nodes) for group in groups.values() if len(group) > 1]
    plain = {node: (node.birth, node.status.st_ino, 0) for node in nodes}
    while prod(map(len, choices)) > _MOST_CHOICES:
        longest = max(choices, key=len)
        del longest[len(longest) // 2 :]
    # Each group's choices begin with the likeliest.
    for numbers in sorted(product(*(range(len(each)) for each in choices)), key=sum):
        moments = dict(plain)
        for each, number in zip(choices, numbers, strict=True):
            moments.update(each[number])
        yield moments


def _of_group(group: list[Node], nodes: Sequence[Node]) -> list[dict[Node, _Moment]]:
    found: list[tuple[int, dict[Node, _Moment]]] = []
    ordered = sorted(group, key=lambda node: node.path.split(b"/"))
    last_change, inode = ordered[0].status.st_ctime_ns, ordered[0].status.st_ino
    for names in permutations(ordered) if len(group) <= _LONGEST_GROUP else (ordered,):
        first, *between, last = names
        if first.parent is not None and first.parent.birth > first.birth:
            continue  # the directory did not exist yet
        places = [_places(node, nodes, last_change) for node in between]
        ends = [(last_change + near, inode, 1) for near in (0, 1, -1)]
        # The last name may follow any inode that was created in the same directory and clock tick.
        ends += [
            (last_change, beside, 1)
            for beside in sorted(
                other.status.st_ino for other in nodes if other.parent is last.parent and other.birth == last_change
            )
        ]
        for chosen in islice(product(*places), _MOST_PLACES):
            early = {first: first.birth, **dict(zip(between, chosen, strict=True))}
            moments = {node: (birth, inode, 0) for node, birth in early.items()}
            found += [(rank, {**moments, last: end}) for rank, end in enumerate(ends)]
    return [each for _, each in sorted(found, key=lambda each: each[0])]


def _places(node: Node, nodes: Sequence[Node], end: int) -> list[int]:
    """Return the times when a middle name may have been created: after the first name, or after a neighbor."""
    neighbors = {other.birth + 1 for other in nodes if other.parent is node.parent and node.birth < other.birth < end}
    return [node.birth + 1, *sorted(neighbors)[:_MOST_PLACES]]
