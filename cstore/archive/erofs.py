"""Read EROFS images without mounting them: the tree of a composefs layer, with everything but file contents.

    0       composefs header: magic, version, flags
    1024    superblock
    …       inodes of 32 or 64 bytes, each followed by its attributes and perhaps the tail of its data; blocks of names

Only the features that composefs uses are supported: plain, inline and (for files whose contents are elsewhere) chunked
data, without compression. Images are untrusted: a reference out of the image, or a cycle, is an `ArchiveError`.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct

from cstore.errors import ArchiveError, SystemFailure
from cstore.fs.closing import Closing
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

_SUPERBLOCK_AT = 1024
_MAGIC = 0xE0F5E1E2
_COMPOSEFS_MAGIC = 0xD078629A
_SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sI")
"""The fields up to the incompatible features."""
_COMPACT = struct.Struct("<HHHHIIIIHHI")
_EXTENDED = struct.Struct("<HHHHQIIIIQII16x")
_ENTRY = struct.Struct("<QHBB")
_XATTR = struct.Struct("<BBH")
_PLAIN, _INLINE, _CHUNKED = 0, 2, 4
_PREFIXES = {
    0: b"",
    1: b"user.",
    2: b"system.posix_acl_access",
    3: b"system.posix_acl_default",
    4: b"trusted.",
    5: b"lustre.",
    6: b"security.",
}
_KNOWN_FEATURES = 0x4 | 0x8
"""Chunked files, and a device table, which is not read."""
_DEEPEST = 4096
_LONGEST_LINK = 4096
_HAS_ACL = 0x1


class Node(Value):
    """An inode: the fields of its status, and the location of its data and attributes in the image."""

    nid: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    nlink: int
    device: int
    layout: int
    address: int
    attributes_at: int
    attributes_size: int
    volume: int

    def status(self) -> os.stat_result:
        """Return the inode's status in the form of stat(2)."""
        seconds = self.mtime_ns // 1_000_000_000
        plain = (self.mode, self.nid, self.volume, self.nlink, self.uid, self.gid, self.size, seconds, seconds, seconds)
        times = {f"st_{name}_ns": self.mtime_ns for name in ("atime", "mtime", "ctime")}
        return os.stat_result(plain, {**times, "st_rdev": self.device})


