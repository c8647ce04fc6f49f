"""Orders in which a layer's files may have stood in its archive."""

from __future__ import annotations

import stat
from itertools import islice, pairwise, permutations, product
from typing import TYPE_CHECKING, Any, TypeAlias

from cstore.archive.dialects.table import Order
from cstore.archive.names import split_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cstore.archive.dialects.scan import Node

_Key: TypeAlias = tuple[int, Any]

_MOST = 64
"""Orders by birth that are tried."""
_LONGEST_GROUP = 4
"""Names of one file whose orders are all tried."""
_MOST_PLACES = 12


def orders(order: Order, nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Give the possible orders of a kind, the likeliest first; at least one."""
    if order is Order.WALK:
        yield sorted(nodes, key=lambda node: node.path.split(b"/"))
    elif order is Order.PATH:
        yield sorted(nodes, key=lambda node: node.path)
    elif order is Order.LISTED:
        yield list(nodes)
    else:
        yield from islice(_by_birth(nodes), _MOST)


def _by_birth(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """As the files came to be. Many may have been made in one tick of the clock: a directory's contents stay together.

    All names of a file share its time of birth. Which one was first is lost; the last one was made when the file was
    last changed.
    """
    seen: set[tuple[int, ...]] = set()
    for births in _births(nodes):
        for found in _sorted(nodes, births):
            times = [births[node] for node in found]
            if any(one > other for one, other in pairwise(times)):
                continue  # it was not unpacked in this order; the last of them always passes
            mark = tuple(node.listed for node in found)
            if mark not in seen:
                seen.add(mark)
                yield found


def _sorted(nodes: Sequence[Node], births: dict[Node, int]) -> Iterator[list[Node]]:
    inodes: dict[Node, _Key] = {node: (births[node], node.status.st_ino) for node in nodes}
    paths: dict[Node, _Key] = {node: (births[node], node.path) for node in nodes}
    listed: dict[Node, _Key] = {node: (births[node], node.listed) for node in nodes}
    for keys in (inodes, paths, listed):
        yield _depth_first(nodes, keys.__getitem__)
        yield _depth_first(nodes, keys.__getitem__, whole_folders=True)
    yield sorted(nodes, key=inodes.__getitem__)


def _depth_first(nodes: Sequence[Node], key: Callable[[Node], _Key], *, whole_folders: bool = False) -> list[Node]:
    """Sort each directory's names, with what is in a directory right behind it.

    With `whole_folders` all names of a directory come first, then what is in the last directory among them, as
    libarchive writes a tree.
    """
    children: dict[bytes, list[Node]] = {}
    for node in nodes:
        children.setdefault(split_name(node.path)[0], []).append(node)
    for each in children.values():
        each.sort(key=key)
    found: list[Node] = []
    if whole_folders:
        folders = [b""]
        while folders:
            names = children.get(folders.pop(), [])
            found += names
            folders += [node.path for node in names if node.is_directory]
    else:
        stack = children.get(b"", [])[::-1]
        while stack:
            node = stack.pop()
            found.append(node)
            if node.is_directory:
                stack += children.get(node.path, [])[::-1]
    return found if len(found) == len(nodes) else sorted(nodes, key=key)


def _births(nodes: Sequence[Node]) -> Iterator[dict[Node, int]]:
    """When each name was made, as far as that can be told."""
    groups: dict[int, list[Node]] = {}
    for node in nodes:
        if node.status.st_nlink > 1 and not node.whiteout and not stat.S_ISDIR(node.status.st_mode):
            groups.setdefault(node.status.st_ino, []).append(node)
    choices = [list(_of_group(group, nodes)) for group in groups.values() if len(group) > 1]
    plain = {node: node.birth for node in nodes}
    for chosen in product(*choices):
        births = dict(plain)
        for each in chosen:
            births.update(each)
        yield births


def _of_group(group: list[Node], nodes: Sequence[Node]) -> Iterator[dict[Node, int]]:
    ordered = sorted(group, key=lambda node: node.path.split(b"/"))
    last_change = ordered[0].status.st_ctime_ns
    for names in permutations(ordered) if len(group) <= _LONGEST_GROUP else (ordered,):
        first, *between, last = names
        if first.parent is not None and first.parent.birth > first.birth:
            continue  # there was no such directory yet
        places = [_places(node, nodes, last_change) for node in between]
        for chosen in islice(product(*places), _MOST_PLACES):
            for near in (-1, 1):
                yield {first: first.birth, **dict(zip(between, chosen, strict=True)), last: last_change + near}


def _places(node: Node, nodes: Sequence[Node], end: int) -> list[int]:
    """Times at which a middle name may have been made: behind the first, or behind a neighbor."""
    neighbors = {other.birth + 1 for other in nodes if other.parent is node.parent and node.birth < other.birth < end}
    return [node.birth + 1, *sorted(neighbors)[:_MOST_PLACES]]
