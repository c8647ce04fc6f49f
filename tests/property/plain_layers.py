"""A plain model of layers: what a chain of archives is as one tree, by the OCI image specification and nothing else.

An archive is applied to a tree entry by entry. What the specification leaves open is answered as the manual does: a
link that the archive itself has made is followed, a link or a file of a layer below gives way to a directory, and a
directory that no entry lists stays as it is.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.builders import Entry, Fact

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
XATTR = b"SCHILY.xattr."
MOST_LINKS = 40


class Refused(Exception):
    """The archive cannot be applied."""


class Nowhere(Exception):
    """A directory that is not there."""


@dataclass(eq=False)
class Node:
    """A file; several names may have it. `mtime` is None where it is that of the import."""

    kind: str
    mode: int
    owner: int
    mtime: int | None
    content: bytes = b""
    xattrs: dict[str, bytes] = field(default_factory=dict)


def new_directory() -> Node:
    """A directory that nobody has said anything about."""
    return Node("d", 0o755, 0, None)


class Tree:
    """Paths → nodes; the root is ""."""

    def __init__(self) -> None:
        root = new_directory()
        root.mode = 0o555
        self.nodes: dict[str, Node] = {"": root}
        self._ours: set[str] = set()
        self._made: set[str] = set()

    def snapshot(self) -> dict[str, Node]:
        """The tree as it is, with files of several names as such."""
        return copy.deepcopy(self.nodes)

    def apply(self, entries: Sequence[Entry]) -> None:
        """Apply an archive. Raises Refused."""
        self._ours, self._made = set(), set()
        for entry in entries:
            path = entry.name.decode().removeprefix("./").strip("/")
            folder, _, base = path.rpartition("/")
            if base.startswith(WHITEOUT):
                self._remove(folder, base)
            elif entry.type == b"5":
                self._directory(folder, base, entry)
            elif entry.type == b"1":
                self._link(self._place(folder, base), entry)
            else:
                self._put(self._place(folder, base), node_of(entry))

    # ── ways ──

    def _place(self, folder: str, base: str) -> str:
        try:
            return joined(self._enter(folder, make=True), base)
        except Nowhere:
            raise Refused from None

    def _enter(self, folder: str, *, make: bool, all_links: bool = False) -> str:
        """The directory that a path means."""
        current, links = "", 0
        pending = [(part, False) for part in reversed(folder.split("/"))]
        while pending:
            part, from_link = pending.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                current = current.rpartition("/")[0]
                continue
            path = joined(current, part)
            node = self.nodes.get(path)
            ours = path in self._ours
            if node is not None and node.kind == "l" and (ours or all_links):
                links += 1
                if links > MOST_LINKS:
                    raise Nowhere
                text = node.content.decode()
                current = "" if text.startswith("/") else current
                pending += [(piece, True) for piece in reversed(text.split("/"))]
                continue
            if node is None or node.kind != "d":
                if not make or from_link or (node is not None and ours):
                    raise Nowhere
                self._drop(path)
                self.nodes[path] = new_directory()
                self._made.add(path)
            current = path
        return current

    # ── entries ──

    def _put(self, path: str, node: Node) -> None:
        self._drop(path)
        self.nodes[path] = node
        self._ours.add(path)

    def _directory(self, folder: str, base: str, entry: Entry) -> None:
        path = self._place(folder, base) if base else ""
        there, node = self.nodes.get(path), node_of(entry)
        if there is None or there.kind != "d":
            self._put(path, node)
            return
        if path in self._ours or path in self._made:
            node.xattrs = {**there.xattrs, **node.xattrs}
        self.nodes[path] = node
        self._ours.add(path)

    def _link(self, path: str, entry: Entry) -> None:
        folder, _, base = entry.linkname.decode().strip("/").rpartition("/")
        try:
            target = joined(self._enter(folder, make=False, all_links=True), base)
        except Nowhere:
            raise Refused from None
        node = self.nodes.get(target)
        if node is None or node.kind == "d":
            raise Refused
        said = node_of(entry)
        node.owner = said.owner
        node.xattrs.update(said.xattrs)
        if node.kind != "l":
            node.mode, node.mtime = said.mode, said.mtime
        if self.nodes.get(path) is node:
            self._ours.add(path)
        else:
            self._put(path, node)

    # ── removals ──

    def _remove(self, folder: str, base: str) -> None:
        try:
            where = self._enter(folder, make=False)
        except Nowhere:
            return
        if base == OPAQUE:
            for path in self._children(where):
                self._forget(path)
        else:
            self._forget(joined(where, base.removeprefix(WHITEOUT)))

    def _forget(self, path: str) -> None:
        """Remove what other layers made."""
        node = self.nodes.get(path)
        if node is None:
            return
        for child in self._children(path):
            self._forget(child)
        if path in self._ours:
            return
        if node.kind != "d" or not self._children(path):
            del self.nodes[path]
        else:
            made = new_directory()
            self.nodes[path] = node if path in self._made else made
            self._made.add(path)

    def _children(self, path: str) -> list[str]:
        return [each for each in self.nodes if each and each.rpartition("/")[0] == path]

    def _drop(self, path: str) -> None:
        for each in [each for each in self.nodes if each == path or each.startswith(path + "/")]:
            del self.nodes[each]


def joined(folder: str, base: str) -> str:
    """A path from its parts."""
    return f"{folder}/{base}" if folder else base


def node_of(entry: Entry) -> Node:
    """What an entry says."""
    kind = {b"0": "-", b"5": "d", b"2": "l", b"6": "p", b"1": "-"}[entry.type]
    xattrs = {key[len(XATTR) :].decode(): value for key, value in entry.pax.items() if key.startswith(XATTR)}
    content = entry.linkname if kind == "l" else entry.body
    mode = 0o777 if kind == "l" else entry.mode
    return Node(kind, mode, entry.uid, entry.mtime * 10**9, content, xattrs)


def faults(nodes: Mapping[str, Node], facts: Mapping[bytes, Fact], contents: Mapping[bytes, bytes]) -> Iterator[str]:
    """Say how a real tree differs from a model."""
    paths = {"" if path == b"." else path.decode(): path for path in facts}
    groups: dict[int, list[bytes]] = {}
    for path, node in nodes.items():
        groups.setdefault(id(node), []).append(path.encode())
    for path in sorted({*nodes, *paths}):
        if path not in nodes or path not in paths:
            yield f"/{path} is {'missing' if path in nodes else 'too much'}"
            continue
        node, fact = nodes[path], facts[paths[path]]
        said = (node.kind, node.mode, (node.owner, node.owner), tuple(sorted(node.xattrs.items())))
        found = (fact.kind, fact.mode, fact.owner, fact.xattrs)
        if said != found:
            yield f"/{path} is {found} instead of {said}"
        if node.mtime is not None and fact.mtime not in {None, node.mtime}:
            yield f"/{path} has the time {fact.mtime} instead of {node.mtime}"
        if node.kind == "-" and contents[paths[path]] != node.content:
            yield f"/{path} has other contents"
        if node.kind == "l" and fact.content != repr(node.content):
            yield f"/{path} leads to {fact.content}"
        if node.kind != "d" and sorted(fact.links) != sorted(groups[id(node)]):
            yield f"/{path} is one with {fact.links} instead of {groups[id(node)]}"
