"""mount(2) and umount2(2)."""

from __future__ import annotations

import os

from cstore.kernel.libc import call

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_SYNCHRONOUS = 0x10
MS_REMOUNT = 0x20
MS_DIRSYNC = 0x80
MS_NOATIME = 0x400
MS_NODIRATIME = 0x800
MS_BIND = 0x1000
MS_MOVE = 0x2000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MS_STRICTATIME = 0x1000000

MNT_FORCE = 0x1
MNT_DETACH = 0x2
MNT_EXPIRE = 0x4
UMOUNT_NOFOLLOW = 0x8


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """Mount `source` on `target`, or change an existing mount, according to `flags` (MS_*).

    Raises:
        OSError: the kernel refused; `filename` is the target.
    """
    import ctypes

    try:
        call(
            "mount",
            os.fsencode(source) or None,
            os.fsencode(target),
            os.fsencode(fstype) or None,
            ctypes.c_ulong(flags),
            os.fsencode(data) or None,
        )
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None


def unmount(target: str, flags: int = 0) -> None:
    """Unmount the topmost mount on `target`. Flags are MNT_* and UMOUNT_NOFOLLOW.

    Raises:
        OSError: EINVAL if nothing is mounted there, EBUSY if it is in use; `filename` is the target.
    """
    try:
        call("umount2", os.fsencode(target), flags)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None
