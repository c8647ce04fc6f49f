"""Translate the entries of an archive to orders and tar-split lines (archive 3 to 6).

All checks that do not need the tree are made here, before anything is changed: names, owners, types.
"""

from __future__ import annotations

import os
import stat

from fastcrc import crc64

from cstore import errors
from cstore.archive.names import clean_name, climbs, show_name, split_name
from cstore.archive.override import ATTRIBUTE, Override
from cstore.archive.tar.header import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    GNU_SPARSE,
    HARD_LINK,
    PAX_GLOBAL,
    REGULAR,
    SYMLINK,
)
from cstore.archive.unpacking import orders as codes
from cstore.archive.whiteout import (
    HARDLINK_DIRECTORY,
    METADATA_PREFIX,
    OPAQUE_NAME,
    WHITEOUT_PREFIX,
    WhiteoutForm,
    victim_of,
)
from cstore.archive.xattrs import to_set

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cstore.archive.tar.header import Entry
    from cstore.archive.tar.reader import TarReader
    from cstore.archive.tarsplit import Packer
    from cstore.archive.unpacking.intake import RingWindows
    from cstore.archive.unpacking.orders import Order, Terms
    from cstore.archive.unpacking.owners import Owners

_LATEST = (1 << 63) - 1
"""Nanoseconds from 1970 to the year 2262, the last time that the Go tool can represent."""

_MODE_BITS = 0o7777
_NO_BASES = {b"", b"."}
_USUAL_LENGTH = 255
_NODES = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_MOST_BARE_NAMES = 100_000


