"""A driver's home that is mounted on itself, as the programs of this family do with it (drivers 7.2, 12.1)."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.kernel import mount, mountinfo


def release_home(home: str) -> None:
    """Take such mounts away. A disk that the administrator mounted on the home stays."""
    with suppress(OSError):
        while _is_bound_to_itself(os.path.realpath(home)):
            mount.unmount(home, mount.MNT_DETACH | mount.UMOUNT_NOFOLLOW)


def _is_bound_to_itself(home: str) -> bool:
    mounts = mountinfo.read_mounts()
    on_top = next((each for each in reversed(mounts) if each.mount_point == home), None)
    if on_top is None:
        return False
    beneath = next((each for each in mounts if each.mount_id == on_top.parent_id), None)
    if beneath is None or beneath.device != on_top.device:
        return False
    inside = os.path.relpath(home, beneath.mount_point)
    return os.path.normpath(os.path.join(beneath.root, inside)) == on_top.root
