"""Parse a 512-byte header: its dialects, numbers and checksum (archive 2)."""

from __future__ import annotations

import struct
from zlib import adler32

from cstore import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    T = TypeVar("T")

BLOCK = 512
ZERO_BLOCK = bytes(BLOCK)

REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0123456"
GNU_SPARSE, PAX_HEADER, PAX_GLOBAL, GNU_LONG_NAME, GNU_LONG_LINK = b"SxgLK"
CONTIGUOUS, DUMP_DIRECTORY, VOLUME_LABEL, SUN_HEADER = b"7DVX"
"""POSIX: a regular file; GNU tar: a directory whose body lists names (`-g`), and a label that is not a file (`-V`);
Solaris tar: a PAX header."""
OLD_REGULAR = 0
HEADER_ONLY = frozenset({HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO})
"""Types without a body, whatever their size field contains."""

NANOSECONDS = 1_000_000_000
_INT64 = 1 << 63

_FIELDS = struct.Struct("100s 24s 12s 12s 8s c 100s 8s 64x 16s 155s 12s")
"""name; mode, uid, gid; size; mtime; checksum; type; link name; magic, version; owners' names; device; prefix; rest."""


class Entry:
    """The contents of one entry's headers.

    Attributes:
        name: the name in the archive, not cleaned.
        type: the type byte; old regular files and directories have their modern type.
        mode: permission bits, and all other bits of the field.
        uid: the owner, any 64-bit number.
        gid: the group, any 64-bit number.
        size: the size of the file in bytes, including holes; meaningless for types without a body.
        mtime: the modification time in nanoseconds.
        atime: the access time in nanoseconds; 0 if the headers have none.
        link: the target of a hard or symbolic link.
        device: major and minor number.
        xattrs: extended attributes, in the order of the archive.
        stored: the size of the body in the archive, in bytes.
        sparse: None, or the parts of the file that the body contains: (offset, length) in ascending order.
    """

    __slots__ = (
        "atime", "device", "gid", "link", "mode", "mtime", "name", "size", "sparse", "stored", "type", "uid", "xattrs",
    )  # fmt: skip

    def __init__(
        self,
        name: bytes,
        type_: int,
        owner: tuple[int, int, int],
        size: int,
        mtime: int,
        link: bytes,
        device: tuple[int, int],
    ) -> None:
        self.name = name
        self.type = type_
        self.mode, self.uid, self.gid = owner
        self.size = size
        self.mtime = mtime
        self.link = link
        self.device = device
        self.atime = 0
        self.stored = 0
        self.xattrs: Sequence[tuple[bytes, bytes]] = ()
        self.sparse: tuple[tuple[int, int], ...] | None = None


def parse_header(block: bytes, offset: int) -> Entry:
    """Read one header block.

    Args:
        block: 512 bytes, not all of them zero.
        offset: the block's offset in the stream, for the error.

    Raises:
        ArchiveMalformed: the checksum is wrong, or a field is not a number.
    """
    name, owner, size, mtime, checksum, kind, link, magic, device, prefix, tail = _FIELDS.unpack(block)
    try:
        expected = _expected_sum(checksum)
        # Adler-32's lower half is 1 + the sum of all bytes modulo 65521, which 512 ASCII bytes cannot reach. It is ten
        # times as fast as sum(). Some old programs summed signed bytes.
        if (
            not (block.isascii() and adler32(block) & 0xFFFF == expected + 1)
            and expected != sum(block)
            and expected - sum(checksum) != sum(b - 256 if b > 127 else b for b in block[:148] + block[156:])
        ):
            raise ValueError("the checksum of its header is wrong")  # noqa: TRY301  - as a field that is no number
        entry = Entry(
            name.partition(b"\0")[0], kind[0], _owner(owner), parse_number(size), _seconds(mtime),
            link.partition(b"\0")[0], _NO_DEVICE,
        )  # fmt: skip
        if magic[:6] == b"ustar\0":
            entry.device = _device(device)
            if tail[8:] == b"tar\0":  # STAR: two times follow a shorter prefix
                entry.atime = _seconds(prefix[131:143])
                _seconds(prefix[143:])  # the change time: it cannot be set, but must be a number
                prefix = prefix[:131]
            if prefix[0]:
                entry.name = prefix.partition(b"\0")[0] + b"/" + entry.name
        elif magic == b"ustar  \0":
            entry.device = _device(device)
            if prefix[0] or prefix[12]:
                _read_gnu(entry, prefix)
    except ValueError as error:
        raise errors.ArchiveMalformed(str(error), offset) from None
    return entry


def is_gnu(block: bytes) -> bool:
    """Return whether a header block is of the GNU dialect, the only one where type `S` has a sparse map."""
    return block[257:265] == b"ustar  \0"


def _read_gnu(entry: Entry, fields: bytes) -> None:
    """Read GNU's two times, which take the place of the prefix; old Go programs still wrote a prefix there."""
    try:
        atime = _seconds(fields[:12]) if fields[0] else 0
        if fields[12]:
            _seconds(fields[12:24])  # the change time
    except ValueError:
        prefix = fields.partition(b"\0")[0]
        if prefix and prefix.isascii():
            entry.name = prefix + b"/" + entry.name
    else:
        entry.atime = atime


# ── numbers ───────────────────────────────────────────────────────────────────────────────────────────────────────────
#
# Numbers are cached by their text: real archives repeat the same few fields, and a lookup takes a fifth of the time of
# parsing.


class _Made(dict[bytes, "Any"]):
    """What a function has made of fields; of as many as `most`."""

    def __init__(self, make: Callable[[bytes], object], most: int) -> None:
        self._make, self._most = make, most

    def __missing__(self, field: bytes) -> object:
        made = self._make(field)
        if len(self) >= self._most:
            self.clear()
        self[field] = made
        return made


def _cached(most: int) -> Callable[[Callable[[bytes], T]], Callable[[bytes], T]]:
    """Do as `functools.lru_cache` does, which takes long to import."""
    return lambda make: _Made(make, most).__getitem__


@_cached(4096)
def parse_number(field: bytes) -> int:
    """Read a number: octal text, or base 256 in two's complement if the top bit is set.

    Raises:
        ValueError: it is neither, or has more than 64 bits.
    """
    if not field[0] & 0x80:
        return _parse_octal(field)
    bits = 8 * len(field) - 1
    value = int.from_bytes(field, "big") & ((1 << bits) - 1)
    if field[0] & 0x40:
        value -= 1 << bits
    if not -_INT64 <= value < _INT64:
        raise ValueError("a number in it has more than 64 bits")
    return value


def _parse_octal(field: bytes) -> int:
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    # int() alone would let signs, underscores and 0o pass.
    if not digits.isdigit() or b"8" in digits or b"9" in digits:
        raise ValueError(f"{digits!r} is not an octal number")
    return int(digits, 8)


@_cached(4096)
def _owner(field: bytes) -> tuple[int, int, int]:
    """Read mode, user and group."""
    return parse_number(field[:8]), parse_number(field[8:16]), parse_number(field[16:])


@_cached(4096)
def _seconds(field: bytes) -> int:
    """Read a time; return it in nanoseconds."""
    return parse_number(field) * NANOSECONDS


@_cached(256)
def _device(field: bytes) -> tuple[int, int]:
    return parse_number(field[:8]), parse_number(field[8:])


_NO_DEVICE = (0, 0)


@_cached(16384)
def _expected_sum(field: bytes) -> int:
    """Return the sum of a block's bytes, with the checksum field itself, that a checksum field implies."""
    return _parse_octal(field) - 8 * 0x20 + sum(field)
