"""Build headers byte for byte as the Go tool's tar library does (archive 8.2 to 8.4).

A diff that is not rebuilt from tar-split has the same digest as the Go tool's only if all headers are the same. USTAR
is used for every entry that fits; otherwise a PAX header with the values that do not fit precedes the entry.
"""

from __future__ import annotations

import stat
from functools import lru_cache
from zlib import adler32

from cstore.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

BLOCK_SIZE = 512
END = bytes(2 * BLOCK_SIZE)
"""The end of an archive, which is not padded to larger records."""

REGULAR, LINK, SYMLINK, CHARACTER, BLOCK, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
TYPES = {
    stat.S_IFREG: REGULAR,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK,
    stat.S_IFIFO: FIFO,
}
"""Type bytes by the type bits of a mode; sockets have none."""

_NAME_SIZE, _PREFIX_SIZE = 100, 155
_ID_LIMIT = 8**7
_LONG_LIMIT = 8**11
_LARGEST_PAX = 1 << 20
_PADDING = bytes(BLOCK_SIZE)

# The strings are padded before they are inserted.
_TAIL = b"%b%bustar\00000" + bytes(64) + b"%07o\0%07o\0%b"
_PLAIN_TAIL = _TAIL % (REGULAR, bytes(_NAME_SIZE), 0, 0, bytes(_PREFIX_SIZE + 12))
_EXTENDED_HEAD = b"%b0000000\x000000000\x000000000\0%011o\x0000000000000\0"
_EXTENDED_TAIL = b"x" + bytes(100) + b"ustar\00000" + bytes(247)


