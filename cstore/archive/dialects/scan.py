"""Collect the facts about a layer's archive from its unpacked directory, in one walk that writes nothing.

The walk needs the original directory, because birth times show the order in which the archive was unpacked.
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
        path: its path without leading or trailing slash; empty for the root.
        status: its status on disk.
        owner: its user and group in the archive.
        link: the target of a symbolic link.
        xattrs: its attributes, without those of the storage driver.
        whiteout: it marks a file that the layer removes.
        opaque: it is a directory that hides an existing one below.
        birth: its creation time in nanoseconds; 0 if the file system does not record it.
        listed: its number in the walk.
        parent: its directory; None for the root.
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
        """The modification time in whole seconds."""
        return self.status.st_mtime_ns // 1_000_000_000

    @property
    def is_directory(self) -> bool:
        """Whether the file is a directory."""
        return not self.whiteout and stat.S_ISDIR(self.status.st_mode)


class Scan:
    """A layer's files.

    Attributes:
        tree: the layer's directory.
        root: the node of that directory.
        nodes: all other nodes except sockets, in the order in which the file system lists them.
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
            below: the directories of the layers below, nearest first.
            id_map: maps owners on disk to owners inside containers.
            changes: the layer's changes, if the tree also contains the files of the layers below.
            emptied: treat changed directories that lost all their former contents as removed and recreated.

        Raises:
            OSError: a file cannot be read.
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
        folders = {node.path: node for node in (self.root, *self.nodes)}
        for path in sorted(self._without_emptied(removed) if emptied else removed):
            # A whole tree has no whiteouts, so each has the status of its directory.
            above = folders.get(split_name(path)[0])
            if above is not None:
                self.nodes.append(Node(path, above.status, (0, 0), whiteout=True, listed=len(self.nodes), parent=above))

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
        """Make the directories opaque whose lower contents are all removed; return the other removals."""
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

    def _names(self, folder: Node) -> list[bytes]:
        with os.scandir(self.place(folder)) as entries:
            return [entry.name for entry in entries]

    def place(self, node: Node) -> bytes:
        """Return the path of a node on disk."""
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
        names: list[str] = []
        with suppress(OSError):
            names = sorted(os.listxattr(place, follow_symlinks=False))
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
    """Return the paths of changes, except of deletions, and of all directories that contain them."""
    found: set[bytes] = set()
    for change in changes:
        path = change.path[1:]
        if change.kind is ChangeKind.DELETE:
            path = split_name(path)[0]
        while path and path not in found:
            found.add(path)
            path = split_name(path)[0]
    return found
