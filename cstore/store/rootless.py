"""An ordinary user becomes root of a user namespace of their own, in which files of several owners can be made."""

from __future__ import annotations

import os

from cstore.idmap import IDRange


def enter() -> None:
    """Enter a new user namespace in this very process; it must have one thread only.

    The caller is root inside; the sub-IDs that /etc/subuid and /etc/subgid grant follow from 1 on. Without any, or
    without the programs that the system grants them through, only the caller's own ID exists inside, and an archive
    with other owners is refused with a hint what is missing.

    Raises:
        SystemFailure: the kernel refuses unprivileged user namespaces.
    """
    from cstore.config.subids import GROUP_FILE, USER_FILE, packed, read_ranges
    from cstore.kernel.namespaces import enter_user_namespace

    uid, gid = os.getuid(), os.getgid()
    uids, gids = [IDRange(0, uid, 1)], [IDRange(0, gid, 1)]
    if all(map(_installed, ("newuidmap", "newgidmap"))):
        more_uids = packed(read_ranges(str(uid), USER_FILE), first=1)
        more_gids = packed(read_ranges(str(uid), GROUP_FILE), first=1)
        if more_uids and more_gids:
            uids, gids = [*uids, *more_uids], [*gids, *more_gids]
    enter_user_namespace(uids, gids)


def _installed(program: str) -> bool:
    return any(os.access(os.path.join(directory, program), os.X_OK) for directory in os.get_exec_path())
