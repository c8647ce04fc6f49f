"""Build the headers of an entry byte for byte as various tar writers do.

`cstore.archive.tar.writer` builds those of Go's library, which Buildah, Podman, Docker, umoci and most others use.
"""

from __future__ import annotations

import base64
from enum import Enum
from typing import TYPE_CHECKING, Any

from cstore.archive.tar.writer import (
    BLOCK,
    BLOCK_SIZE,
    CHARACTER,
    SYMLINK,
    Entry,
    header_blocks,
    padding,
    pax_record,
    pax_time,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME, _PREFIX = 100, 155
_ID_LIMIT = 8**7
_USTAR, _GNU = b"ustar\x0000", b"ustar  \0"
_XATTR = b"SCHILY.xattr."
_USER, _GROUP = slice(265, 297), slice(297, 329)


class Form(Enum):
    """The program and format whose headers are written."""

    GO = "go"
    GNU = "gnu"
    GNU_USTAR = "gnu-ustar"
    GNU_POSIX = "gnu-posix"
    PYTHON_PAX = "python-pax"
    PYTHON_GNU = "python-gnu"
    BSD_PAX = "bsd-pax"
    BSD_USTAR = "bsd-ustar"
    BSD_GNU = "bsd-gnu"


class Named(Entry):
    """An entry with its owner's names; `numeric`: its writer was told to omit them."""

    __slots__ = ("group", "numeric", "user")

    def __init__(
        self, *fields: Any, user: bytes = b"", group: bytes = b"", numeric: bool = False, **named: Any
    ) -> None:
        super().__init__(*fields, **named)
        self.user, self.group, self.numeric = user, group, numeric


def encode(form: Form, entry: Named) -> bytes:
    """Build all headers that precede an entry's body.

    Raises:
        ValueError: this form cannot hold the entry.
        Unsupported: no tar can hold it.
    """
    return _ENCODERS[form](entry)


def _octal(value: int, width: int) -> bytes:
    """Format a number like GNU tar and most others: octal, or binary after a set bit."""
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return (
        b"\x80" + value.to_bytes(width - 1, "big") if value >= 0 else (value + (1 << 8 * width)).to_bytes(width, "big")
    )


def _spaced(value: int, width: int) -> bytes:
    """Format a number like libarchive, with a space after it."""
    digits, end = (6, b" \0") if width == 8 else (width - 1, b" ")
    if not 0 <= value < 8**digits:
        raise ValueError(f"{value} has no room")
    return b"%0*o%b" % (digits, value, end)


def _block(
    entry: Named,
    magic: bytes,
    *,
    prefix: bytes = b"",
    spaced: bool = False,
    always_device: bool = True,
    short_device: bool = False,
) -> bytes:
    """Build one header block. Names are cut to their fields; `always_device` fills in device fields for all types."""
    number = _spaced if spaced else _octal
    device = b"%06o\0\0%06o\0\0" % entry.device if short_device else b"".join(number(part, 8) for part in entry.device)
    has_device = always_device or entry.type in {CHARACTER, BLOCK}
    return _sealed(
        b"".join(
            (
                entry.name[:_NAME].ljust(_NAME, b"\0"),
                number(entry.mode, 8),
                number(entry.uid, 8),
                number(entry.gid, 8),
                number(entry.size, 12),
                number(entry.mtime, 12),
                b" " * 8,
                entry.type,
                entry.linkname[:_NAME].ljust(_NAME, b"\0"),
                magic,
                entry.user[:32].ljust(32, b"\0"),
                entry.group[:32].ljust(32, b"\0"),
                device if has_device else bytes(16),
                prefix.ljust(_PREFIX + 12, b"\0"),
            )
        )
    )


def _sealed(block: bytes) -> bytes:
    """Insert the checksum, which is computed with spaces in its own field."""
    return b"%b%06o\0 %b" % (block[:148], sum(block), block[156:])


def _body(data: bytes) -> bytes:
    return data + padding(len(data))


def _texts(entry: Named) -> list[tuple[bytes, bytes]]:
    """Return the records of names that do not fit into a USTAR field."""
    both = ((b"path", entry.name), (b"linkpath", entry.linkname))
    return [(key, text) for key, text in both if len(text) > _NAME or not text.isascii()]


def _large(entry: Named) -> list[tuple[bytes, bytes]]:
    both = ((b"uid", entry.uid), (b"gid", entry.gid))
    return [(key, b"%d" % number) for key, number in both if number >= _ID_LIMIT]


def _joined(records: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join(pax_record(key, value) for key, value in records)


def _go(entry: Named) -> bytes:
    blocks = header_blocks(entry)
    if not (entry.user or entry.group):
        return blocks
    last = bytearray(blocks[-BLOCK_SIZE:])
    last[_USER], last[_GROUP] = entry.user[:32].ljust(32, b"\0"), entry.group[:32].ljust(32, b"\0")
    last[148:156] = b" " * 8
    return blocks[:-BLOCK_SIZE] + _sealed(bytes(last))


def _gnu(entry: Named, mode: int, user: bytes, group: bytes, *, libarchive: bool = False) -> bytes:
    out = b""
    for text, kind in ((entry.linkname, b"K"), (entry.name, b"L")):
        if len(text) > _NAME:
            longer = Named(b"././@LongLink", kind, mode, 0, 0, len(text) + 1, user=user, group=group)
            longer.linkname = entry.linkname if libarchive else b""
            out += _block(longer, _GNU, always_device=False) + _body(text + b"\0")
    return out + _block(entry, _GNU, always_device=False, short_device=libarchive)


def _gnu_ustar(entry: Named) -> bytes:
    name, prefix = entry.name, b""
    if len(name) > _NAME:
        cut = name.rfind(b"/", 0, min(len(name) - 1, _PREFIX + 1))
        if cut <= 0 or len(name) - cut - 1 > _NAME:
            raise ValueError("the name is too long")
        prefix, name = name[:cut], name[cut + 1 :]
    if len(entry.linkname) > _NAME:
        raise ValueError("the target is too long")
    return _block(_renamed(entry, name), _USTAR, prefix=prefix)


def _gnu_posix(entry: Named) -> bytes:
    records = _texts(entry) + _large(entry)
    if entry.nanoseconds:
        records.append((b"mtime", pax_time(entry.mtime, entry.nanoseconds)))
    records += sorted((_XATTR + key, value) for key, value in entry.xattrs)
    out = b""
    if records:
        data = _joined(records)
        folder, _, base = entry.name.rstrip(b"/").rpartition(b"/")
        name = (folder or b".") + b"/PaxHeaders/" + base
        out = _block(Named(name, b"x", 0o644, 0, 0, len(data), entry.mtime), _USTAR, always_device=False) + _body(data)
    return out + _block(entry, _USTAR)


def _python_pax(entry: Named) -> bytes:
    """Build the headers of Python's tarfile: times are floats, written in full, but rounded in the main header."""
    records = _texts(entry) + _large(entry)
    moment = entry.mtime + 1e-9 * entry.nanoseconds
    records.append((b"mtime", str(moment).encode()))
    data = _joined(records)
    extended = Named(b"././@PaxHeader", b"x", 0, 0, 0, len(data))
    main = _renamed(entry, _replaced(entry.name), _replaced(entry.linkname))
    main.mtime = round(moment)
    return _block(extended, _USTAR, always_device=False) + _body(data) + _block(main, _USTAR, always_device=False)


def _bsd_split(name: bytes) -> tuple[bytes, bytes] | None:
    if len(name) <= _NAME:
        return b"", name
    cut = name.find(b"/", len(name) - _NAME - 1)
    if cut < 0 or cut > _PREFIX or cut + 1 == len(name):
        return None
    return name[:cut], name[cut + 1 :]


def _bsd_ustar(entry: Named) -> bytes:
    split = _bsd_split(entry.name)
    if split is None or len(entry.linkname) > _NAME:
        raise ValueError("the name is too long")
    return _block(_renamed(entry, split[1]), _USTAR, prefix=split[0], spaced=True)


def _bsd_pax(entry: Named) -> bytes:
    split = _bsd_split(entry.name)
    records = [(b"path", entry.name)] if split is None or not entry.name.isascii() else []
    if len(entry.linkname) > _NAME or not entry.linkname.isascii():
        records.append((b"linkpath", entry.linkname))
    folder, _, base = entry.name.rstrip(b"/").rpartition(b"/")
    out = b""
    if records or entry.xattrs:
        if entry.nanoseconds:
            records.append((b"mtime", pax_time(entry.mtime, entry.nanoseconds)))
        for key, value in entry.xattrs:
            records.append((b"LIBARCHIVE.xattr." + key, base64.b64encode(value).rstrip(b"=")))
            records.append((_XATTR + key, value))
        data = _joined(records)
        name = (folder + b"/" if folder else b"") + b"PaxHeader/" + base
        prefix, name = _bsd_split(name) or (folder[:_PREFIX], (b"PaxHeader/" + base)[:97])
        extended = Named(name, b"x", entry.mode & 0o777, entry.uid, entry.gid, len(data), entry.mtime)
        extended.user, extended.group = entry.user, entry.group
        out = _block(extended, _USTAR, prefix=prefix, spaced=True) + _body(data)
    prefix, name = split or (folder[:_PREFIX], base[:98])
    link = entry.linkname
    if len(link) > _NAME:
        link = b"././@LongSymLink" if entry.type == SYMLINK else b"././@LongHardLink"
    return out + _block(_renamed(entry, name, link), _USTAR, prefix=prefix, spaced=True)


def _replaced(text: bytes) -> bytes:
    return text.decode("utf-8", "surrogateescape").encode("ascii", "replace")


def _renamed(entry: Named, name: bytes, link: bytes | None = None) -> Named:
    """Return a copy of an entry with another name, and possibly another target."""
    other = Named(name, entry.type, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime)
    other.linkname = entry.linkname if link is None else link
    other.device, other.user, other.group = entry.device, entry.user, entry.group
    return other


_ENCODERS: dict[Form, Callable[[Named], bytes]] = {
    Form.GO: _go,
    Form.GNU: lambda entry: _gnu(entry, 0o644, *((b"", b"") if entry.numeric else (b"root", b"root"))),
    Form.GNU_USTAR: _gnu_ustar,
    Form.GNU_POSIX: _gnu_posix,
    Form.PYTHON_PAX: _python_pax,
    Form.PYTHON_GNU: lambda entry: _gnu(entry, 0, b"", b""),
    Form.BSD_PAX: _bsd_pax,
    Form.BSD_USTAR: _bsd_ustar,
    Form.BSD_GNU: lambda entry: _gnu(entry, 0, b"root", b"wheel", libarchive=True),
}
