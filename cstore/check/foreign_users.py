"""Layers that an ordinary user unpacked, as root sees them: their owners are those of that user's namespace."""

from __future__ import annotations

import os

from cstore.errors import ConfigError
from cstore.idmap import IDENTITY, IDMap, IDRange


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
