"""Derive the expected contents of a layer's directory from its archive, whichever program unpacked it.

Programs treat unusual archives differently: repeated entries, whiteouts for files of the same archive, names that lead
through links. Where they differ, nothing is expected.
"""

from __future__ import annotations

import stat

from cstore.archive.names import clean_name, join_name, split_name
from cstore.archive.tar.header import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    NANOSECONDS,
    PAX_GLOBAL,
    REGULAR,
    SYMLINK,
    Entry,
)
from cstore.archive.whiteout import METADATA_PREFIX, OPAQUE_NAME, is_whiteout_name, victim_of
from cstore.archive.xattrs import to_set
from cstore.errors import CstoreError
from cstore.idmap import IDENTITY, IDMap
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

_LATEST = (1 << 63) - 1
_FORMATS = {
    REGULAR: stat.S_IFREG,
    DIRECTORY: stat.S_IFDIR,
    SYMLINK: stat.S_IFLNK,
    CHARACTER: stat.S_IFCHR,
    BLOCK_DEVICE: stat.S_IFBLK,
    FIFO: stat.S_IFIFO,
}


def device_number(device: tuple[int, int]) -> int:
    """Return the device number as mknod(2) encodes it; only some bits of large numbers count."""
    major, minor = device
    return (minor & 0xFFF00) << 12 | (major & 0xFFF) << 8 | minor & 0xFF


Looks = tuple[int, int, int, int]
"""Mode, user, group (as in the archive) and time in seconds."""


class Node:
    """The expected file at a path.

    Attributes:
        format: the type bits of its mode; 0 for a hard link to a file of another layer.
        looks: the metadata of its header and of its hard links; programs differ in which of them wins.
        size: the size of a regular file; -1 if the size does not count.
        link: the target of a symbolic link.
        device: the device number.
        xattrs: extended attributes.
        checksum: the checksum of its contents, if known.
        shared: whether it has several names.
    """

    __slots__ = ("checksum", "device", "format", "link", "looks", "shared", "size", "xattrs")

    def __init__(self, entry: Entry) -> None:
        self.format = _FORMATS.get(entry.type, stat.S_IFREG)
        self.looks: tuple[Looks, ...] = (_looks(entry),)
        self.size = entry.size if self.format == stat.S_IFREG else -1
        self.link = entry.link
        self.device = device_number(entry.device)
        self.xattrs = to_set(entry.xattrs) if entry.xattrs else ()
        self.checksum: int | None = None
        self.shared = False


def _looks(entry: Entry) -> Looks:
    mtime = entry.mtime
    if entry.type != SYMLINK and not 0 <= mtime <= _LATEST:
        mtime = 0  # the Go tool's time type cannot represent it
    return entry.mode & 0o7777, entry.uid, entry.gid, mtime // NANOSECONDS


