"""btrfs requests about subvolumes: create, snapshot, destroy, recognize, limit (linux/btrfs.h).

A subvolume looks like a directory with a device number of its own and always has inode number 256.
"""

from __future__ import annotations

import os
import stat
import struct
from fcntl import ioctl

_SNAP_DESTROY = 0x5000940F
_SUBVOL_CREATE = 0x5000940E
_SNAP_CREATE_V2 = 0x50009417
_SUBVOL_GETFLAGS = 0x80089419
_SUBVOL_SETFLAGS = 0x4008941A
_INO_LOOKUP = 0xD0009412
_QUOTA_CTL = 0xC0109428
_QGROUP_CREATE = 0x4010942A
_QGROUP_LIMIT = 0x8030942B

_SPACE_INFO = 0xC0109414

_ROOT_INODE = 256
_READ_ONLY = 1 << 1
_QUOTA_ENABLE = 1
_LIMIT_REFERENCED = 1
_BLOCK = 4096
_MOST_SPACES = 16
_COPIES = ((16 | 32 | 64, 2), (512, 3), (1024, 4))
"""Profile bits (RAID1, DUP, RAID10; RAID1C3; RAID1C4) and the number of copies that each keeps."""
_NAME_AT = {_SUBVOL_CREATE: 8, _SNAP_DESTROY: 8, _SNAP_CREATE_V2: 56}


def is_subvolume(status: os.stat_result) -> bool:
    """Return whether `status`, of a file on btrfs, is that of a subvolume."""
    return stat.S_ISDIR(status.st_mode) and status.st_ino == _ROOT_INODE


def create_subvolume(folder_fd: int, name: str) -> None:
    """Create an empty subvolume in the directory `folder_fd`, owned by the process's user, with mode 0755.

    Raises:
        OSError: ENOTTY if this is not btrfs.
    """
    _by_name(folder_fd, _SUBVOL_CREATE, name)


def snapshot(source_fd: int, folder_fd: int, name: str) -> None:
    """Create a writable snapshot of the subvolume `source_fd` in the directory `folder_fd`; it is durable immediately.

    Subvolumes inside the source become empty directories in the snapshot.

    Raises:
        OSError: ENOTTY if this is not btrfs, EINVAL if the source is no subvolume, EXDEV if it is on another file
            system.
    """
    _by_name(folder_fd, _SNAP_CREATE_V2, name, source_fd)


def destroy_subvolume(folder_fd: int, name: str) -> None:
    """Remove the subvolume `name` with all its files.

    Raises:
        OSError: ENOTEMPTY if another subvolume is in it, EPERM for an ordinary user unless the mount has the option
            user_subvol_rm_allowed, EINVAL if it is no subvolume.
    """
    _by_name(folder_fd, _SNAP_DESTROY, name)


def _by_name(folder_fd: int, request: int, name: str, source_fd: int = 0) -> None:
    at, encoded = _NAME_AT[request], os.fsencode(name)
    if at + len(encoded) >= _BLOCK:
        raise OSError(36, os.strerror(36), name)
    arguments = bytearray(_BLOCK)
    struct.pack_into("=q", arguments, 0, source_fd)
    arguments[at : at + len(encoded)] = encoded
    ioctl(folder_fd, request, arguments)


def make_writable(fd: int) -> bool:
    """Make the subvolume `fd` writable; return whether it was read-only.

    Raises:
        OSError: EPERM if another user owns it, ENOTTY if this is not btrfs.
    """
    number = _flags_of(fd)
    if number & _READ_ONLY:
        ioctl(fd, _SUBVOL_SETFLAGS, struct.pack("=Q", number & ~_READ_ONLY))
    return bool(number & _READ_ONLY)


def make_read_only(fd: int) -> None:
    """Make the subvolume `fd` read-only.

    Raises:
        OSError: as `make_writable`.
    """
    ioctl(fd, _SUBVOL_SETFLAGS, struct.pack("=Q", _flags_of(fd) | _READ_ONLY))


def _flags_of(fd: int) -> int:
    flags = bytearray(8)
    ioctl(fd, _SUBVOL_GETFLAGS, flags)
    return int(struct.unpack("=Q", flags)[0])


def subvolume_id(fd: int) -> int:
    """Return the ID of the subvolume that contains the file or directory `fd`; a file system never reuses an ID.

    Raises:
        OSError: ENOTTY if this is not btrfs.
    """
    arguments = bytearray(_BLOCK)
    struct.pack_into("=QQ", arguments, 0, 0, _ROOT_INODE)
    ioctl(fd, _INO_LOOKUP, arguments)
    return int(struct.unpack_from("=Q", arguments)[0])


def enable_quotas(fd: int) -> None:
    """Enable quotas on the file system. It is not an error if they are enabled already.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN.
    """
    ioctl(fd, _QUOTA_CTL, bytearray(struct.pack("=QQ", _QUOTA_ENABLE, 0)))


def limit_subvolume(fd: int, size: int) -> None:
    """Limit the subvolume `fd` to `size` bytes. Quotas must be enabled.

    Raises:
        OSError: EPERM without CAP_SYS_ADMIN, ENOTCONN without quotas.
    """
    ioctl(fd, _QGROUP_LIMIT, bytearray(struct.pack("=6Q", 0, _LIMIT_REFERENCED, size, 0, 0, 0)))


def forget_quota(fd: int, subvolume: int) -> None:
    """Remove the quota group of a destroyed subvolume; `fd` is any directory of the file system.

    Raises:
        OSError: ENOENT if it has none, ENOTCONN without quotas, EBUSY while the subvolume still exists.
    """
    ioctl(fd, _QGROUP_CREATE, struct.pack("=QQ", 0, subvolume))


def metadata_copies(path: str) -> float:
    """Return how many bytes of free space, as statfs(2) counts it, one byte of metadata takes; 1.0 if unknown."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return 1.0
    try:
        room = bytearray(struct.pack("=QQ", _MOST_SPACES, 0) + bytes(24 * _MOST_SPACES))
        ioctl(fd, _SPACE_INFO, room)
    except OSError:
        return 1.0
    finally:
        os.close(fd)
    copies = {"data": 1, "metadata": 1}
    for number in range(min(struct.unpack_from("=Q", room, 8)[0], _MOST_SPACES)):
        flags, _, _ = struct.unpack_from("=QQQ", room, 16 + 24 * number)
        factor = next((count for bits, count in _COPIES if flags & bits), 1)
        copies |= {what: factor for what, bit in (("data", 1), ("metadata", 4)) if flags & bit}
    return copies["metadata"] / copies["data"]
