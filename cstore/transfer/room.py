"""Whether what is to come can fit where it goes."""

from __future__ import annotations

import os

from cstore.errors import DoesNotFit
from cstore.fs.writable import nearest_directory


def require_room(what: str, root: str, needed: int) -> int:
    """Make sure that so many bytes can be written where a directory is, or will be; return how many can, or -1.

    Raises:
        DoesNotFit: they cannot.
    """
    try:
        found = os.statvfs(nearest_directory(root))
    except OSError:
        return -1
    free = found.f_bavail * found.f_frsize
    if free < needed:
        raise DoesNotFit(what, root, needed, free)
    return free