class ExpectedTree:
    """The expected contents of one layer, or of a chain of layers.

    Attributes:
        nodes: files by cleaned path.
        implied: directories without an entry that contain other entries.
        allowed: targets of hard links in other layers; some programs copy them into the layer.
        outside: the files for hard links whose target is in another layer, by the path of the target.
        devices: devices 0:0, which some programs read as whiteouts and others as devices.
        removed: paths in lower layers that the layer removes.
        replaced: paths that the layer both removes and adds.
        opaque: directories that hide everything below them.
        touched: directories whose time cannot be known, because names were added or removed after their creation.
        root: the metadata of the root's entry; None if there is none.
        vague: programs may unpack this archive differently, so missing or unexpected files are not damage.
    """

    def __init__(self) -> None:
        self.nodes: dict[bytes, Node] = {}
        self.implied: set[bytes] = set()
        self.allowed: set[bytes] = set()
        self.devices: set[bytes] = set()
        self.removed: set[bytes] = set()
        self.replaced: set[bytes] = set()
        self.opaque: set[bytes] = set()
        self.touched: set[bytes] = set()
        self.root: Looks | None = None
        self.vague = False
        self.outside: dict[bytes, Node] = {}

    # ── from an archive ──

    def add(self, entry: Entry) -> None:
        """Add an entry of the archive."""
        if entry.type == PAX_GLOBAL:
            return
        try:
            plain = clean_name(entry.name)
        except CstoreError:
            self.vague = True
            return
        if not plain and entry.type == DIRECTORY:
            self.root = _looks(entry)
        if not plain or (plain.startswith(METADATA_PREFIX) and plain != OPAQUE_NAME):
            return
        folder, base = split_name(plain)
        self._imply(folder)
        if is_whiteout_name(base):
            victim = victim_of(base)
            if victim is None:
                self.vague = True
            elif base == OPAQUE_NAME:
                self.opaque.add(folder)
            else:
                self.removed.add(join_name(folder, victim))
        elif entry.type == CHARACTER and not device_number(entry.device):
            self._put_removal(plain)
        else:
            self._put(plain, entry)

    def _imply(self, folder: bytes) -> None:
        while folder and folder not in self.implied:
            node = self.nodes.get(folder)
            if node is not None:
                self.vague |= node.format != stat.S_IFDIR
                return
            self.implied.add(folder)
            folder = split_name(folder)[0]

    def _put_removal(self, plain: bytes) -> None:
        """Put a device 0:0 in place of an earlier entry; programs create a device or a whiteout."""
        old = self.nodes.pop(plain, None)
        self.vague |= plain in self.implied or (old is not None and old.format == stat.S_IFDIR)
        self.devices.add(plain)

    def _put(self, plain: bytes, entry: Entry) -> None:
        old = self.nodes.get(plain)
        if entry.type == HARD_LINK:
            try:
                path = clean_name(entry.link)
            except CstoreError:
                path = b""
            if path in self.devices and path not in self.nodes:
                self._put_removal(plain)
                return
            node = self._linked(entry, path)
        else:
            node = Node(entry)
        directory = node.format == stat.S_IFDIR
        if plain in self.implied:
            self.vague |= not directory
            self.implied.discard(plain)
        if old is not None:
            self.vague |= directory != (old.format == stat.S_IFDIR)
        self.nodes[plain] = node

    def _linked(self, entry: Entry, path: bytes) -> Node:
        """Return the file at `path`, to which a hard link leads, with the metadata of the link."""
        target = self.nodes.get(path) or self.outside.get(path)
        if target is None:
            if path:
                self.allowed.add(path)
                self._imply(split_name(path)[0])
            node = self.outside[path] = Node(entry)
            node.format, node.size = 0, -1
            return node
        target.shared = True
        if entry.xattrs:
            target.xattrs = tuple({**dict(target.xattrs), **dict(to_set(entry.xattrs))}.items())
        looks = _looks(entry)
        if looks not in target.looks:
            target.looks = (*target.looks, looks)
        return target

    def settle(self, checksums: Mapping[bytes, int]) -> None:
        """Record checksums, and find paths that the archive both adds and removes. Call after the last `add`."""
        for name, checksum in checksums.items():
            try:
                node = self.nodes.get(clean_name(name))
            except CstoreError:
                continue
            if node is not None:
                node.checksum = checksum
        every = tuple({looks for node in self.outside.values() for looks in node.looks})
        for node in self.outside.values() if len(self.outside) > 1 else ():
            node.looks = (*node.looks, *every)  # their targets may be one file in the layers below
        self.replaced = {path for path in self.removed if path in self.nodes or path in self.implied}
        self.removed -= self.replaced
        self.vague |= bool(self.replaced)

    # ── stacking ──

    def cover(self, upper: ExpectedTree) -> None:
        """Apply `upper` on top of this tree."""
        self._follow_links(upper)
        gone = upper.removed | upper.replaced | upper.devices  # and what a file of `upper` replaces
        for path, node in upper.nodes.items():
            if node.format != stat.S_IFDIR:
                old = self.nodes.get(path)
                if path in self.implied or (old is not None and old.format == stat.S_IFDIR):
                    gone.add(path)
        if gone or upper.opaque:
            for path in [path for path in self.nodes if _is_below(path, gone, upper.opaque)]:
                del self.nodes[path]
            self.implied -= {path for path in self.implied if _is_below(path, gone, upper.opaque)}
        for path in (*upper.nodes, *upper.removed, *upper.implied, *upper.devices):
            self.touched.add(split_name(path)[0])
        self.touched |= upper.opaque
        for path in upper.implied:
            old = self.nodes.get(path)
            if old is not None and old.format != stat.S_IFDIR:
                self.vague = True
                del self.nodes[path]
            if path not in self.nodes:
                self.implied.add(path)
        self.allowed |= upper.allowed
        self.devices |= upper.devices
        self.implied -= upper.nodes.keys()
        self.touched -= upper.nodes.keys()
        self.nodes.update(upper.nodes)
        self.vague |= upper.vague

    def _follow_links(self, upper: ExpectedTree) -> None:
        """Merge hard links in `upper` with their targets in this tree: attributes of one name apply to all names.

        This also holds for a target that the same archive replaces.
        """
        names_of: dict[int, list[bytes]] = {}
        for name, each in upper.nodes.items() if upper.outside else ():
            if not each.format:
                names_of.setdefault(id(each), []).append(name)
        for path, node in upper.outside.items():
            target, names = self.nodes.get(path), names_of.get(id(node), [])
            if target is not None:
                target.shared = True
                target.looks = (*target.looks, *(looks for looks in node.looks if looks not in target.looks))
                target.xattrs = tuple({**dict(target.xattrs), **dict(node.xattrs)}.items())
                upper.nodes.update(dict.fromkeys(names, target))
            elif path in self.devices:
                upper.devices.update(names)
                for name in names:
                    del upper.nodes[name]


