"""A tree that no path reaches the end of."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def deep_tree(root: str, depth: int) -> Iterator[str]:
    """Make directories within directories, a file `zz` beside each, and remove them afterwards."""
    os.mkdir(root)
    current = os.open(root, os.O_RDONLY)
    try:
        for _ in range(depth):
            os.close(os.open("zz", os.O_CREAT | os.O_WRONLY, dir_fd=current))
            os.mkdir("directory", dir_fd=current)
            below = os.open("directory", os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = below
        yield root
    finally:
        for _ in range(depth):
            above = os.open("..", os.O_RDONLY, dir_fd=current)
            os.close(current)
            current = above
            os.rmdir("directory", dir_fd=current)
            os.unlink("zz", dir_fd=current)
        os.close(current)
        os.rmdir(root)
