"""Determines the type of a path's file system."""

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
"""Types of mounts that tell the file system beyond doubt, and its name above."""
SHARE_BLOCKS = frozenset({"btrfs", "xfs", "bcachefs", "ocfs2"})
"""File systems whose files may share blocks, and that say which."""
SMALL_FILES_IN_METADATA = frozenset({"btrfs"})
"""File systems whose metadata counts as used space as files come, and has small files in it."""
_FUSE = 0x65735546
_WORD = 8  # bytes of f_type, the first field, on 64-bit systems
_ROOM = 256  # struct statfs is 120 bytes on 64-bit systems
_TYPE_OFFSET = 18  # of d_type in struct dirent: after inode, offset and length
_UNKNOWN_TYPE = 0


def filesystem_name(path: str) -> str:
    """The file system that holds `path`, as the Go tool names it (drivers 4.1); `<unknown>` for others.

    Raises:
        OSError: as statfs(2).
    """
    return _BY_MOUNT.get(_mounted_as(path)) or _NAMES.get(_type_of(path), "<unknown>")


def _mounted_as(path: str) -> str:
    """The type of the mount that has the device of `path`, "" if none is found: asked first, for it needs no ctypes."""
    device = os.stat(path).st_dev
    try:
        with open("/proc/self/mountinfo", "rb") as table:
            before, _, after = table.read().partition(b" %d:%d " % (os.major(device), os.minor(device)))
    except OSError:
        return ""
    return (
        after.partition(b"\n")[0].partition(b" - ")[2].partition(b" ")[0].decode("ascii", "replace") if before else ""
    )


def may_share_blocks(one: str, other: str) -> bool:
    """Whether files on the file systems of two paths may share blocks.

    Two volumes of one btrfs have different device numbers, so of two paths on btrfs nobody can be sure.

    Raises:
        OSError: as stat(2) and statfs(2).
    """
    kind = filesystem_name(one)
    if kind not in SHARE_BLOCKS or kind != filesystem_name(other):
        return False
    return kind == "btrfs" or os.stat(one).st_dev == os.stat(other).st_dev


def is_fuse(path: str) -> bool:
    """Whether a program serves the file system that holds `path`.

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
    """Whether directories say of what type their entries are; `path` is one that is not empty.

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