def _is_below(path: bytes, gone: set[bytes], emptied: set[bytes]) -> bool:
    """Return whether a path or one of its parents is gone, or whether one of its parents was emptied."""
    if path in gone:
        return True
    folder = path
    while folder:
        folder = split_name(folder)[0]
        if folder in emptied or (folder and folder in gone):
            return True
    return False


def is_within(path: bytes, places: Container[bytes]) -> bool:
    """Return whether a path or one of its parents is among `places`."""
    while path:
        if path in places:
            return True
        path = split_name(path)[0]
    return False


def stacked(trees: Iterable[ExpectedTree]) -> ExpectedTree:
    """Return a chain of layers, bottom first, as one tree."""
    whole = ExpectedTree()
    for tree in trees:
        whole.cover(tree)
    return whole


# ── tolerance ──
#
# Differences between a layer's directory and its archive that are not damage.

_DEVICES = frozenset({stat.S_IFCHR, stat.S_IFBLK})
_NODES = _DEVICES | {stat.S_IFIFO}


class Tolerance(Value):
    """Differences that are allowed because of who wrote a layer, and how.

    Attributes:
        owners: owners may differ, because some IDs could not be set (`ignore_chown_errors`).
        masked: owners, modes and types are stored in attributes (`force_mask`, a mount program).
        times: hard links to files of other stores have those files' times (`use_hard_links`).
        partial: a partial pull created the layer, which leaves other times on directories and links.
        users: an ordinary user wrote it, or root of a user namespace, who cannot create devices and may have had no
            ID but their own.
        reach: the IDs that exist in this process's user namespace; no ranges means all.
    """

    owners: bool = False
    masked: bool = False
    times: bool = False
    partial: bool = False
    users: bool = False
    reach: IDMap = IDENTITY

    def unmakeable(
        self, nodes: Mapping[bytes, Node], seen: Container[bytes], changed: Container[bytes]
    ) -> frozenset[int]:
        """Return the file types that the writer of a layer could not create, judged by the files found of its `nodes`.

        Root of a user namespace can look like the host's root. In that case no device exists at all, and no directory
        that should have one has `changed`: removing a device would have changed its time.
        """
        if self.users:
            return _NODES
        devices = [path for path, node in nodes.items() if node.format in _DEVICES]
        told = any(path in seen or split_name(path)[0] in changed for path in devices)
        return frozenset() if told else _DEVICES
