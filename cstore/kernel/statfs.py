"""The type and properties of the file system that a path is on."""

from __future__ import annotations

import os
import sys

from cstore.kernel.libc import call

_NAMES = {
    0x61756673: "aufs", 0x9123683E: "btrfs", 0x28CD3D45: "cramfs", 0xF15F: "ecryptfs", 0xE0F5E1E2: "erofs",
    0xEF53: "extfs", 0xF2F52010: "f2fs", 0x47504653: "gpfs", 0x72B6: "jffs2", 0x3153464A: "jfs", 0x6969: "nfs",
    0x794C7630: "overlayfs", 0x858458F6: "ramfs", 0x52654973: "reiserfs", 0x517B: "smb", 0x73717368: "squashfs",
    0x01021994: "tmpfs", 0xA501FCF5: "vxfs", 0x58465342: "xfs", 0x2FC12FC1: "zfs",
}  # fmt: skip
_BY_MOUNT = {
    "btrfs": "btrfs", "ext2": "extfs", "ext3": "extfs", "ext4": "extfs", "f2fs": "f2fs", "overlay": "overlayfs",
    "tmpfs": "tmpfs", "xfs": "xfs", "zfs": "zfs",
}  # fmt: skip
"""Mount types that identify the file system, with their names above."""
SHARE_BLOCKS = frozenset({"btrfs", "xfs", "bcachefs", "ocfs2"})
"""File systems whose files can share blocks and report which ones they share."""
SMALL_FILES_IN_METADATA = frozenset({"btrfs"})
"""File systems that store small files in metadata, and count metadata as used space as it grows."""
_FUSE = 0x65735546
_WORD = 8  # bytes of f_type, the first field, on 64-bit systems
_ROOM = 256  # struct statfs is 120 bytes on 64-bit systems
_TYPE_OFFSET = 18  # of d_type in struct dirent: after inode, offset and length
_UNKNOWN_TYPE = 0


def filesystem_name(path: str) -> str:
    """Return the name of the file system that contains `path`, as the Go tool spells it (drivers 4.1), or `<unknown>`.

    Raises:
        OSError: as statfs(2).
    """
    # The type of the mount with its device is tried first because it needs no ctypes.
    device = os.stat(path).st_dev
    try:
        with open("/proc/self/mountinfo", "rb") as table:
            mount = table.read().partition(b" %d:%d " % (os.major(device), os.minor(device)))[2]
    except OSError:
        mount = b""
    mounted_as = mount.partition(b"\n")[0].partition(b" - ")[2].partition(b" ")[0].decode("ascii", "replace")
    return _BY_MOUNT.get(mounted_as) or _NAMES.get(_type_of(path), "<unknown>")


def may_share_blocks(one: str, other: str) -> bool:
    """Return whether files on the file systems of two paths may be able to share blocks.

    Two btrfs subvolumes of one file system have different device numbers, so for btrfs the answer may be wrongly true.

    Raises:
        OSError: as stat(2) and statfs(2).
    """
    kind = filesystem_name(one)
    if kind not in SHARE_BLOCKS or kind != filesystem_name(other):
        return False
    return kind == "btrfs" or os.stat(one).st_dev == os.stat(other).st_dev


def is_fuse(path: str) -> bool:
    """Return whether a FUSE program serves the file system that contains `path`.

    Raises:
        OSError: as statfs(2).
    """
    return _type_of(path) == _FUSE


def _type_of(path: str) -> int:
    import ctypes

    buffer = ctypes.create_string_buffer(_ROOM)
    call("statfs", os.fsencode(path), buffer)
    return int.from_bytes(buffer.raw[:_WORD], sys.byteorder) & 0xFFFFFFFF


def tells_types(path: str) -> bool:
    """Return whether directory entries have a type (d_type); `path` is a directory that is not empty.

    Raises:
        OSError: as opendir(3).
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    library.opendir.restype = library.readdir.restype = ctypes.c_void_p
    library.readdir.argtypes = library.closedir.argtypes = (ctypes.c_void_p,)
    stream = library.opendir(os.fsencode(path))
    if not stream:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    try:
        while entry := library.readdir(stream):
            if ctypes.string_at(entry + _TYPE_OFFSET, 1)[0] == _UNKNOWN_TYPE:
                return False
    finally:
        library.closedir(stream)
    return True
