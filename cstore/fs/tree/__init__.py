"""Copying, removing and measuring whole directory trees.

Names may be any bytes; depth, width and path length are unlimited. Symbolic links are never followed, and mounts inside
a tree do not belong to it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.fs.tree.copy import copy_tree
    from cstore.fs.tree.measure import Usage, newest_change, usage
    from cstore.fs.tree.remove import remove_tree

__all__ = ["Usage", "copy_tree", "newest_change", "remove_tree", "usage"]

_HOMES = {
    "Usage": "measure",
    "copy_tree": "copy",
    "newest_change": "measure",
    "remove_tree": "remove",
    "usage": "measure",
}


def __getattr__(name: str) -> Any:
    """Import a function at its first use (PEP 562): most callers need only one."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(f"cstore.fs.tree.{_HOMES[name]}", fromlist=[name]), name)
