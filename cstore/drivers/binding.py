"""Remove a driver's mounts, and the bind mount of its home on itself that other programs create (drivers 7.2, 12.1)."""

from __future__ import annotations

import os

from cstore.contexts import suppress
from cstore.fs import within
from cstore.kernel import mount, mountinfo


def detach(point: str) -> None:
    """Unmount everything at a path, even while it is in use. Raises OSError."""
    while mountinfo.is_mountpoint(point):
        with within.path_past_links(point) as way:
            mount.unmount(way, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)


def release_home(home: str) -> None:
    """Remove bind mounts of a driver's home on itself. A disk that the administrator mounted there stays."""
    with suppress(OSError):
        while _is_bound_to_itself(os.path.realpath(home)):
            mount.unmount(home, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)


def _is_bound_to_itself(home: str) -> bool:
    mounts = mountinfo.read_mounts()
    on_top = next((each for each in reversed(mounts) if each.mount_point == home), None)
    if on_top is None:
        return False
    below = next((each for each in mounts if each.mount_id == on_top.parent_id), None)
    if below is None or below.device != on_top.device:
        return False
    inside = os.path.relpath(home, below.mount_point)
    return os.path.normpath(os.path.join(below.root, inside)) == on_top.root
