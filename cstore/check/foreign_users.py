"""Layers that an ordinary user unpacked, as root sees them: their owners are those of that user's namespace."""

from __future__ import annotations

import os

from cstore.errors import ConfigError, Unsupported
from cstore.idmap import IDENTITY, IDMap, IDRange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.layout import Layout


def namespace_of(tar_split: str) -> IDMap:
    """The ID map of the user who unpacked a layer: whoever owns its tar-split file, and the directory that is in.

    Raises:
        OSError: the file or directory cannot be looked at.
    """
    written = os.lstat(tar_split)
    if os.geteuid() != 0 or written.st_uid == 0 or os.stat(os.path.dirname(tar_split)).st_uid != written.st_uid:
        return IDENTITY
    from cstore.store.rootless import granted_ids

    try:
        return granted_ids(written.st_uid, written.st_gid)
    except ConfigError:  # nobody can say what else the user may have
        return IDMap((IDRange(0, written.st_uid, 1),), (IDRange(0, written.st_gid, 1),))


def leave_to_its_user(layout: Layout) -> None:
    """Make sure that root does not mend an ordinary user's store: what root makes there, the user could not use.

    Raises:
        Unsupported: the store is another user's.
    """
    from cstore.store.rootless import login_name

    try:
        owner = os.stat(os.path.dirname(layout.tar_split("any"))).st_uid
    except OSError:
        return  # whose it is, nobody can tell
    if os.geteuid() == 0 and owner != 0:
        name = login_name(owner)
        raise Unsupported(
            f"the store at {layout.graph_root} belongs to {name}, who could not use what root mends in it",
            hint=f"repair it as {name}; check and repair --dry-run work as root",
        )
