"""Disk usage by owner: counts every inode once, and every run of blocks that files share once.

Bytes with one owner are kept as a number. Bytes that may have several owners, of an inode with several names or of a
shared extent, are kept with all their owners, so that the exclusive bytes of a set of owners are exact.
"""

from __future__ import annotations

import errno
import os
import stat
from bisect import bisect_left
from itertools import pairwise

from cstore.contexts import suppress
from cstore.fs.tree.measure import entries
from cstore.fs.tree.trail import Trail, open_root
from cstore.insight.metadata import Metadata
from cstore.kernel.btrfs import is_subvolume
from cstore.kernel.statfs import SHARE_BLOCKS, SMALL_FILES_IN_METADATA, filesystem_name
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable
    from typing import TypeVar

    from cstore.layout import Layout

    K = TypeVar("K", bound=Hashable)
    Rule = Callable[["Shared", set[Hashable]], bool]

_BLOCK = 512
_OTHER_DISK = 1 << 80
"""The block offset of a separate image store, which may be on another file system."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Shared(Value):
    """Bytes that several names or files share: the owners, in order of discovery, and whether all of them are known."""

    bytes: int
    owners: tuple[Hashable, ...]
    complete: bool


class Tally:
    """Counts bytes by owner.

    Attributes:
        unread: unreadable paths, each with the error.
        elsewhere: mount points of other file systems, whose contents are not counted.
        links: links in place of directories, whose targets are not counted either.
        extents_known: whether the file system reports shared blocks, if files can share any.
    """

    def __init__(self, layout: Layout) -> None:
        kinds: dict[str, str] = {}
        for root in layout.roots:
            with suppress(OSError):
                kinds[root] = filesystem_name(root)
        self._metadata = next((Metadata(root) for root, kind in kinds.items() if kind in SMALL_FILES_IN_METADATA), None)
        self._shares = any(kind in SHARE_BLOCKS for kind in kinds.values())
        self._apart = f"{layout.image_store}/" if layout.image_store else "\0"
        self._base = 0
        self._own: dict[Hashable, int] = {}
        self._du: dict[Hashable, int] = {}
        self._links: dict[Hashable, _Link] = {}
        self._folders: set[tuple[int, int]] = set()
        self._runs: list[tuple[int, int, Hashable]] = []
        self._snapshot = False
        self._extents = 0
        self._inline: dict[Hashable, _Inline] = {}
        self._unblocked: dict[Hashable, int] = {}
        self._shared: list[Shared] | None = None
        self._places: dict[Hashable, list[int]] = {}
        self.unread: list[tuple[str, OSError]] = []
        self.elsewhere: list[str] = []
        self.links: list[str] = []
        self.extents_known = True

    # ── counting ──

    def add(self, owner: Hashable, path: str, *, inside: bool = True) -> bool:
        """Count the file or tree at `path`; without `inside`, not the contents of a directory.

        Returns:
            Whether it is a directory whose contents remain to be counted, because of `inside`.
        """
        self._shared = None
        self._base = _OTHER_DISK if path.startswith(self._apart) else 0
        try:
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode):
                if stat.S_ISLNK(status.st_mode) and not inside:
                    self.links.append(path)
                self._count(owner, status, path, None)
                return False
            key = status.st_dev, status.st_ino
            if key in self._folders:  # a bind mount of a directory that is counted in its original place
                return False
            self._folders.add(key)
            if not inside:
                self._count(owner, status, path, None)
                return True
            if status.st_dev != os.lstat(os.path.dirname(path)).st_dev and not is_subvolume(status):
                self.elsewhere.append(path)
                return False
            self._snapshot = self._shares and is_subvolume(status)
            trail = Trail(path, open_root(path), quiet=True, bound=True)
        except OSError as error:
            self._failed(path, error)
            return False
        with trail:
            try:
                for name, found in entries(trail, self._failed, self._folders):
                    self._count(owner, found, name, trail)
            except OSError as error:
                self._failed(trail.where(), error)
            finally:
                self._snapshot = False
        return False

    def _failed(self, path: str, error: OSError) -> None:
        if error.errno == errno.EXDEV:
            self.elsewhere.append(path)
        elif error.errno != errno.ENOENT:  # a file that was removed in the meantime takes no space
            self.unread.append((path, error))

    def _count(self, owner: Hashable, status: os.stat_result, name: str, trail: Trail | None) -> None:
        self._extents = 0
        size = status.st_blocks * _BLOCK
        key = status.st_dev, status.st_ino
        if status.st_nlink <= 1 or stat.S_ISDIR(status.st_mode):
            self._du[owner] = self._du.get(owner, 0) + size
            if size and self._shares and stat.S_ISREG(status.st_mode):
                size -= self._shared_bytes(owner, status, name, trail)
            self._own[owner] = self._own.get(owner, 0) + size
        elif (link := self._links.get(key)) is not None:
            link.owners[owner] = None
            link.found += 1
        else:
            self._links[key] = link = _Link(owner, status.st_nlink)
            self._du[owner] = self._du.get(owner, 0) + size
            link.bytes = size - (self._shared_bytes(key, status, name, trail) if size else 0)
        if self._metadata is not None:
            self._metadata.add(owner, status, os.path.basename(name), self._extents, in_snapshot=self._snapshot)

    def _shared_bytes(self, holder: Hashable, status: os.stat_result, name: str, trail: Trail | None) -> int:
        """Record the extents that a file may share with others; return their bytes."""
        if not self._shares or not stat.S_ISREG(status.st_mode):
            return 0
        size = status.st_blocks * _BLOCK
        try:
            runs, inline, self._extents = _shared_extents(name, trail, size)
        except OSError as error:
            if error.errno in {errno.EOPNOTSUPP, errno.ENOTTY}:
                self.extents_known = False
            else:
                self._failed(trail.where(name) if trail else name, error)
            return 0
        if inline and status.st_nlink == 1:  # a file without blocks, stored inline in the metadata
            if not self._snapshot:
                self._unblocked[holder] = self._unblocked.get(holder, 0) + size
                return 0
            # A snapshot shares these values until the file changes; then, the ctime differs.
            key = self._base, status.st_ino, status.st_ctime_ns, status.st_size
            self._inline.setdefault(key, _Inline(size)).owners[holder] = None
            return size
        self._runs += ((self._base + start, self._base + end, holder) for start, end in runs)
        return sum(end - start for start, end in runs)

    # ── results ──

    def du(self, owner: Hashable) -> int:
        """Return the bytes of an owner as the command `du` counts them: each inode once, with all of its blocks."""
        return self._du.get(owner, 0)

    def once(self, owners: Iterable[K]) -> dict[K, int]:
        """Return the bytes of each owner. Shared blocks count for the first owner, so the order affects only these."""
        found = {owner: self._own.get(owner, 0) for owner in owners}
        for each in self.shared():
            for owner in each.owners[:1]:
                found[owner] += each.bytes  # type: ignore[index]  # only owners of the set
        return found

    def all_of(self, owners: Collection[Hashable]) -> int:
        """The bytes of a set of owners, including those shared with others."""
        return self._sum(owners, lambda each, wanted: not wanted.isdisjoint(each.owners))

    def only_of(self, owners: Collection[Hashable]) -> int:
        """The bytes that belong only to a set of owners."""
        return self._sum(owners, lambda each, wanted: each.complete and wanted.issuperset(each.owners))

    def freed_by(self, owners: Collection[Hashable]) -> int:
        """Return the bytes that deleting a set of owners frees: their exclusive bytes, with their btrfs metadata.

        Inline files take no blocks, although du(1) and all other methods here count one for each.
        """
        wanted = set(owners)
        unblocked = sum(self._unblocked.get(owner, 0) for owner in wanted)
        unblocked += sum(each.bytes for each in self._inline.values() if wanted.issuperset(each.owners))
        metadata = 0 if self._metadata is None else self._metadata.only_of(wanted)
        return self.only_of(wanted) - unblocked + metadata

    def has_shared_blocks(self) -> bool:
        """Whether a counted file shares blocks with other files, or may do so."""
        return bool(self._runs or self._inline)

    def _sum(self, owners: Collection[Hashable], counts: Rule) -> int:
        shared, wanted = self.shared(), set(owners)
        places = {place for owner in wanted for place in self._places.get(owner, ())}
        own = sum(self._own.get(owner, 0) for owner in wanted)
        return own + sum(shared[place].bytes for place in places if counts(shared[place], wanted))

    def shared(self) -> list[Shared]:
        """Return the bytes that may have several owners, in pieces with the same owners."""
        if self._shared is None:
            links = (Shared(link.bytes, tuple(link.owners), link.found >= link.names) for link in self._links.values())
            inline = (Shared(each.bytes, tuple(each.owners), complete=True) for each in self._inline.values())
            self._shared = [*links, *self._pieces(), *inline]
            self._places = {}
            for place, each in enumerate(self._shared):
                for owner in each.owners:
                    self._places.setdefault(owner, []).append(place)
        return self._shared

    def _pieces(self) -> list[Shared]:
        """Split the runs at all boundaries. A run of only one counted file is shared with an uncounted file."""
        edges = sorted({edge for start, end, _ in self._runs for edge in (start, end)})
        found: list[dict[Hashable, int]] = [{} for _ in edges]
        for start, end, holder in self._runs:
            link = self._links.get(holder)
            owners = (holder,) if link is None else tuple(link.owners)
            for place in range(bisect_left(edges, start), bisect_left(edges, end)):
                for owner in owners:
                    found[place][owner] = found[place].get(owner, 0) + 1
        return [
            Shared(end - start, tuple(owners), sum(owners.values()) > 1)
            for (start, end), owners in zip(pairwise(edges), found, strict=False)
            if owners
        ]


class _Link:
    """An inode with several names: its own bytes, its owners, its link count, and the number of names found."""

    def __init__(self, owner: Hashable, names: int) -> None:
        self.owners: dict[Hashable, None] = {owner: None}
        self.names, self.found, self.bytes = names, 1, 0


class _Inline:
    """A file without blocks, and its copies in snapshots, with its bytes as du(1) counts them."""

    def __init__(self, size: int) -> None:
        self.owners: dict[Hashable, None] = {}
        self.bytes = size


def _shared_extents(name: str, trail: Trail | None, size: int) -> tuple[list[tuple[int, int]], bool, int]:
    """Return the start and end of the shared extents of a file, whether it has no blocks, and its number of extents.

    The number includes shared extents and those of the file alone.

    The extents of a compressed file are as long as its contents, so each is shortened to its size on the disk.

    Raises:
        OSError: the file cannot be opened, or the file system does not report extents.
    """
    from cstore.kernel.ioctl import EXTENT_INLINE, EXTENT_SHARED, EXTENT_UNKNOWN, extents

    folder = None if trail is None else trail.here
    try:
        fd = os.open(name, _FLAGS | os.O_NOATIME, dir_fd=folder)
    except PermissionError:
        fd = os.open(name, _FLAGS, dir_fd=folder)
    try:
        found = extents(fd)
    finally:
        os.close(fd)
    length = sum(each.length for each in found)
    if not length:
        return [], False, 0
    part = min(1.0, size / length)
    nowhere = EXTENT_INLINE | EXTENT_UNKNOWN
    wanted = (each for each in found if each.flags & EXTENT_SHARED and not each.flags & nowhere)
    runs = [(each.physical, each.physical + int(each.length * part)) for each in wanted if int(each.length * part)]
    return runs, (inline := all(each.flags & EXTENT_INLINE for each in found)), 0 if inline else len(found)
