"""What writers of layers left unfinished in the homes: temporary files, and short links that lead to nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count

from cstore.drivers.overlay.lower import Place, layers_in
from cstore.errors import CstoreError
from cstore.fs import within
from cstore.fs.atomic import TEMPORARY_PREFIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def unfinished_files(homes: Sequence[str]) -> list[str]:
    """Temporary files of homes that never got their names: their own, and those in the directories of layers."""
    folders = [(home, folder) for home in homes for folder in ("", *layers_in(home))]
    return [
        os.path.join(home, folder, name)
        for home, folder in folders
        for name in within.names_in(home, folder)
        if _is_temporary(name) and within.is_file(home, os.path.join(folder, name))
    ]


def put_strays_aside(point: str) -> bool:
    """Put a fresh directory in the place of a mount point that holds files; say whether there were any.

    Somebody wrote them while nothing was mounted there, and would not see them again: they are kept beside it.

    Raises:
        OSError: as rename(2).
    """
    if not within.names_in(*os.path.split(point)):
        return False
    free = next(name for number in count(1) if not os.path.lexists(name := f"{point}.strays-{number}"))
    within.rename(point, free)
    within.mkdir(point, 0o700)
    return True


def _is_temporary(name: str) -> bool:
    return name.startswith(TEMPORARY_PREFIX)


def drop_links_of_staged(home: str, directories: Sequence[str]) -> None:
    """Remove the short links of layers that were moved to staging directories, if nothing took their place."""
    for place in [Place(staged, name) for staged in directories for name in within.names_in(*os.path.split(staged))]:
        with suppress(OSError, CstoreError):
            link = place.link
            if link:
                _drop_dangling(home, link)


def _drop_dangling(home: str, link: str) -> None:
    with within.parent_of(home, f"l/{link}") as (folder, name):
        parts = os.readlink(name, dir_fd=folder).split("/")
        if len(parts) == 3 and not os.path.lexists(os.path.join(home, parts[1])):
            os.unlink(name, dir_fd=folder)
