"""An ordinary user becomes root of a user namespace of their own, in which files of several owners can be made."""

from __future__ import annotations

import os

from cstore.idmap import IDRange


def enter() -> None:
    """Enter a new user namespace in this very process; it must have one thread only.

    The caller is root inside; the sub-IDs that /etc/subuid and /etc/subgid grant follow from 1 on. Without any, only
    the caller's own ID exists inside, and an archive with other owners fails with a hint which line to add.

    Raises:
        SystemFailure: the kernel refuses unprivileged user namespaces.
    """
    from cstore.config.subids import GROUP_FILE, USER_FILE, packed, read_ranges
    from cstore.kernel.namespaces import enter_user_namespace

    uid, gid = os.getuid(), os.getgid()
    enter_user_namespace(
        (IDRange(0, uid, 1), *packed(read_ranges(str(uid), USER_FILE), first=1)),
        (IDRange(0, gid, 1), *packed(read_ranges(str(uid), GROUP_FILE), first=1)),
    )
