"""Estimates the space of files in the metadata of btrfs, by counting the items of each file.

Items lie in leaves, most of which are not full; a disk may keep each leaf twice. So this is an estimate: it is small
beside the data of most layers, but several percent of it where files are small.
"""

from __future__ import annotations

import os
import stat

from cstore.kernel.btrfs import metadata_copies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

_HEAD = 25
"""Bytes of an item's key and place in its leaf."""
_INODE = 160 + _HEAD
_NAME = (10 + _HEAD) + 2 * (30 + _HEAD)
"""A reference from the inode, and two entries of the directory; the name is in each."""
_CONTENTS = 21 + _HEAD
_EXTENT = (53 + _HEAD) + (53 + _HEAD)
"""An extent of a file, and the same extent of the disk."""
_CHECKSUM, _BLOCK = 4, 4096
_FULL, _FULL_OF_CONTENTS = 0.80, 0.86
"""How much of a leaf is taken, as seen on disks with layers; the second where it has small files themselves."""
_NODES_OF_TREE = 3 << 14
"""Bytes of what a snapshot shares with no other in any case: its root, and leaves that have something else in them."""
_SECTOR = 512


class Metadata:
    """Counts the items of files by owner. Items shared by snapshots keep all owners."""

    def __init__(self, root: str) -> None:
        self._copies = metadata_copies(root)
        self._trees: set[Hashable] = set()
        self._own: dict[Hashable, int] = {}
        self._common: dict[Hashable, tuple[int, tuple[Hashable, ...]]] = {}

    def add(self, owner: Hashable, status: os.stat_result, name: str, extents: int, *, in_snapshot: bool) -> None:
        """Count a name of a file with so many extents; 0 if it has none, or has its contents among the metadata.

        A snapshot has the same items until they are changed, which shows in the file's time of change.
        """
        blocks, full = status.st_blocks * _SECTOR, _FULL
        size = _NAME + 3 * len(os.fsencode(name)) + _INODE // max(status.st_nlink, 1)
        if extents:
            size += extents * _EXTENT + blocks // _BLOCK * _CHECKSUM
        elif blocks or stat.S_ISLNK(status.st_mode):
            size, full = size + _CONTENTS + status.st_size, _FULL_OF_CONTENTS
        size = int(size / full)
        if not in_snapshot:
            self._own[owner] = self._own.get(owner, 0) + size
            return
        self._trees.add(owner)
        key = status.st_ino, status.st_ctime_ns, status.st_size, name if status.st_nlink > 1 else ""
        _, owners = self._common.get(key, (0, ()))
        if owner not in owners:
            self._common[key] = size, (*owners, owner)

    def only_of(self, owners: set[Hashable]) -> int:
        """Return the bytes on disk that belong only to a set of owners."""
        size = sum(self._own.get(owner, 0) for owner in owners) + len(self._trees & owners) * _NODES_OF_TREE
        size += sum(size for size, theirs in self._common.values() if owners.issuperset(theirs))
        return int(size * self._copies)
