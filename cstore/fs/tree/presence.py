"""Whether a listed directory entry exists, which is not certain in a mounted overlay."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os


def is_there(entry: os.DirEntry[str]) -> bool:
    """Return whether a listed entry exists.

    Overlay lists the whiteouts of a directory that only one layer has, because it need not merge it, but a lookup then
    fails. Only devices, sockets and pipes cost a system call.

    Raises:
        OSError: the entry cannot be examined.
    """
    if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink():
        return True
    try:
        entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