class Entry:
    """One entry to write.

    Attributes:
        name: a relative and lexically clean path; that of a directory ends with "/".
        type: one of the type bytes of this module.
        mode: permission bits, set-ID bits and the sticky bit.
        size: bytes of the body that will follow.
        mtime: seconds since 1970, rounded down.
        nanoseconds: the fraction of `mtime`, 0 to 999999999.
        linkname: the target of a link.
        device: the major and minor number of a device.
        xattrs: extended attributes, full names and values.
    """

    # Not a dataclass: importing that module takes longer than exporting a small layer.
    __slots__ = ("device", "gid", "linkname", "mode", "mtime", "name", "nanoseconds", "size", "type", "uid", "xattrs")

    def __init__(
        self,
        name: bytes,
        type: bytes,  # noqa: A002  - the field's name in every description of the format
        mode: int,
        uid: int,
        gid: int,
        size: int = 0,
        mtime: int = 0,
        nanoseconds: int = 0,
        linkname: bytes = b"",
        device: tuple[int, int] = (0, 0),
        xattrs: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.name, self.type, self.linkname, self.device, self.xattrs = name, type, linkname, device, xattrs
        self.mode, self.uid, self.gid, self.size = mode, uid, gid, size
        self.mtime, self.nanoseconds = mtime, nanoseconds


def header_blocks(entry: Entry) -> bytes:
    """Build all headers that precede an entry's body.

    Raises:
        Unsupported: a tar cannot hold the entry's extended attributes.
    """
    name, prefix = entry.name, b""
    if len(name) > _NAME_SIZE:
        prefix, name = _split(name)
    if (
        not entry.xattrs
        and len(name) <= _NAME_SIZE
        and name.isascii()
        and len(entry.linkname) <= _NAME_SIZE
        and entry.linkname.isascii()
        and entry.uid < _ID_LIMIT
        and entry.gid < _ID_LIMIT
        and entry.size < _LONG_LIMIT
        and 0 <= entry.mtime < _LONG_LIMIT
        and not entry.nanoseconds
    ):
        return _main_block(entry, name, entry.linkname, prefix)
    return _extended_header(entry) + _main_block(entry, _field(entry.name), _field(entry.linkname), b"")


def plain_file(name: bytes, status: os.stat_result) -> bytes:
    """Return the `header_blocks` of a file with this status and no attributes, faster; b"" if that is not so simple."""
    size, mtime = status.st_size, status.st_mtime_ns // 1_000_000_000
    if len(name) > _NAME_SIZE or size >= _LONG_LIMIT or not 0 <= mtime < _LONG_LIMIT or not name.isascii():
        return b""
    if status.st_uid >= _ID_LIMIT or status.st_gid >= _ID_LIMIT:
        return b""
    rights = _rights(status.st_mode & 0o7777, status.st_uid, status.st_gid)
    head = b"%b%b%011o\0%011o\0" % (name.ljust(_NAME_SIZE, b"\0"), rights, size, mtime)
    return _seal(head, _PLAIN_TAIL)


def padding(size: int) -> bytes:
    """Return the zeros between a body of `size` bytes and the next block."""
    return _PADDING[: -size % BLOCK_SIZE]


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Split a long name into USTAR prefix and name; the prefix is empty if that is impossible."""
    end = len(name)
    if end > _PREFIX_SIZE + 1:
        end = _PREFIX_SIZE + 1
    elif name.endswith(b"/"):
        end -= 1
    cut = name.rfind(b"/", 0, end)
    if cut <= 0 or not 1 <= len(name) - cut - 1 <= _NAME_SIZE or not name.isascii():
        return b"", name
    return name[:cut], name[cut + 1 :]


def _main_block(entry: Entry, name: bytes, linkname: bytes, prefix: bytes) -> bytes:
    """Build one header block. A number that does not fit is written as 0, because a PAX record has it."""
    size, mtime = entry.size, entry.mtime
    numbers = (size if size < _LONG_LIMIT else 0, mtime if 0 <= mtime < _LONG_LIMIT else 0)
    head = b"%b%b%011o\0%011o\0" % (name.ljust(_NAME_SIZE, b"\0"), _rights(entry.mode, entry.uid, entry.gid), *numbers)
    return _seal(head, _tail(entry.type, linkname, entry.device, prefix))


@lru_cache
def _rights(mode: int, uid: int, gid: int) -> bytes:
    """Build the fields for mode and owner; cached, because an archive has few different ones."""
    return b"%07o\0%07o\0%07o\0" % (mode, uid if uid < _ID_LIMIT else 0, gid if gid < _ID_LIMIT else 0)


@lru_cache
def _tail(kind: bytes, linkname: bytes, device: tuple[int, int], prefix: bytes) -> bytes:
    """Build the fields after the checksum; cached, because they are the same for all files with short names."""
    fields = (kind, linkname.ljust(_NAME_SIZE, b"\0"), *device, prefix.ljust(_PREFIX_SIZE + 12, b"\0"))
    return _TAIL % fields


def _seal(head: bytes, tail: bytes) -> bytes:
    """Insert the checksum, which is computed with spaces in its own field."""
    # The low half of Adler-32 is the plain sum modulo 65521, which the ASCII bytes of one block cannot reach.
    return b"%b%06o\0 %b" % (head, adler32(tail, adler32(head, 8 * 0x20)) & 0xFFFF, tail)


# ── PAX ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _extended_header(entry: Entry) -> bytes:
    """Build the PAX header with the values that the main header cannot hold."""
    records = {b"SCHILY.xattr." + name: value for name, value in entry.xattrs}
    texts = ((b"path", entry.name), (b"linkpath", entry.linkname))
    records |= {key: text for key, text in texts if len(text) > _NAME_SIZE or not text.isascii()}
    owners = ((b"uid", entry.uid), (b"gid", entry.gid))
    records |= {key: b"%d" % number for key, number in owners if number >= _ID_LIMIT}
    if entry.size >= _LONG_LIMIT:
        records[b"size"] = b"%d" % entry.size
    if entry.nanoseconds or not 0 <= entry.mtime < _LONG_LIMIT:
        records[b"mtime"] = pax_time(entry.mtime, entry.nanoseconds)
    body = b"".join(pax_record(key, value) for key, value in sorted(records.items()))
    if len(body) > _LARGEST_PAX:
        raise Unsupported(
            f"{entry.name!r} cannot be written to a tar: its name and extended attributes take {len(body)} bytes",
            hint="readers accept at most 1 MiB; remove some of its extended attributes",
            go_text="archive/tar: header field too long",
        )
    directory, slash, base = entry.name.rpartition(b"/")
    name = b"%b%bPaxHeaders.0/%b" % (directory, slash, base)
    name = _ascii(name)[:_NAME_SIZE].rstrip(b"/")
    head = _EXTENDED_HEAD % (name.ljust(_NAME_SIZE, b"\0"), len(body))
    return _seal(head, _EXTENDED_TAIL) + body + padding(len(body))


def pax_record(key: bytes, value: bytes) -> bytes:
    """Build one record; its length includes the digits of the length itself."""
    if b"=" in key:
        raise Unsupported(
            f"a tar cannot hold the extended attribute {key.removeprefix(b'SCHILY.xattr.')!r}: its name has a '='",
            go_text=f'archive/tar: cannot encode header: invalid PAX record: "{key.decode(errors="replace")}"',
        )
    size = len(key) + len(value) + 3
    total = size + len(str(size))
    if len(str(total)) != len(str(size)):
        total = size + len(str(total))
    return b"%d %b=%b\n" % (total, key, value)


def pax_time(seconds: int, nanoseconds: int) -> bytes:
    """Format a time as decimal seconds; the fraction counts away from zero, unlike the arguments."""
    if not nanoseconds:
        return b"%d" % seconds
    sign = b""
    if seconds < 0:
        sign, seconds, nanoseconds = b"-", -(seconds + 1), 1_000_000_000 - nanoseconds
    return (b"%b%d.%09d" % (sign, seconds, nanoseconds)).rstrip(b"0")


def _ascii(text: bytes) -> bytes:
    return text if text.isascii() else bytes(byte for byte in text if byte < 0x80)


def _field(text: bytes) -> bytes:
    """Shorten a name to its form in a field of a PAX main header."""
    text = _ascii(text)
    if len(text) <= _NAME_SIZE:
        return text
    field = text[:_NAME_SIZE]
    if field.endswith(b"/"):
        # Old readers take a name with a slash at the end for a directory. Only the first of several is overwritten.
        keep = len(field.rstrip(b"/"))
        field = field[:keep] + b"\0" + field[keep + 1 :]
    return field
