"""Whole directory trees: copy, remove, measure.

Common ground: names are any bytes, depth and width have no limit, a path longer than the kernel takes is no obstacle, a
symbolic link is never followed, and nothing that is mounted inside a tree counts as part of it.
"""

from __future__ import annotations

from cstore.fs.tree.measure import Usage, newest_change, usage
from cstore.fs.tree.remove import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.fs.tree.copy import copy_tree

__all__ = ["Usage", "copy_tree", "newest_change", "remove_tree", "usage"]


def __getattr__(name: str) -> Any:
    """Load the copying half when it is asked for: most commands remove or measure, and few copy."""
    if name == "copy_tree":
        from cstore.fs.tree.copy import copy_tree

        return copy_tree
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
