"""Check the path from one of a store's top directories to a path in a journal or finding."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore import presence
from cstore.fs import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.layout import Layout


def way_to(layout: Layout, path: str) -> tuple[str, str] | None:
    """Split a path into a top directory of the store and the rest; None if it is not below any.

    Roots are compared by device and inode, because the path may name them differently.
    """
    roots = [root for root in (layout.graph_root, layout.run_root, layout.image_store) if root]
    known = [os.stat(root) for root in roots if presence.is_directory(root)]
    tops = {os.path.basename(top) for top in (layout.driver_home, layout.layers, layout.images, layout.containers)}
    parts = os.path.normpath(path).split("/")
    for end in range(1, len(parts)):
        above = "/".join(parts[:end]) or "/"
        with suppress(OSError):
            status = os.stat(above)
            if any(os.path.samestat(status, root) for root in known):
                top = 1 if parts[end] in tops and end + 1 < len(parts) else 0
                return "/".join(parts[: end + top]) or "/", "/".join(parts[end + top :])
    return None


def require_way(layout: Layout, path: str) -> None:
    """Check that the parents of a path in the store are directories, not symbolic links or other files.

    Raises:
        ForeignThing: one of them is not a directory.
        OSError: one of them cannot be examined.
    """
    way = way_to(layout, path)
    if way is not None:
        with suppress(FileNotFoundError), within.parent_of(*way):
            pass
