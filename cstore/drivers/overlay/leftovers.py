"""Find what interrupted writers left in the homes: temporary files, and short links that lead nowhere."""

from __future__ import annotations

import os
from itertools import count

from cstore import errors, presence
from cstore.contexts import suppress
from cstore.drivers.overlay.lower import Place, layers_in
from cstore.fs import within
from cstore.fs.atomic import TEMPORARY_PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FRESH = "merged.1"
"""The new mount point that will replace `merged`."""
MAPPED = "mapped"


def unfinished_things(homes: Sequence[str]) -> list[str]:
    """Return temporary files and new mount points that were never renamed into place, in homes and layer directories.

    Directories for ID-mapped mounts are also unfinished if something is mounted there, because each exists only while a
    layer is being mounted.
    """
    return [
        os.path.join(home, folder, name)
        for home in homes
        for folder in ("", *layers_in(home))
        for name in within.names_in(home, folder)
        if _is_unfinished(home, os.path.join(folder, name))
    ]


def _is_unfinished(home: str, relative: str) -> bool:
    folder, name = os.path.split(relative)
    if folder and name == FRESH:
        return within.is_directory(home, relative)
    if folder and name == MAPPED:
        path = os.path.join(home, relative)
        return any(presence.is_mount_point(os.path.join(path, each)) for each in within.names_in(home, relative))
    return name.startswith(TEMPORARY_PREFIX) and within.is_file(home, relative)


def put_strays_aside(point: str) -> bool:
    """Replace a mount point that contains files by a new directory; return whether it contained any.

    A process wrote them while nothing was mounted, and the mount would hide them, so they are kept beside it.

    Raises:
        OSError: as rename(2).
    """
    if not within.names_in(*os.path.split(point)):
        return False
    free = next(name for number in count(1) if not presence.is_there(name := f"{point}.strays-{number}"))
    within.rename(point, free)
    within.mkdir(point, 0o700)
    return True


def renew(point: str) -> None:
    """Replace a mount point by an empty directory, whatever was left in it. Raises OSError."""
    fresh = os.path.join(os.path.dirname(point), FRESH)
    with suppress(FileNotFoundError):
        within.rmdir(fresh)
    within.mkdir(fresh, 0o700)
    within.rename(fresh, point)


def drop_links_of_staged(home: str, directories: Sequence[str]) -> None:
    """Remove the short links of layers that were moved to staging directories, unless another layer replaced them."""
    for place in [Place(staged, name) for staged in directories for name in within.names_in(*os.path.split(staged))]:
        with suppress(OSError, errors.CstoreError):
            link = place.link
            if link:
                _drop_dangling(home, link)


def _drop_dangling(home: str, link: str) -> None:
    with within.parent_of(home, f"l/{link}") as (folder, name):
        parts = os.readlink(name, dir_fd=folder).split("/")
        if len(parts) == 3 and not presence.is_there(os.path.join(home, parts[1])):
            os.unlink(name, dir_fd=folder)
