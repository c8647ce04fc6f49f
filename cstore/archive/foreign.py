"""Identify files that are not tars by their first bytes, so that the error can name the format."""

from __future__ import annotations

from cstore import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_UNPACK = "bsdtar -cf NEW.tar @FILE converts it to a tar"
_DEB = "dpkg-deb --fsys-tarfile FILE writes its files as a tar"
_TWICE = "decompress it once"
_MOUNT = "mount -o ro,loop FILE DIR, then tar -C DIR -c . writes its files as a tar"
_PARTS = "losetup --find --show --partscan FILE shows its partitions as devices to mount"
_RAW = "qemu-img convert -O raw FILE DISK converts it to a disk image"

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
    (b"\x1f\x9d", "a compress (.Z) stream", "gzip -dc FILE decompresses it"),
    (b"\x1f\xa0", "a compress (.Z) stream", "gzip -dc FILE decompresses it"),
    (b"\x1f\x1e", "a pack (.z) stream", "gzip -dc FILE decompresses it"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"\xed\xab\xee\xdb", "an RPM package", "rpm2archive FILE writes its files as a tar"),
    (b"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (b"hsqs", "a squashfs image", _MOUNT),
    (b"XFSB", "an xfs image", _MOUNT),
    (b"\x45\x3d\xcd\x28", "a cramfs image", _MOUNT),
    (b"QFI\xfb", "a qcow2 disk image", _RAW),
    (b"KDMV", "a vmdk disk image", _RAW),
    (b"vhdxfile", "a vhdx disk image", _RAW),
    (b"MSCF\0\0\0\0", "a cabinet archive", _UNPACK),
    (b"xar!", "a xar archive", _UNPACK),
    (b"\x7fELF", "a program", ""),
    (b"\x1f\x8b", "compressed twice, with gzip inside", _TWICE),
    (b"BZh", "compressed twice, with bzip2 inside", _TWICE),
    (b"\xfd7zXZ\x00", "compressed twice, with xz inside", _TWICE),
    (b"\x28\xb5\x2f\xfd", "compressed twice, with zstd inside", _TWICE),
    *((bytes([first]) + b"\x2a\x4d\x18", "compressed twice, with zstd inside", _TWICE) for first in range(0x50, 0x60)),
    (b"{", "a JSON document", ""),
    (b"[", "a JSON document", ""),
    (b"version https://git-lfs", "a pointer to a file in Git LFS", "git lfs pull fetches the file"),
    (b"<!DOCTYPE", "an HTML page", "fetch it again; the server sent a message instead"),
    (b"<html", "an HTML page", "fetch it again; the server sent a message instead"),
)
"""First bytes, the format they identify, and a hint. Streams that are compressed once are decoded before this check."""


_IMAGES: tuple[tuple[int, bytes, str, str], ...] = (
    (0x438, b"\x53\xef", "an ext2, ext3 or ext4 image", _MOUNT),
    (0x400, b"\xe2\xe1\xf5\xe0", "an EROFS image", _MOUNT),
    (0x400, b"\x10\x20\xf5\xf2", "an f2fs image", _MOUNT),
    (0x8001, b"CD001", "an ISO 9660 image", _UNPACK),
    (0x10040, b"_BHRfS_M", "a btrfs image", _MOUNT),
    (0x1FE, b"\x55\xaa", "a disk image", _PARTS),
)
"""Images of file systems and disks: the offset of the magic number, the number, the format, and a hint."""

_IMAGE_HEAD = 0x10048
"""Bytes at the beginning that contain the magic numbers of all images."""


def foreign(head: bytes) -> errors.ArchiveForeign | None:
    """Identify data whose first bytes, `head`, are not a tar header; None if the format is unknown."""
    for magic, kind, hint in _KINDS:
        if head.startswith(magic):
            return errors.ArchiveForeign(kind, hint)
    for at, magic, kind, hint in _IMAGES:
        if head.startswith(magic, at):
            return errors.ArchiveForeign(kind, hint)
    return None


def nothing_but_zeros(pieces: Iterable[memoryview], before: int) -> Iterator[memoryview]:
    """Yield the data after the first `before` zeros of an archive without entries, and check that it is zeros, too.

    Images of file systems begin with room for a boot loader, which looks like the end of a tar.

    Raises:
        ArchiveForeign: the data is an image of a file system or disk.
        ArchiveMalformed: the data is not all zeros, and its format is unknown.
    """
    head = bytearray(before)
    zeros = True
    for piece in pieces:
        head += piece[: max(0, _IMAGE_HEAD - len(head))]
        zeros = zeros and not bytes(piece).strip(b"\0")
        if not zeros and len(head) >= _IMAGE_HEAD:
            break
        yield piece
    if not zeros:
        raise foreign(bytes(head)) or errors.ArchiveMalformed("it begins with blocks of zeros, followed by data", 0)
