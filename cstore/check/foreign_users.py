"""Stores of ordinary users, as root sees them."""

from __future__ import annotations

import os

from cstore.errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.layout import Layout


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
