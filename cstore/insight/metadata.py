"""An estimate of the space that files take in the metadata of btrfs, from the items of each file.

Items are stored in leaves, most of which are not full, and a disk may keep each leaf twice. Therefore, this is an
estimate: it is small compared to the data of most layers, but several percent of it if files are small.
"""

from __future__ import annotations

import os
import stat

from cstore.kernel.btrfs import metadata_copies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable

_HEAD = 25
"""The size of an item's key and of its position in the leaf."""
_INODE = 160 + _HEAD
_NAME = (10 + _HEAD) + 2 * (30 + _HEAD)
"""The size of an inode reference and two directory entries; each contains the name."""
_CONTENTS = 21 + _HEAD
_EXTENT = (53 + _HEAD) + (53 + _HEAD)
"""The size of a file extent and of the corresponding disk extent."""
_CHECKSUM, _BLOCK = 4, 4096
_FULL, _FULL_OF_CONTENTS = 0.80, 0.86
"""The filled part of a leaf, as observed on disks with layers; the second for leaves that contain small files."""
_NODES_OF_TREE = 3 << 14
"""Bytes of a snapshot that are never shared: its root, and leaves that also contain other items."""
_SECTOR = 512


class Metadata:
    """Counts the items of files by owner. Items that snapshots share keep all owners."""

    def __init__(self, root: str) -> None:
        self._copies = metadata_copies(root)
        self._trees: set[Hashable] = set()
        self._own: dict[Hashable, int] = {}
        self._common: dict[Hashable, tuple[int, tuple[Hashable, ...]]] = {}

    def add(self, owner: Hashable, status: os.stat_result, name: str, extents: int, *, in_snapshot: bool) -> None:
        """Count a name of a file with a number of extents: 0 for an empty file, or one stored inline in the metadata.

        A snapshot shares the items until the file changes; then, the file's ctime differs.
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