class Dispatcher:
    """Processes the entries of one archive.

    Attributes:
        entries: the number of entries so far.
        content_size: the sum of the sizes in their headers, in bytes.
    """

    def __init__(self, reader: TarReader, windows: RingWindows, packer: Packer, owners: Owners, terms: Terms) -> None:
        self.entries = 0
        self.content_size = 0
        self._reader = reader
        self._windows = windows
        self._packer = packer
        self._owners = owners
        self._terms = terms
        self._order = windows.orders.append
        if terms.force_mask >= 0:
            self._order = _masked(self._order, terms.force_mask)
        self._bare_names: set[bytes] = set()

    def run(self) -> None:
        """Process the archive and the data after its end.

        Ordinary files are handled inline: the loop runs a hundred thousand times per second, so each function call
        avoided saves some percent of an import.

        Raises:
            CstoreError: the archive is invalid, or the worker failed.
        """
        reader, windows, packer = self._reader, self._windows, self._packer
        next_entry, take, order, owner_of = reader.next, reader.take, self._order, self._owners.known.get
        checksum_of, write_line = crc64.go_iso, packer.file
        # The directory of the last name, raw and cleaned: most files are in the same directory as the one before.
        raw_folder: bytes | None = b""
        folder = b""
        while (entry := next_entry()) is not None:
            self.entries += 1
            size = entry.size
            self.content_size += size
            name = entry.name
            if entry.type != REGULAR or entry.sparse is not None or not size or b".wh." in name or b".." in name:
                self._dispatch(entry)
                continue
            named_folder, _, base = name.rpartition(b"/")
            if named_folder != raw_folder or base in _NO_BASES or len(name) > _USUAL_LENGTH:
                folder, plain_base = split_name(clean_name(name))
                raw_folder, base = (named_folder if base == plain_base else None), plain_base
                if not base:
                    self._refuse_root(entry)
            uid, gid = owner_of((entry.uid, entry.gid)) or self._owners.add(entry)
            mtime = entry.mtime
            times = (mtime, mtime) if 0 <= mtime <= _LATEST and entry.atime <= mtime else _times(entry)
            xattrs = to_set(entry.xattrs) if entry.xattrs else ()
            head = (folder, base, entry.mode & _MODE_BITS, uid, gid, times, xattrs, packer.position)
            body = take(size)
            if len(body) == size:
                order((codes.FILE, *head, windows.base + reader.at - size, size))
                write_line(name, size, checksum_of(body))
            else:
                self._write_long_file(entry, head, body)
        for piece in reader.new_rest():
            packer.segment(piece)
        windows.flush()

    # ── by kind ──

    def _dispatch(self, entry: Entry) -> None:
        """Process an entry that is not an ordinary file."""
        if entry.type == PAX_GLOBAL:
            if not climbs(entry.name):
                self._add_bare(entry.name, clean_name(entry.name))
            return
        plain = clean_name(entry.name)
        folder, base = split_name(plain)
        if plain.startswith(METADATA_PREFIX) and plain != OPAQUE_NAME:
            self._keep_body()  # AUFS metadata
            self._add_bare(entry.name, plain)
            return
        if base.startswith(WHITEOUT_PREFIX):
            self._remove(entry, plain)
            return
        if not base and entry.type != DIRECTORY:
            self._refuse_root(entry)
        if entry.type == DIRECTORY and self._reader.left:
            self._keep_body()  # the list of names that GNU tar found in it
        uid, gid = self._owners.known.get((entry.uid, entry.gid)) or self._owners.add(entry)
        self._create(entry, (folder, base, entry.mode & _MODE_BITS, uid, gid))

    def _create(self, entry: Entry, place: tuple[bytes, bytes, int, int, int]) -> None:
        packer = self._packer
        head = (*place, _times(entry), to_set(entry.xattrs), packer.position)
        if entry.type == DIRECTORY:
            self._order((codes.DIRECTORY, *head))
        elif entry.type in {REGULAR, GNU_SPARSE}:
            # It is empty, sparse, or has a name that other programs would not resolve.
            if entry.sparse is not None or (entry.stored and climbs(entry.name)):
                self._write_inline_file(entry, head)
                return
            if entry.stored:
                self._write_long_file(entry, head, self._reader.take(entry.stored))
                return
            self._order((codes.FILE, *head, 0, 0))
        elif entry.type == SYMLINK:
            if not entry.link:
                raise errors.EntryFailed(show_name(entry.name), "it is a symbolic link without a target")
            # Unlike the times of other entries, those of a link are not limited.
            times = (max(entry.atime, entry.mtime), entry.mtime)
            self._order((codes.SYMLINK, *head[:5], times, *head[6:], entry.link))
        elif entry.type == HARD_LINK:
            self._order((codes.HARD_LINK, *head, *self._target_of(entry)))
        elif entry.type in _NODES:
            if not self._make_node(entry, head):
                return
        else:
            raise errors.EntryFailed(show_name(entry.name), f"the entry type {chr(entry.type)!r} is unknown")
        packer.bare(entry.name)

    def _target_of(self, entry: Entry) -> tuple[bytes, bytes]:
        """Return the directory and name of a hard link's target."""
        shown = show_name(entry.link)
        try:
            plain = clean_name(entry.link)
        except errors.ArchiveHostile:
            raise errors.ArchiveHostile(show_name(entry.name), f"its target {shown} climbs above the root") from None
        if plain.startswith(HARDLINK_DIRECTORY):
            raise errors.EntryFailed(
                show_name(entry.name), f"its target {shown} is in AUFS's own directory of hard links"
            )
        if not plain:
            raise errors.EntryFailed(show_name(entry.name), "its target is the root of the layer")
        return split_name(plain)

    def _make_node(self, entry: Entry, head: tuple[Any, ...]) -> bool:
        """Order a device or fifo.

        Returns:
            Whether the entry gets a line: not if a second entry with its name would go unnoticed.
        """
        kind = _NODES[entry.type]
        major, minor = entry.device
        device = (minor & 0xFFF00) << 12 | (major & 0xFFF) << 8 | minor & 0xFF
        if kind == stat.S_IFIFO:
            self._order((codes.NODE, *head, kind, 0))
        elif kind == stat.S_IFCHR and not device:
            # The kernel's overlay takes this device for a whiteout, so cstore does so in every tree.
            folder, base, _, uid, gid, times, *_ = head
            if self._terms.tracks:
                self._order((codes.WHITEOUT, folder, base, uid, gid, times))
            return False
        elif self._terms.in_user_namespace and self._terms.force_mask < 0:
            return False  # devices cannot be created in a user namespace
        else:
            self._order((codes.NODE, *head, kind, device))
        return True

    def _remove(self, entry: Entry, plain: bytes) -> None:
        """Order the removal that a whiteout or opaque marker requests. Its contents are kept in the tar-split only."""
        folder, base = split_name(plain)
        victim = victim_of(base)
        if victim is None:
            raise errors.ArchiveHostile(show_name(entry.name), "it would remove its own directory, or more")
        self._keep_body()
        self._add_bare(entry.name, plain)
        if not self._terms.tracks:
            return  # there are no lower files
        if base == OPAQUE_NAME:
            self._order((codes.OPAQUE, folder, _times(entry)))
            return
        uid, gid = (0, 0) if self._terms.form is WhiteoutForm.PLAIN else self._owners.map(entry)
        self._order((codes.WHITEOUT, folder, victim, uid, gid, _times(entry)))

    @staticmethod
    def _refuse_root(entry: Entry) -> None:
        raise errors.ArchiveHostile(show_name(entry.name), "it names the root of the layer but is not a directory")

    # ── bodies ──

    def _write_long_file(self, entry: Entry, head: tuple[Any, ...], body: memoryview) -> None:
        """Order a file whose contents span windows."""
        reader, windows = self._reader, self._windows
        self._order((codes.BEGIN, *head))
        checksum = crc64.go_iso(body)
        while True:
            self._order((codes.DATA, windows.base + reader.at - len(body), len(body)))
            if not reader.left:
                break
            body = reader.take(reader.left)
            checksum = crc64.go_iso(body, checksum)
        self._order((codes.END, -1))
        self._packer.file(entry.name, entry.size, checksum)

    def _write_inline_file(self, entry: Entry, head: tuple[Any, ...]) -> None:
        """Order a file whose stored contents are kept in the tar-split."""
        reader, windows = self._reader, self._windows
        self._order((codes.BEGIN, *head))
        self._packer.bare(entry.name)  # first, so that it has the position given in the order
        for offset, length in entry.sparse or ((0, entry.stored),):
            self._order((codes.SEEK, offset))
            end = reader.left - length
            while reader.left > end:
                body = reader.take(reader.left - end)
                self._order((codes.DATA, windows.base + reader.at - len(body), len(body)))
                self._packer.segment(body)
        self._order((codes.END, entry.size))

    def _keep_body(self) -> None:
        """Store the contents of an entry that creates no file in the tar-split."""
        reader = self._reader
        while reader.left:
            self._packer.segment(reader.take(reader.left))

    def _add_bare(self, name: bytes, plain: bytes) -> None:
        """Add a line for an entry that creates nothing in the tree, unless its name has one already."""
        if plain not in self._bare_names and len(self._bare_names) < _MOST_BARE_NAMES:
            self._bare_names.add(plain)
            self._packer.bare(name)


