"""Commands on a full or nearly full disk: deletions succeed and free space, and what does not fit leaves nothing.

`python -m tests.faults full` tries all commands with both drivers on ext4, ext4 without inodes and XFS, with 0, 64 and
192 KiB free.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.faults.commands import ALL, REPAIR, UNDO
from tests.faults.lab import Laboratory, said_badly
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DISKS = {
    "ext4": (["mkfs.ext4", "-q", "-m", "0", "-I", "256"], 48 << 20),
    "ext4 without inodes": (["mkfs.ext4", "-q", "-m", "0", "-N", "600"], 48 << 20),
    "xfs": (["mkfs.xfs", "-q"], 320 << 20),
}
"""The command that creates a file system, and its size."""
LEFT = (0, 64 << 10, 192 << 10)
"""How many bytes to leave free."""
FREEING = frozenset({
    "delete-layer", "delete-image", "delete-container", "delete", "remove-names", "wipe", "rm", "prune", "untag",
    "delete-item", "delete-container-item", "delete-layer-item", "delete-several", "delete-writable", "release",
    "release-image", "gc", "unmount", "wipe-mounted", "shutdown",
})  # fmt: skip
"""Commands that must succeed on any disk."""
_TINY = 1000
"""On a file system with fewer inodes, the inodes are used up instead of the blocks."""


class FullDisk(Laboratory):
    """Tries commands on a separate disk."""

    def __init__(self, work: str, driver: str, disk: str) -> None:
        super().__init__(work, driver, store=os.path.join(disk, "store"))
        self._disk = disk

    def on_full(self, command: str, left: int) -> list[str]:
        """Run a command with `left` bytes free; return what is wrong afterwards."""
        if command not in self._new:
            self.learn(command)
        self._begin(command)
        words = self.words(ALL[command])
        fill(self._disk, left)
        done = self._forks.run(words)
        found = [] if command in {REPAIR, UNDO} else self._damage()
        wrong = said_badly(done) + [f"on the full disk, {line}" for line in found]
        if done.returncode != 0 and command in FREEING:
            wrong.append(f"fails: {done.stderr.strip()}")
        empty(self._disk)
        return wrong + self._judge(command, words, done.returncode == 0)


@contextlib.contextmanager
def small_disk(kind: str, folder: str) -> Iterator[str]:
    """Mount an empty file system, of a kind in `DISKS`, and yield its directory."""
    words, size = DISKS[kind]
    image, mountpoint = os.path.join(folder, "image"), os.path.join(folder, "disk")
    os.mkdir(mountpoint)
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run([*words, image], check=True)
    subprocess.run(["mount", "-o", "loop", image, mountpoint], check=True)
    try:
        yield mountpoint
    finally:
        detach_all(mountpoint)


def fill(disk: str, left: int) -> None:
    """Fill a disk with other files, except for `left` bytes."""
    os.mkdir(os.path.join(disk, "filler"))
    few_inodes = os.statvfs(disk).f_files < _TINY
    with suppress(OSError):
        for number in range(1, _TINY if few_inodes else 20):
            fd = os.open(f"{disk}/filler/{number}", os.O_WRONLY | os.O_CREAT)
            try:
                for size in (1 << 20, 1 << 16, 1 << 12, 512):
                    while number < 20 and _write_some(fd, size):
                        pass
            finally:
                os.close(fd)
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 1 << 17
    if left:
        with open(f"{disk}/filler/1", "rb+") as file:
            file.truncate(max(0, os.path.getsize(file.name) - left))


def empty(disk: str) -> None:
    """Remove the other files."""
    shutil.rmtree(os.path.join(disk, "filler"))


def _write_some(fd: int, size: int) -> bool:
    try:
        return os.write(fd, bytes(size)) == size
    except OSError:
        return False


def main(words: Sequence[str]) -> int:
    """Run the requested trials. Returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults full", description=__doc__)
    parser.add_argument("--driver", action="append", choices=["overlay", "vfs"])
    parser.add_argument("--disk", action="append", choices=DISKS)
    parser.add_argument("commands", nargs="*", default=[])
    given = parser.parse_args(words)
    began = time.monotonic()
    tried = bad = 0
    for driver in given.driver or ["overlay", "vfs"]:
        for kind in given.disk or DISKS:
            with tempfile.TemporaryDirectory(dir="/dev/shm") as work, small_disk(kind, work) as disk:
                lab = FullDisk(work, driver, disk)
                for command in given.commands or ALL:
                    for left in LEFT:
                        tried += 1
                        wrong = lab.on_full(command, left)
                        bad += bool(wrong)
                        for line in wrong:
                            print(f"{driver} {kind}, {left >> 10} KiB free, {command}: {line}", flush=True)
            print(f"{driver} {kind}: {tried} so far, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    print(f"{tried} commands on full disks, {bad} with something wrong, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0
