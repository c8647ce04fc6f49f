"""Distinguishes names in a directory's listing from existing files: in a mounted overlay they differ."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os


def is_there(entry: os.DirEntry[str]) -> bool:
    """Whether a listed entry can be found.

    Overlay lists the whiteouts of a directory that only one layer has, for it need not merge it, and then denies that
    they are there. The question costs nothing for all but devices, sockets and pipes.

    Raises:
        OSError: the entry cannot be looked at.
    """
    if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink():
        return True
    try:
        entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
