"""Images in a directory of an archive, as `tar c layout` packs them, or in one of a directory.

What is at the top of an archive counts; only where that is no archive of images is it looked for one further down. One
is taken in its place. Several are named, and so is one in a root file system, which is hardly what was meant.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from cstore.errors import CstoreError, ImageArchiveError
from cstore.transfer.docker_archive import MANIFEST
from cstore.transfer.manifests import LARGEST, load_json
from cstore.transfer.members import Catalogue, DirectoryMembers
from cstore.transfer.oci_layout import INDEX, LAYOUT
from cstore.transfer.v1_archive import REPOSITORIES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

    from cstore.transfer.members import Members, Part

DOCUMENTS = (MANIFEST, INDEX, REPOSITORIES)
_DEEPEST = 2
_OF_SYSTEMS = frozenset({"bin", "etc", "lib", "proc", "sbin", "usr", "var"})
"""Names at the top of a root file system."""
_MOST_NAMED = 3


def settled(members: Members, opened: ExitStack) -> Members:
    """The members that make an archive of images: these, or those of the one directory in which there is one.

    What has to be opened for that is closed with `opened`.

    Raises:
        ImageArchiveError: several directories have one, or one of a root file system.
    """
    if any(_is_there(members, name) for name in DOCUMENTS):
        return members
    names = _names_beneath(members)
    folders = sorted({name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in DOCUMENTS} - {""})
    found = [folder for folder in folders if _holds_images(_Below(members, folder))]
    if not found:
        return members
    tops = {name.partition("/")[0] for name in names}
    if len(found) == 1 and found[0].count("/") < _DEEPEST and not tops & _OF_SYSTEMS:
        return _entered(members, found[0], opened)
    shown = ", ".join(map(repr, found[:_MOST_NAMED]))
    more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    there = isinstance(members, DirectoryMembers)
    way_out = f"cstore load {os.path.join(members.shown if there else 'DIRECTORY', found[0])}"
    raise ImageArchiveError(
        members.shown,
        f"it is not an image archive, but contains {'one' if len(found) == 1 else 'some'}: {shown}{more}",
        hint=f"choose one: {way_out}" if there else f"unpack it into a directory, and choose one: {way_out}",
    )


def _is_there(members: Members, name: str) -> bool:
    try:
        return members.find(name) is not None
    except CstoreError:
        return True  # whoever reads it says what is wrong with it


def _entered(members: Members, folder: str, opened: ExitStack) -> Members:
    if not isinstance(members, DirectoryMembers):
        return _Below(members, folder)
    fd = members.enter(folder)
    opened.callback(os.close, fd)
    return DirectoryMembers(fd, os.path.join(members.shown, folder))


def _holds_images(members: _Below) -> bool:
    """Whether a directory has documents of images, and no others that are only called alike."""
    with suppress(CstoreError):
        if members.find(INDEX) is not None and members.find(LAYOUT) is not None:
            return True
        part = members.find(MANIFEST)
        if part is not None:
            items = load_json(part.read(LARGEST), MANIFEST)
            return isinstance(items, list) and all(isinstance(item, dict) and "Config" in item for item in items)
        part = members.find(REPOSITORIES)
        if part is not None:
            tags = load_json(part.read(LARGEST), REPOSITORIES)
            return isinstance(tags, dict) and all(isinstance(each, dict) for each in tags.values())
    return False


class _Below:
    """The members in a directory of an archive."""

    def __init__(self, members: Members, folder: str) -> None:
        self._members, self._folder = members, folder
        self.shown = members.shown

    def find(self, name: str) -> Part | None:
        """See `Members.find`."""
        part = self._members.find(f"{self._folder}/{name}")
        return part.with_(name=name) if part is not None and part.fd >= 0 else part


def _names_beneath(members: Members) -> Iterable[str]:
    if isinstance(members, Catalogue):
        return members.names()
    return list(members.names(_DEEPEST)) if isinstance(members, DirectoryMembers) else ()
