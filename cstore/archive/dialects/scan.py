"""Collects what an unpacked layer shows of its archive: one walk through its directory that writes nothing.

Birth times show the order of unpacking, so a copy of the directory would not work.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cstore.archive.changes import Change, ChangeKind
from cstore.archive.names import join_name, split_name
from cstore.archive.whiteout import OPAQUE_VALUE, is_whiteout_device
from cstore.archive.xattrs import inside
from cstore.kernel.files import birth_time

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cstore.archive.xattrs import Attributes
    from cstore.idmap import IDMap

_OPAQUE = (b"trusted.overlay.opaque", b"user.overlay.opaque")
_DRIVERS = (b"trusted.overlay.", b"user.overlay.", b"user.containers.override_stat", b"security.selinux")


@dataclass(slots=True, eq=False)
class Node:
    """A file of the layer.

    Attributes:
        path: without a leading or trailing slash; empty for the root.
        status: as on the disk.
        owner: user and group as the archive has them.
        link: where a symbolic link leads.
        xattrs: without those of the storage driver.
        whiteout: it stands for something that the layer removes.
        opaque: the layer hides all that is in the directory below, and there is such a directory.
        birth: when it was made, in nanoseconds; 0 if the file system does not know.
        listed: its number in the walk.
    """

    path: bytes
    status: os.stat_result
    owner: tuple[int, int]
    link: bytes = b""
    xattrs: Attributes = ()
    whiteout: bool = False
    opaque: bool = False
    birth: int = 0
    listed: int = 0
    parent: Node | None = field(default=None, repr=False)

    @property
    def seconds(self) -> int:
        """Its time in whole seconds."""
        return self.status.st_mtime_ns // 1_000_000_000

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return not self.whiteout and stat.S_ISDIR(self.status.st_mode)


class Scan:
    """A layer's files.

    Attributes:
        tree: the directory.
        root: its own node.
        nodes: all others, in the order in which the file system lists them, sockets left out.
    """

    def __init__(
        self,
        tree: str,
        below: Sequence[str],
        id_map: IDMap,
        changes: Collection[Change] | None = None,
        *,
        emptied: bool = False,
    ) -> None:
        """Walk through `tree`.

        Args:
            tree: the layer's own directory.
            below: those of the layers below, nearest first.
            id_map: which owners inside containers the owners on disk are.
            changes: what the layer changes, where the tree has all that is below, too.
            emptied: directories among them whose former contents are all gone were removed and made again.

        Raises:
            OSError: something cannot be read.
            InvalidIDMap: an owner is not in the map.
        """
        self.tree = os.fsencode(tree)
        self._below = [os.fsencode(path) for path in below]
        self._map = id_map
        self._only = None if changes is None else _with_folders(changes)
        self.nodes: list[Node] = []
        self.root = self._node(b"", None)
        self._walk(self.root)
        removed = {change.path[1:] for change in changes or () if change.kind is ChangeKind.DELETE}
        self._add_removals(self._without_emptied(removed) if emptied else removed)

    def _walk(self, root: Node) -> None:
        stack = [(root, iter(self._names(root)))]
        while stack:
            folder, names = stack[-1]
            name = next(names, None)
            if name is None:
                stack.pop()
                continue
            node = self._node(join_name(folder.path, name), folder)
            if stat.S_ISSOCK(node.status.st_mode):
                continue
            if self._only is None or node.path in self._only:
                node.listed = len(self.nodes)
                self.nodes.append(node)
            if node.is_directory:
                stack.append((node, iter(self._names(node))))

    def _without_emptied(self, removed: set[bytes]) -> set[bytes]:
        """Make a directory opaque if everything below it is removed; return the other removals."""
        left = set(removed)
        folders = {split_name(path)[0] for path in removed}
        for node in self.nodes:
            if node.path in folders and node.is_directory:
                with suppress(OSError), os.scandir(join_name(self._below[0], node.path)) as entries:
                    every = {join_name(node.path, entry.name) for entry in entries}
                    if every <= removed:
                        node.opaque = True
                        left -= every
        return left

    def _add_removals(self, paths: Collection[bytes]) -> None:
        """Add whiteouts for what is not in a tree that is whole; nothing is left of them but their directories."""
        folders = {node.path: node for node in (self.root, *self.nodes)}
        for path in sorted(paths):
            parent = folders.get(split_name(path)[0])
            if parent is not None:
                self.nodes.append(
                    Node(path, parent.status, (0, 0), whiteout=True, listed=len(self.nodes), parent=parent)
                )

    def _names(self, folder: Node) -> list[bytes]:
        with os.scandir(self.place(folder)) as entries:
            return [entry.name for entry in entries]

    def place(self, node: Node) -> bytes:
        """Where a node is."""
        return join_name(self.tree, node.path) if node.path else self.tree

    def _node(self, path: bytes, parent: Node | None) -> Node:
        place = join_name(self.tree, path) if path else self.tree
        status = os.lstat(place)
        whiteout = is_whiteout_device(status)
        owner = (status.st_uid, status.st_gid)
        if self._map and not whiteout:
            owner = self._map.to_container(*owner)
        node = Node(path, status, owner, whiteout=whiteout, birth=birth_time(place), parent=parent)
        if stat.S_ISLNK(status.st_mode):
            node.link = os.readlink(place)
        names = _attribute_names(place)
        if names:
            found = ((os.fsencode(name), os.getxattr(place, name, follow_symlinks=False)) for name in names)
            every = tuple(found)
            node.opaque = any(key in _OPAQUE and value == OPAQUE_VALUE for key, value in every) and self._hides(path)
            node.xattrs = inside(tuple(pair for pair in every if not pair[0].startswith(_DRIVERS)), self._map)
        return node

    def _hides(self, path: bytes) -> bool:
        for tree in self._below:
            try:
                return not is_whiteout_device(os.lstat(join_name(tree, path)))
            except OSError:
                continue
        return False


def _with_folders(changes: Collection[Change]) -> set[bytes]:
    """The paths of changes, and of all directories that lead to them."""
    found: set[bytes] = set()
    for change in changes:
        path = change.path[1:]
        if change.kind is ChangeKind.DELETE:
            path = split_name(path)[0]
        while path and path not in found:
            found.add(path)
            path = split_name(path)[0]
    return found


def _attribute_names(place: bytes) -> list[str]:
    try:
        return sorted(os.listxattr(place, follow_symlinks=False))
    except OSError:
        return []
