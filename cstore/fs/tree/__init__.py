"""Whole directory trees: copy, remove, measure.

All of them accept names of any bytes, trees of any depth and width, and paths longer than the kernel's limit. They
never follow a symbolic link, and ignore everything mounted inside a tree.
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
    """Import what is asked for when it is first asked for (PEP 562): many who walk trees remove none."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(__import__(f"cstore.fs.tree.{_HOMES[name]}", fromlist=[name]), name)
