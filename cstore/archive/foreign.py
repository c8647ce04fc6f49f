"""What is no tar and is given as one all the same: told by its first bytes, so that the error can name it."""

from __future__ import annotations

from cstore.errors import ArchiveForeign

_UNPACK = "bsdtar -cf NEW.tar @FILE makes a tar of it"
_DEB = "dpkg-deb --fsys-tarfile FILE gives its files as a tar"
_TWICE = "decompress it once"

_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive", _UNPACK),
    (b"PK\x05\x06", "an empty zip archive", ""),
    (b"070701", "a cpio archive", _UNPACK),
    (b"070702", "a cpio archive", _UNPACK),
    (b"070707", "a cpio archive", _UNPACK),
    (b"\xc7\x71", "a cpio archive", _UNPACK),
    (b"\x71\xc7", "a cpio archive", _UNPACK),
    (b"!<arch>\ndebian-binary", "a Debian package", _DEB),
    (b"!<arch>\n", "an ar archive", _UNPACK),
    (b"\x04\x22\x4d\x18", "an lz4 stream", "lz4 -dc FILE decompresses it"),
    (b"\x02\x21\x4c\x18", "an lz4 stream", "lz4 -dc FILE decompresses it"),
    (b"\x5d\x00\x00", "an lzma stream", "xz --format=lzma -dc FILE decompresses it"),
    (b"LZIP", "an lzip stream", "lzip -dc FILE decompresses it"),
    (b"\x89LZO", "an lzop stream", "lzop -dc FILE decompresses it"),
    (b"\x1f\x9d", "a stream of compress (.Z)", "gzip -dc FILE decompresses it"),
    (b"\x1f\xa0", "a stream of compress (.Z)", "gzip -dc FILE decompresses it"),
    (b"\x1f\x1e", "a stream of pack (.z)", "gzip -dc FILE decompresses it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"\xed\xab\xee\xdb", "an RPM package", "rpm2archive FILE gives its files as a tar"),
    (b"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (b"hsqs", "a squashfs image", "sqfstar and unsquashfs convert it"),
    (b"\x1f\x8b", "compressed twice, the inner stream being gzip", _TWICE),
    (b"BZh", "compressed twice, the inner stream being bzip2", _TWICE),
    (b"\xfd7zXZ\x00", "compressed twice, the inner stream being xz", _TWICE),
    (b"\x28\xb5\x2f\xfd", "compressed twice, the inner stream being zstd", _TWICE),
    (b"<!DOCTYPE", "an HTML page", "fetch it again; a server answered with a message"),
    (b"<html", "an HTML page", "fetch it again; a server answered with a message"),
)
"""First bytes, what has them, what helps. A stream that is compressed once never gets here."""


def foreign(head: bytes) -> ArchiveForeign | None:
    """Tell what begins with `head`, of which a tar header could not be made; None if it is nothing known."""
    for magic, kind, hint in _KINDS:
        if head.startswith(magic):
            return ArchiveForeign(kind, hint)
    return None
