"""An independent look at a tree: everything a copy must keep, in a form that two trees can be compared in."""

from __future__ import annotations

import hashlib
import os
import stat
from typing import NamedTuple

NOT_COPIED = {"security.selinux", "security.SMACK64", "security.evm"}


class Seen(NamedTuple):
    """What one name stands for."""

    mode: int
    uid: int
    gid: int
    device: int
    size: int
    mtime: int
    content: str
    attributes: tuple[tuple[str, bytes], ...]
    first_name: bytes


def snapshot(root: str, *, times: bool = True) -> dict[bytes, Seen]:
    """Look at every name below `root` and at the root itself, which is called b"."; sockets are left out."""
    found: dict[bytes, Seen] = {}
    names: dict[tuple[int, int], bytes] = {}
    top = os.fsencode(root)
    for folder, folders, files in os.walk(top):
        paths = [os.path.join(folder, name) for name in [*folders, *files]]
        for path in sorted([*paths, top] if folder == top else paths):
            status = os.lstat(path)
            name = os.path.relpath(path, top)
            if not stat.S_ISSOCK(status.st_mode):
                first = names.setdefault((status.st_dev, status.st_ino), name)
                found[name] = _look(path, status, first, times=times)
    # The first name of a file with several depends on the order of the walk: take the least.
    least: dict[bytes, bytes] = {}
    for name, seen in found.items():
        least[seen.first_name] = min(name, least.get(seen.first_name, name))
    return {name: seen._replace(first_name=least[seen.first_name]) for name, seen in found.items()}


def _look(path: bytes, status: os.stat_result, first: bytes, *, times: bool) -> Seen:
    content = ""
    if stat.S_ISLNK(status.st_mode):
        content = os.fsdecode(os.readlink(path))
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    attributes = [
        (name, os.getxattr(path, name, follow_symlinks=False))
        for name in sorted(os.listxattr(path, follow_symlinks=False))
        if name not in NOT_COPIED
    ]
    return Seen(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        device=status.st_rdev,
        size=0 if stat.S_ISDIR(status.st_mode) else status.st_size,
        mtime=status.st_mtime_ns if times else 0,
        content=content,
        attributes=tuple(attributes),
        first_name=first,
    )
