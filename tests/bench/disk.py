"""A fresh ext4 on a loop file in memory, for every single run."""

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
    """Whether this user and machine can mount loop files."""
    return os.geteuid() == 0 and os.path.isdir(MEMORY) and shutil.which("mkfs.ext4") is not None


@contextlib.contextmanager
def fresh_disk() -> Iterator[str]:
    """Yield an empty directory on a file system nobody has used; an ordinary directory where that cannot be had."""
    if not can_make_disks():
        with tempfile.TemporaryDirectory() as directory:
            yield directory
        return
    image = tempfile.NamedTemporaryFile(dir=MEMORY, prefix="cstore-bench-")  # noqa: SIM115  - closed by the `with` below
    mountpoint = tempfile.mkdtemp(prefix="cstore-bench-")
    with image:
        image.truncate(SIZE)
        # All inode tables now: the kernel would otherwise fill them in the background of the first timings.
        options = ["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-m", "0"]
        subprocess.run(["mkfs.ext4", *options, image.name], check=True)
        subprocess.run(["mount", "-o", "loop", image.name, mountpoint], check=True)
        try:
            os.rmdir(os.path.join(mountpoint, "lost+found"))
            yield mountpoint
        finally:
            subprocess.run(["umount", mountpoint], check=True)
            os.rmdir(mountpoint)
