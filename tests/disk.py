"""A fresh ext4 on a loop file in memory, for a benchmark or a test that makes tens of thousands of files.

On one ext4, deleting many files makes later creations slower for minutes; and what goes away with its file system needs
no deleting at all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = "/dev/shm"
SIZE = 3 << 30


def can_make_disks() -> bool:
    """Whether this user and machine can mount loop files in memory, and have the memory."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or not os.path.exists("/dev/loop-control"):
        return False
    free = os.statvfs(MEMORY)
    return free.f_bavail * free.f_frsize >= SIZE


@contextlib.contextmanager
def fresh_disk() -> Iterator[str]:
    """Yield an empty directory on a file system nobody has used; an ordinary directory where that cannot be had."""
    if not can_make_disks():
        directory = tempfile.mkdtemp(prefix="cstore-disk-")
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return
    with tempfile.NamedTemporaryFile(dir=MEMORY, prefix="cstore-disk-") as image:
        image.truncate(SIZE)
        # All inode tables now: the kernel would otherwise fill them in the background of the first timings.
        options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-m", "0"]
        subprocess.run(["mkfs.ext4", *options, image.name], check=True)
        mountpoint = tempfile.mkdtemp(prefix="cstore-disk-")
        try:
            subprocess.run(["mount", "-o", "loop", image.name, mountpoint], check=True)
            try:
                os.rmdir(os.path.join(mountpoint, "lost+found"))
                yield mountpoint
            finally:
                # Lazily: a process that a failed test left behind must not keep the next test from its disk.
                subprocess.run(["umount", "--lazy", mountpoint], check=True)
        finally:
            os.rmdir(mountpoint)
