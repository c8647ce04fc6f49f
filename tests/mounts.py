"""Unmounting everything that a test mounted, even after a failure."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.kernel import mount, mountinfo


def mounts_below(folder: str) -> list[str]:
    """Return the mount points in a directory, deepest and latest first."""
    top = os.path.realpath(folder) + "/"
    return [each.mount_point for each in reversed(mountinfo.read_mounts()) if each.mount_point.startswith(top)]


def mount_on(path: str) -> mountinfo.MountInfo:
    """Return the topmost mount on a path. The table's last line may belong to a concurrent test."""
    where = os.path.realpath(path)
    return next(each for each in reversed(mountinfo.read_mounts()) if each.mount_point == where)


def detach_all(folder: str) -> None:
    """Unmount everything in a directory and on it, even if it is in use."""
    for path in (*mounts_below(folder), os.path.realpath(folder)):
        with suppress(OSError):
            mount.unmount(path, mount.MNT_DETACH)


def detach_views(folder: str) -> None:
    """Unmount the read-only views of images below a directory (`cstore.drivers.views`). Usually there are none."""
    with open("/proc/self/mountinfo", "rb") as table:
        if b"/view-" not in table.read():
            return
    top = os.path.realpath(folder) + "/"
    for found in reversed(mountinfo.read_mounts()):
        if found.mount_point.startswith(top) and os.path.basename(found.mount_point).startswith("view-"):
            mount.unmount(found.mount_point, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
