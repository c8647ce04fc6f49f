"""Taking away what a test mounted, whatever became of it."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.kernel import mount, mountinfo


def mounts_below(folder: str) -> list[str]:
    """The mount points in a directory, deepest and latest first."""
    top = os.path.realpath(folder) + "/"
    return [each.mount_point for each in reversed(mountinfo.read_mounts()) if each.mount_point.startswith(top)]


def mount_on(path: str) -> mountinfo.MountInfo:
    """The topmost mount on a path. Other tests mount at the same time, so the table's last line says nothing."""
    where = os.path.realpath(path)
    return next(each for each in reversed(mountinfo.read_mounts()) if each.mount_point == where)


def detach_all(folder: str) -> None:
    """Unmount everything in a directory and on it, even what is in use."""
    for path in (*mounts_below(folder), os.path.realpath(folder)):
        with suppress(OSError):
            mount.unmount(path, mount.MNT_DETACH)


def detach_views(folder: str) -> None:
    """Unmount the read-only views of images below a directory; see `cstore.drivers.views`. Most often there is none."""
    with open("/proc/self/mountinfo", "rb") as table:
        if b"/view-" not in table.read():
            return
    top = os.path.realpath(folder) + "/"
    for found in reversed(mountinfo.read_mounts()):
        if found.mount_point.startswith(top) and os.path.basename(found.mount_point).startswith("view-"):
            mount.unmount(found.mount_point, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)
