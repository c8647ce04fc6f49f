"""Whole directory trees: copy, remove, measure.

Common ground: names are any bytes, depth and width have no limit, a path longer than the kernel takes is no obstacle, a
symbolic link is never followed, and nothing that is mounted inside a tree counts as part of it.
"""

from __future__ import annotations

from cstore.fs.tree.measure import Usage, usage
from cstore.fs.tree.remove import remove_tree

__all__ = ["Usage", "remove_tree", "usage"]