class Image(Closing):
    """An image, open for reading. Use it as a context manager."""

    def __init__(self, path: str) -> None:
        """Open an image.

        Raises:
            SystemFailure: it cannot be read.
            ArchiveError: it is not an image, or uses unsupported features.
        """
        self.path = path
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                status = os.fstat(fd)
                if not stat.S_ISREG(status.st_mode):
                    raise self.flaw("it is not a regular file")
                self._volume = status.st_ino << 64 | status.st_dev  # a number that no device has
                self._data = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
            finally:
                os.close(fd)
        except ValueError:
            raise self.flaw("it is empty") from None
        except OSError as error:
            raise SystemFailure("read", path, error) from error
        try:
            self._begin()
        except BaseException:
            self._data.close()
            raise

    def _begin(self) -> None:
        magic, _, _, bits, _, root, _, seconds, nanoseconds, blocks, meta, shared, _, _, features = _SUPERBLOCK.unpack(
            self._bytes(_SUPERBLOCK_AT, _SUPERBLOCK.size)
        )
        if magic != _MAGIC:
            raise self.flaw("it is not an EROFS image")
        if not 9 <= bits <= 16 or features & ~_KNOWN_FEATURES:
            raise self.flaw("it uses EROFS features that composefs does not use")
        if len(self._data) < blocks << bits:
            raise self.flaw("it is truncated")
        self._bits, self._block = bits, 1 << bits
        self._meta, self._shared = meta << bits, shared << bits
        self._time = seconds * 1_000_000_000 + nanoseconds
        self.root = self.node(root)
        if not stat.S_ISDIR(self.root.mode):
            raise self.flaw("its root is not a directory")

    @property
    def has_acls(self) -> bool:
        """Whether files in the image may have ACLs; if not, the kernel need not look for them."""
        magic, _, flags = struct.unpack_from("<III", self._data)
        return bool(magic == _COMPOSEFS_MAGIC and flags & _HAS_ACL)

    def holds(self, pattern: re.Pattern[bytes]) -> bool:
        """Return whether a pattern matches anywhere in the image."""
        return pattern.search(self._data) is not None

    def flaw(self, reason: str) -> ArchiveError:
        """Return an error with the reason why the image is invalid."""
        return ArchiveError(f"{self.path} is damaged: {reason}")

    def _bytes(self, start: int, size: int) -> bytes:
        if start < 0 or start + size > len(self._data):
            raise self.flaw("it is truncated, or a part of it is outside the file")
        return self._data[start : start + size]

    # ── inodes ──

    def node(self, nid: int) -> Node:
        """Read an inode.

        Raises:
            ArchiveError: there is no inode with this number, or it is invalid.
        """
        start = self._meta + (nid << 5)
        (form,) = struct.unpack("<H", self._bytes(start, 2))
        layout = form >> 1 & 7
        if form & 1:
            head = self._bytes(start, _EXTENDED.size)
            _, count, mode, _, size, place, _, uid, gid, seconds, nanoseconds, nlink = _EXTENDED.unpack(head)
            time, end = seconds * 1_000_000_000 + nanoseconds, start + _EXTENDED.size
        else:
            head = self._bytes(start, _COMPACT.size)
            _, count, mode, nlink, size, _, place, _, uid, gid, _ = _COMPACT.unpack(head)
            time, end = self._time, start + _COMPACT.size
        if layout not in {_PLAIN, _INLINE, _CHUNKED}:
            raise self.flaw(f"inode {nid} has data of a form that composefs does not use")
        taken = 12 + 4 * (count - 1) if count else 0
        device = place if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else 0
        address = place << self._bits
        return Node(nid, mode, uid, gid, size, time, nlink, device, layout, address, end, taken, self._volume)

    def data(self, node: Node, most: int) -> bytes:
        """Return the data of an inode whose data is in the image.

        Raises:
            ArchiveError: its data is not in the image, or has more than `most` bytes.
        """
        if node.size > most:
            raise self.flaw(f"inode {node.nid} has {node.size} bytes of data")
        if not node.size:
            return b""
        if node.layout == _CHUNKED:
            raise self.flaw(f"inode {node.nid} has no data in the image")
        if node.layout == _PLAIN:
            return self._bytes(node.address, node.size)
        tail = node.size % self._block
        whole = node.size - tail
        head = self._bytes(node.address, whole) if whole else b""
        return head + self._bytes(node.attributes_at + node.attributes_size, tail)

    def link(self, node: Node) -> bytes:
        """Return the target of a symbolic link."""
        return self.data(node, _LONGEST_LINK)

    # ── attributes ──

    def attributes(self, node: Node) -> dict[bytes, bytes]:
        """Return the extended attributes of an inode."""
        found: dict[bytes, bytes] = {}
        if not node.attributes_size:
            return found
        start, end = node.attributes_at, node.attributes_at + node.attributes_size
        count = self._bytes(start, 12)[4]
        place = start + 12 + 4 * count
        if place > end:
            raise self.flaw(f"the attributes of inode {node.nid} are invalid")
        for (number,) in struct.iter_unpack("<I", self._bytes(start + 12, 4 * count)):
            self._attribute(self._shared + 4 * number, found)
        while place + _XATTR.size <= end:
            place = self._attribute(place, found)
        return found

    def _attribute(self, place: int, found: dict[bytes, bytes]) -> int:
        """Read one attribute; return the offset of the next one."""
        length, index, size = _XATTR.unpack(self._bytes(place, _XATTR.size))
        if index not in _PREFIXES:
            raise self.flaw("an attribute has a prefix that composefs does not use")
        body = self._bytes(place + _XATTR.size, length + size)
        if length or index:
            found[_PREFIXES[index] + body[:length]] = body[length:]
        end: int = place + _XATTR.size + length + size
        return end + 3 & ~3

    # ── directories ──

    def names(self, node: Node) -> dict[bytes, int]:
        """Return the names in a directory and their inode numbers, without `.` and `..`.

        Raises:
            ArchiveError: the directory is invalid.
        """
        if not stat.S_ISDIR(node.mode):
            raise self.flaw(f"inode {node.nid} is not a directory")
        data = self.data(node, len(self._data))
        found: dict[bytes, int] = {}
        for start in range(0, len(data), self._block):
            block = data[start : start + self._block]
            if len(block) < _ENTRY.size:
                raise self.flaw("a directory is truncated")
            first = _ENTRY.unpack_from(block)[1]
            if first % _ENTRY.size or not _ENTRY.size <= first <= len(block):
                raise self.flaw("a directory is invalid")
            entries = [_ENTRY.unpack_from(block, place) for place in range(0, first, _ENTRY.size)]
            ends = [entry[1] for entry in entries[1:]] + [len(block)]
            for (nid, begin, _, _), end in zip(entries, ends, strict=True):
                name = block[begin:end].split(b"\0", 1)[0]
                if begin > end or not name or b"/" in name:
                    raise self.flaw("a directory has an invalid name")
                found[name] = nid
        for name in (b".", b".."):
            found.pop(name, None)
        return found

    def walk(self) -> Iterator[tuple[bytes, Node]]:
        """Yield every path with its inode: first the root, then depth-first, in byte order of the names.

        Raises:
            ArchiveError: an inode or directory is invalid, or a directory contains itself.
        """
        yield b"", self.root
        stack = [(b"", self.root.nid, iter(sorted(self.names(self.root).items())))]
        above = {self.root.nid}
        while stack:
            folder, nid, names = stack[-1]
            for name, number in names:
                node = self.node(number)
                path = folder + b"/" + name if folder else name
                yield path, node
                if stat.S_ISDIR(node.mode):
                    if number in above or len(stack) > _DEEPEST:
                        raise self.flaw("a directory contains itself")
                    above.add(number)
                    stack.append((path, number, iter(sorted(self.names(node).items()))))
                    break
            else:
                above.discard(nid)
                stack.pop()

    def close(self) -> None:
        """Close the image."""
        self._data.close()
