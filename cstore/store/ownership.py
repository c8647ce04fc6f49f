"""Whose a store is: what root makes in another user's store, that user could not read any more."""

from __future__ import annotations

import os

from cstore.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.layout import Layout


def leave_to_its_user(layout: Layout) -> None:
    """Make sure that root does not write into an ordinary user's store. Reading it is fine.

    A store is the user's who owns most of its directories. A graph root without any is nobody's store yet, whoever
    owns it: that is how a user's directory is given to a container as the place of root's store.

    Raises:
        Unsupported: the store is another user's.
    """
    if os.geteuid() != 0:
        return
    owner = _owner(layout)
    if owner is None or not _sees_every_user():
        return
    from cstore.store.rootless import login_name

    uid, gid = owner
    name = login_name(uid)
    known = not name.isdecimal()
    user = f"{name} (UID {uid})" if known else f"UID {uid}"
    way = f"runuser -u {name} -- cstore" if known else f"setpriv --reuid={uid} --regid={gid} --clear-groups cstore"
    raise Unsupported(
        f"the store at {layout.graph_root} belongs to {user}, who could not use files that root writes there",
        hint=f"run the command as its owner: {way} …",
    )


def _owner(layout: Layout) -> tuple[int, int] | None:
    """The user and group who own most directories of the store; None if that is root, or there are none.

    A single one that is somebody else's is damage, which root may repair.
    """
    owners = []
    for path in (layout.driver_home, layout.layers, layout.images, layout.containers):
        try:
            status = os.stat(path)
        except OSError:
            continue
        owners.append((status.st_uid, status.st_gid))
    others = [owner for owner in owners if owner[0] != 0]
    return max(others, key=others.count) if others and 2 * len(others) >= len(owners) else None


def _sees_every_user() -> bool:
    """Whether this is root of the machine: in a user namespace, owners are what the namespace says."""
    from cstore.config.rootless import current_process

    return current_process().whole_map
