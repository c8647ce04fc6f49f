"""A fresh ext4 on a loop file in memory, for benchmarks and tests that create tens of thousands of files.

On a used ext4, deleting many files slows down creations for minutes; and files on a discarded file system need not be
deleted at all.
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
    """Return whether this user and machine can mount loop files in memory, and have enough memory."""
    if os.geteuid() != 0 or shutil.which("mkfs.ext4") is None or not os.path.exists("/dev/loop-control"):
        return False
    free = os.statvfs(MEMORY)
    return free.f_bavail * free.f_frsize >= SIZE


@contextlib.contextmanager
def fresh_disk() -> Iterator[str]:
    """Yield an empty directory on a new file system; an ordinary directory if that is impossible."""
    if not can_make_disks():
        directory = tempfile.mkdtemp(prefix="cstore-disk-")
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return
    with tempfile.NamedTemporaryFile(dir=MEMORY, prefix="cstore-disk-") as image:
        image.truncate(SIZE)
        # Create all inode tables now; otherwise the kernel fills them in the background during the first measurements.
        options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-m", "0"]
        subprocess.run(["mkfs.ext4", *options, image.name], check=True)
        mountpoint = tempfile.mkdtemp(prefix="cstore-disk-")
        try:
            subprocess.run(["mount", "-o", "loop", image.name, mountpoint], check=True)
            try:
                os.rmdir(os.path.join(mountpoint, "lost+found"))
                yield mountpoint
            finally:
                # Lazily: a process left behind by a failed test must not block the next test.
                subprocess.run(["umount", "--lazy", mountpoint], check=True)
        finally:
            os.rmdir(mountpoint)
