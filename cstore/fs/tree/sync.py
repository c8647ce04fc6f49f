"""Making a new tree durable: file by file if it is small, otherwise with a sync of its whole file system.

For thousands of new files, one call for the whole file system is cheapest, but it also waits for what others have
written. So a tree of at most `FEW` entries and `SMALL` bytes is synced by itself, on file systems where syncing a
directory also makes earlier changes to its links and devices durable: ext4 and XFS.
"""

from __future__ import annotations

import os
import stat

FEW = 32
"""Entries, including directories."""
SMALL = 4 << 20
"""Bytes."""
_IN_ORDER = frozenset({"extfs", "xfs"})
"""File systems with one journal for all metadata, which reaches the disk in order."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def sync_tree(root: int, entries: int, size: int) -> None:
    """Make a new tree durable. `root` is its descriptor; `entries` and `size` (in bytes) are its totals.

    Raises:
        OSError: the sync failed.
    """
    from cstore.kernel.files import syncfs
    from cstore.kernel.statfs import filesystem_name

    few = entries <= FEW and size <= SMALL and filesystem_name(f"/proc/self/fd/{root}") in _IN_ORDER
    if not (few and _sync_each(root)):
        syncfs(root)


def _sync_each(root: int) -> bool:
    """Sync each file of a tree, then its directories; return whether that was possible."""
    from cstore.kernel.files import start_writing

    files: list[int] = []
    folders = [os.dup(root)]
    try:
        for folder in folders:  # the loop also visits directories that it appends
            for name in os.listdir(folder):
                kind = stat.S_IFMT(os.lstat(name, dir_fd=folder).st_mode)
                if kind == stat.S_IFREG:
                    files.append(os.open(name, _FLAGS, dir_fd=folder))
                    start_writing(files[-1])  # start all before waiting for one
                elif kind == stat.S_IFDIR:
                    folders.append(os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=folder))
            if len(files) + len(folders) > 2 * FEW:  # more than `entries`: parents that the archive does not list
                return False
        for each in (*files, *reversed(folders)):
            os.fsync(each)
    except PermissionError:  # a new file with a mode that denies reading
        return False
    finally:
        for each in (*files, *folders):
            os.close(each)
    return True
