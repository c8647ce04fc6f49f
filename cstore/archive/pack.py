"""Write a tree as a tar (archive 8): all of it, or its changes relative to another tree.

The archive is the one that the Go tool would make of the same tree, except that no entry is ever missing: a file that
cannot be read ends the stream with an error.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from cstore.archive import xattrs
from cstore.archive.changes import Change, ChangeKind
from cstore.archive.directories import Directories, Kind, names_in, open_quietly
from cstore.archive.names import join_name, split_name
from cstore.archive.override import split
from cstore.archive.pipeline import PipelinedSink
from cstore.archive.tar import writer
from cstore.archive.tar.writer import Entry, header_blocks, plain_file
from cstore.archive.whiteout import (
    OPAQUE_NAME,
    OPAQUE_VALUE,
    WHITEOUT_PREFIX,
    WhiteoutForm,
    is_whiteout_device,
    is_whiteout_name,
    whiteout_name,
)
from cstore.errors import InvalidIDMap, SystemFailure, Unsupported
from cstore.idmap import IDENTITY, IDMap
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cstore.archive.streams import Sink

_SECOND = 1_000_000_000
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DISGUISED = frozenset({stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO})
"""Types that may be stored as an empty file with an attribute."""


def pack_tree(
    tree: str,
    sink: Sink,
    id_map: IDMap = IDENTITY,
    *,
    form: WhiteoutForm = WhiteoutForm.PLAIN,
    hides: Callable[[bytes], bool] = lambda _: False,
    one_device: bool = False,
    no_layer: bool = False,
    gone_at: float | None = None,
) -> None:
    """Write all of `tree` except its root as a tar: depth-first, in byte order of the names.

    Sockets are left out. Marks of a union file system become whiteouts in the same place (archive 8.3).

    Args:
        tree: a directory.
        sink: takes the tar.
        id_map: maps owners on disk to owners inside containers.
        form: how `tree` represents removals.
        hides: returns whether an opaque directory at a path hides anything.
        one_device: write mount points as empty directories.
        no_layer: the tree is not a layer's: refuse a file with a whiteout's name, which would be lost on unpacking.
        gone_at: the time of whiteouts in seconds since 1970; the times of the marks by default.

    Raises:
        SystemFailure: a file cannot be read, or changed while it was read.
        InvalidIDMap: an owner, or the root of a file capability's namespace, is not in `id_map`.
        Unsupported: a tar cannot hold an entry's extended attributes, or its name if the tree is not a layer's.
    """
    with Directories(tree) as directories, PipelinedSink(sink) as out:
        packing = _Packing(directories, out, id_map, form, hides)
        packing.gone_at = gone_at
        for folder, name, kind in _walk(directories, one_device=one_device):
            if no_layer and is_whiteout_name(name):
                reason = f"{directories.shown(join_name(folder, name))} would be taken for a whiteout in an archive"
                raise Unsupported(reason, hint="rename it, or move it away")
            packing.add(folder, name, kind)
        out.write(writer.END)


def pack_changes(
    tree: str,
    base: str | None,
    changes: Iterable[Change],
    sink: Sink,
    id_map: IDMap = IDENTITY,
    *,
    now: float | None = None,
) -> None:
    """Write the `changes` in `tree` as a tar; a deletion becomes a whiteout.

    The order is byte order of the paths, or depth-first if there was no `base` (archive 8.1).

    Args:
        tree: the changed tree.
        base: the tree that it was compared with.
        changes: the result of that comparison.
        sink: takes the tar.
        id_map: as for `pack_tree`.
        now: the time of the whiteouts in seconds since 1970; the current time by default.

    Raises:
        SystemFailure: a file cannot be read, no longer exists, or changed while it was read.
        InvalidIDMap: an owner, or the root of a file capability's namespace, is not in `id_map`.
        Unsupported: a tar cannot hold an entry's extended attributes.
    """
    moment = int((time.time() if now is None else now) + 0.5)
    ordered = sorted(changes, key=lambda change: change.path.split(b"/") if base is None else [change.path])
    with Directories(tree) as directories, PipelinedSink(sink) as out:
        packing = _Packing(directories, out, id_map, WhiteoutForm.PLAIN, lambda _: False)
        for change in ordered:
            folder, name = split_name(change.path[1:])
            if change.kind is ChangeKind.DELETE:
                gone = join_name(folder, whiteout_name(name))
                out.write(header_blocks(Entry(gone, writer.REGULAR, 0, 0, 0, mtime=moment)))
            else:
                packing.add(folder, name, Kind.OTHER)
        out.write(writer.END)


def _walk(tree: Directories, *, one_device: bool = False) -> Iterator[tuple[bytes, bytes, Kind]]:
    """Yield everything below the root: the folder, the name, and the kind that the folder records."""
    device = os.fstat(tree.descriptor(b"")).st_dev
    stack = [(b"", _names(tree, b""))]
    while stack:
        folder, names = stack[-1]
        for name, kind in names:
            yield folder, name, kind
            if kind is Kind.DIRECTORY:
                path = join_name(folder, name)
                if one_device and os.fstat(tree.descriptor(path)).st_dev != device:
                    continue
                stack.append((path, _names(tree, path)))
                break
        else:
            stack.pop()


def _names(tree: Directories, folder: bytes) -> Iterator[tuple[bytes, Kind]]:
    try:
        return iter(names_in(tree.descriptor(folder)))
    except OSError as error:
        raise SystemFailure("read", tree.shown(folder), error) from error


class _Changed(OSError):
    """A file changed while it was read."""


class _Packing:
    """One archive being written."""

    def __init__(
        self,
        tree: Directories,
        out: PipelinedSink,
        id_map: IDMap,
        form: WhiteoutForm,
        hides: Callable[[bytes], bool],
    ) -> None:
        self._tree = tree
        self._out = out
        self._id_map = id_map
        self._is_mapped = bool(id_map)
        self._form = form
        self._hides = hides
        self.gone_at: float | None = None
        self._owners: dict[tuple[int, int], tuple[int, int]] = {}
        self._written: dict[tuple[int, int], bytes] = {}

    def add(self, folder: bytes, name: bytes, kind: Kind) -> None:
        """Write one entry. A known `kind` saves a stat(2) call."""
        path = join_name(folder, name)
        try:
            directory = self._tree.descriptor(folder)
            if kind is Kind.REGULAR:
                self._add_regular(directory, name, path)
                return
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                self._add_regular(directory, name, path)
            elif stat.S_ISDIR(status.st_mode):
                self._add_directory(path)
            elif self._form is not WhiteoutForm.PLAIN and is_whiteout_device(status):
                self._add_whiteout(folder, name, path, status)
            elif not stat.S_ISSOCK(status.st_mode):
                self._add_other(folder, name, path, status)
        except OSError as error:
            raise SystemFailure("read", self._tree.shown(path), error) from error

    def _add_regular(self, directory: int, name: bytes, path: bytes) -> None:
        descriptor = open_quietly(name, _READ, directory)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _Changed("it was replaced while the layer was read")
            attributes = xattrs.archived(descriptor)
            if not attributes and status.st_nlink == 1 and not self._is_mapped:  # most files
                header = plain_file(path, status)
                if header:
                    self._out.write(header)
                    self._copy(descriptor, status.st_size)
                    return
            entry = self._entry(path, writer.REGULAR, status)
            if attributes:
                entry.xattrs = xattrs.inside(attributes, self._id_map)
                if not self._override(entry):
                    return
            if not self._link(entry, status) and entry.type == writer.REGULAR:
                entry.size = status.st_size
            self._out.write(header_blocks(entry))
            if entry.type == writer.REGULAR:
                self._copy(descriptor, entry.size)
        finally:
            os.close(descriptor)

    def _add_directory(self, path: bytes) -> None:
        descriptor = self._tree.descriptor(path)
        entry = self._entry(path, writer.DIRECTORY, os.fstat(descriptor))
        entry.name += b"/"
        entry.xattrs = xattrs.archived(descriptor)
        if entry.xattrs:
            self._override(entry)
        self._out.write(header_blocks(entry))
        mark = self._form.opaque_xattr
        try:
            opaque = bool(mark) and os.getxattr(descriptor, mark) == OPAQUE_VALUE
        except OSError as error:
            if error.errno not in {errno.ENODATA, errno.ENOTSUP}:
                raise
            opaque = False
        if opaque and self._hides(path):
            marker = join_name(path, OPAQUE_NAME)
            self._out.write(
                header_blocks(Entry(marker, writer.REGULAR, entry.mode & 0o777, entry.uid, entry.gid, mtime=0))
            )

    def _add_whiteout(self, folder: bytes, name: bytes, path: bytes, status: os.stat_result) -> None:
        """Write a whiteout. Many may be links to one device, and the Go tool's headers name the first of them."""
        try:
            entry = self._entry(path, writer.REGULAR, status)
        except InvalidIDMap:  # the kernel made it with the owner of the process that mounted the layer
            entry = Entry(path, writer.REGULAR, 0, 0, 0, mtime=status.st_mtime_ns // _SECOND)
        self._link(entry, status)
        entry.type, entry.mode = writer.REGULAR, 0
        if self.gone_at is not None:
            entry.mtime = int(self.gone_at)
        entry.name = join_name(folder, whiteout_name(name))
        self._out.write(header_blocks(entry))

    def _add_other(self, folder: bytes, name: bytes, path: bytes, status: os.stat_result) -> None:
        """Write an entry for a link, device or fifo, which must not be opened."""
        kind = writer.TYPES[stat.S_IFMT(status.st_mode)]
        entry = self._entry(path, kind, status)
        entry.xattrs = xattrs.archived(xattrs.place_of(self._tree, folder, name))
        if kind == writer.SYMLINK:
            entry.linkname = os.readlink(name, dir_fd=self._tree.descriptor(folder))
        elif kind != writer.FIFO:
            number = status.st_rdev  # split as the Go tool does (archive 8.2)
            entry.device = number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00
        self._link(entry, status)
        self._out.write(header_blocks(entry))

    def _entry(self, path: bytes, kind: bytes, status: os.stat_result) -> Entry:
        owner = status.st_uid, status.st_gid
        if self._is_mapped and not path.rpartition(b"/")[2].startswith(WHITEOUT_PREFIX):
            owner = self._inside(owner)
        # Whole seconds, rounded down even before 1970.
        return Entry(path, kind, status.st_mode & 0o7777, *owner, mtime=status.st_mtime_ns // _SECOND)

    @cached_property
    def _is_interpreted(self) -> bool:
        """Whether a mount program shows the intended owners and modes, which may be newer than the attributes."""
        from cstore.kernel.statfs import is_fuse

        return is_fuse(self._tree.root)

    def _override(self, entry: Entry) -> bool:
        """Apply a file's override to its entry; return whether an archive can hold the result."""
        meant, entry.xattrs = split(entry.xattrs)
        if meant is None:
            return True
        if not self._is_interpreted:
            entry.mode, owner = meant.mode, (meant.uid, meant.gid)
            entry.uid, entry.gid = self._inside(owner) if self._is_mapped else owner
        if entry.type == writer.REGULAR and meant.kind in _DISGUISED:
            entry.type, entry.device = writer.TYPES[meant.kind], meant.device
        return meant.kind != stat.S_IFSOCK

    def _inside(self, owner: tuple[int, int]) -> tuple[int, int]:
        known = self._owners.get(owner)
        if known is None:
            known = self._owners[owner] = self._id_map.to_container(*owner)
        return known

    def _link(self, entry: Entry, status: os.stat_result) -> bool:
        """Make the entry a hard link if its file was written under another name; return whether it was."""
        if status.st_nlink < 2:
            return False
        key = status.st_dev, status.st_ino
        first = self._written.setdefault(key, entry.name)
        if first is entry.name:
            return False
        entry.type, entry.linkname = writer.LINK, first
        return True

    def _copy(self, descriptor: int, size: int) -> None:
        """Write a body of exactly `size` bytes and its padding."""
        out, left = self._out, size
        while True:
            # Ask for one byte more than is left, so that the last read also proves that the file ends there.
            room = out.room(left + 1)
            count = os.readv(descriptor, (room,))
            left -= count
            if left < 0:
                raise _Changed("it grew while the layer was read")
            out.advance(count)
            if not count or (not left and count < len(room)):
                break
        if left:
            raise _Changed(f"it lost {left} bytes while the layer was read")
        out.write(writer.padding(size))