def _times(entry: Entry) -> tuple[int, int]:
    """Return access and modification time; times that the Go tool cannot represent become 1970."""
    mtime = entry.mtime
    if not 0 <= mtime <= _LATEST:
        mtime = 0
    atime = entry.atime
    return (atime if mtime < atime <= _LATEST else mtime, mtime)


# ── force_mask ──
#
# The same owner and mode for all files, with the intended ones in an attribute.

_KINDS = {codes.FILE: stat.S_IFREG, codes.BEGIN: stat.S_IFREG, codes.DIRECTORY: stat.S_IFDIR}
_NOTHING = (0, 0)  # offset and size in the ring of an empty file


def _masked(give: Callable[[Order], None], mask: int) -> Callable[[Order], None]:
    """Return a function that passes orders to `give`, changed to create files with mode `mask` and our own owner.

    Devices and fifos become empty files. Symbolic links get the owner only, because they cannot have such
    attributes; hard links share those of their target.
    """
    own = os.geteuid(), os.getegid()

    def give_masked(order: Order) -> None:
        code = order[0]
        if code in _KINDS:
            give(_disguised(order, mask, own, _KINDS[code]))
        elif code == codes.NODE:
            *head, kind, number = order
            device = (os.major(number), os.minor(number))
            disguised = _disguised(tuple(head), mask, own, kind, device)
            give((codes.FILE, *disguised[1:], *_NOTHING))
        elif code == codes.SYMLINK:
            give((*order[:4], *own, *order[6:]))
        elif code == codes.WHITEOUT:
            give((*order[:3], *own, *order[5:]))
        else:
            give(order)

    return give_masked


def _disguised(order: Order, mask: int, own: tuple[int, int], kind: int, device: tuple[int, int] = (0, 0)) -> Order:
    code, folder, base, mode, uid, gid, times, xattrs, *rest = order
    meant = Override(uid, gid, mode, kind, device).text()
    return (code, folder, base, mask, *own, times, (*xattrs, (ATTRIBUTE, meant)), *rest)
