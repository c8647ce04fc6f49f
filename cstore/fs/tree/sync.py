"""A new tree brought to the disk: file by file if it is small, or else with all that its file system has to write.

One call for the whole file system costs the least where thousands of files are new, but it waits for what everybody
else has written, too. So a tree of at most `FEW` entries with at most `SMALL` bytes is synced by itself, where a synced
directory brings along what was done before to the links and devices in it: on ext4 and XFS.
"""

from __future__ import annotations

import os
import stat

FEW = 32
"""Entries, directories included."""
SMALL = 4 << 20
"""Bytes."""
_IN_ORDER = frozenset({"extfs", "xfs"})
"""File systems with one journal for all metadata, which is on the disk in the order of what was done."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def sync_tree(root: int, entries: int, size: int) -> None:
    """Bring a tree to the disk. `root` is its descriptor; it has so many entries with so many bytes, all of them new.

    Raises:
        OSError: the disk refused.
    """
    from cstore.kernel.files import syncfs
    from cstore.kernel.statfs import filesystem_name

    few = entries <= FEW and size <= SMALL and filesystem_name(f"/proc/self/fd/{root}") in _IN_ORDER
    if not (few and _sync_each(root)):
        syncfs(root)


def _sync_each(root: int) -> bool:
    """Sync everything in a tree, its directories after what is in them; says whether that could be done."""
    from cstore.kernel.files import start_writing

    files: list[int] = []
    folders = [os.dup(root)]
    try:
        for folder in folders:  # those that are found are looked into as well
            for name in os.listdir(folder):
                kind = stat.S_IFMT(os.lstat(name, dir_fd=folder).st_mode)
                if kind == stat.S_IFREG:
                    files.append(os.open(name, _FLAGS, dir_fd=folder))
                    start_writing(files[-1])  # of all files, before one of them is waited for
                elif kind == stat.S_IFDIR:
                    folders.append(os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=folder))
            if len(files) + len(folders) > 2 * FEW:  # directories that have no entry of their own
                return False
        for each in (*files, *reversed(folders)):
            os.fsync(each)
    except PermissionError:  # a file of our own without permission to read
        return False
    finally:
        for each in (*files, *folders):
            os.close(each)
    return True
