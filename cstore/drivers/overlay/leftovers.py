"""Unfinished files in the homes: temporary files, and dangling short links."""

from __future__ import annotations

import os
from itertools import count

from cstore import errors
from cstore.contexts import suppress
from cstore.drivers.overlay.lower import Place, layers_in
from cstore.fs import within
from cstore.fs.atomic import TEMPORARY_PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

FRESH = "merged.1"
"""The mount point that is going to take the place of `merged`."""
MAPPED = "mapped"


def unfinished_things(homes: Sequence[str]) -> list[str]:
    """Yield files and new mount points in homes and layers' directories that never got their names.

    So are the directories in which a mount shows layers with other owners while it is made, if something is there.
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
        return any(os.path.ismount(os.path.join(path, each)) for each in within.names_in(home, relative))
    return name.startswith(TEMPORARY_PREFIX) and within.is_file(home, relative)


def put_strays_aside(point: str) -> bool:
    """Replace a mount point that contains files with a new directory; return whether there were any.

    They were written while nothing was mounted there, and the mount would hide them, so they are kept next to it.

    Raises:
        OSError: as rename(2).
    """
    if not within.names_in(*os.path.split(point)):
        return False
    free = next(name for number in count(1) if not os.path.lexists(name := f"{point}.strays-{number}"))
    within.rename(point, free)
    within.mkdir(point, 0o700)
    return True


def renew(point: str) -> None:
    """Replace a mount point, with any contents, by an empty directory. Raises OSError."""
    fresh = os.path.join(os.path.dirname(point), FRESH)
    with suppress(FileNotFoundError):
        within.rmdir(fresh)
    within.mkdir(fresh, 0o700)
    within.rename(fresh, point)


def drop_links_of_staged(home: str, directories: Sequence[str]) -> None:
    """Remove the short links of layers that were moved to staging directories, if nothing took their place."""
    for place in [Place(staged, name) for staged in directories for name in within.names_in(*os.path.split(staged))]:
        with suppress(OSError, errors.CstoreError):
            link = place.link
            if link:
                _drop_dangling(home, link)


def _drop_dangling(home: str, link: str) -> None:
    with within.parent_of(home, f"l/{link}") as (folder, name):
        parts = os.readlink(name, dir_fd=folder).split("/")
        if len(parts) == 3 and not os.path.lexists(os.path.join(home, parts[1])):
            os.unlink(name, dir_fd=folder)
