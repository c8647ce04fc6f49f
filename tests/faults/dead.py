"""The disk dies under a command: from one system call on, everything fails, or every change; then it is mounted again.

A fault of `lab.py` hits one call, and those after it succeed. Here nothing can be taken back: no record can be written,
nothing renamed or removed, until the disk is there again. `python -m tests.faults dead` tries a sample: with what was
not synced kept, or lost as in a power cut; and with a file system that the kernel makes read-only after an error.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from cstore.fs.atomic import sync_filesystem
from tests.faults.commands import ALL
from tests.faults.injection import ANSWER, CONTINUE, KILLED, Injection
from tests.faults.lab import Case, Laboratory, said_badly
from tests.mounts import detach_all, mount_on

if TYPE_CHECKING:
    from collections.abc import Sequence

WAYS = {"kept": 0, "lost": 2, "read-only": -1}
"""What becomes of that which has not been synced, as a flag of the call that ends a file system; or something else."""
_SHUT_DOWN = 0x8004587D
_SIZE = 256 << 20


class _Death(Injection):
    """Has the disk die before the nth call."""

    def __init__(self, number: int, disk: str, way: int) -> None:
        super().__init__(number, KILLED)
        self._disk, self._way = disk, way

    def _answer(self, asked: int, thread: int) -> bytes:
        self._counts[thread] = self._counts.get(thread, 0) + 1
        if not self.hits and self._counts[thread] == self._number:
            self.hits += 1
            self._end()
        return ANSWER.pack(asked, 0, 0, CONTINUE)

    def _end(self) -> None:
        if self._way < 0:
            device = os.path.basename(mount_on(self._disk).source)
            with open(f"/sys/fs/ext4/{device}/trigger_fs_error", "w", encoding="ascii") as file:
                file.write("the laboratory")
            return
        fd = os.open(self._disk, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUT_DOWN, struct.pack("I", self._way))
        finally:
            os.close(fd)


class DeadDisk(Laboratory):
    """Tries commands on a disk of its own."""

    def __init__(self, work: str, driver: str) -> None:
        self._disk, self._image = os.path.join(work, "disk"), os.path.join(work, "image")
        os.mkdir(self._disk)
        with open(self._image, "wb") as file:
            file.truncate(_SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", self._image], check=True)
        self._mount()
        super().__init__(work, driver, store=os.path.join(self._disk, "store"))

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", "loop,errors=remount-ro", self._image, self._disk], check=True)

    def _let_go(self) -> None:
        """Wait until nothing has the dead file system any more: as long as that is, it would be mounted again."""
        while subprocess.run(["losetup", "-j", self._image], capture_output=True, check=True).stdout:
            time.sleep(0.05)

    def dies(self, case: Case, way: int) -> list[str]:
        """Have the disk die before the call of a case; return what is wrong after it."""
        self._begin(case.command)
        words = self.words(ALL[case.command])
        sync_filesystem(self._disk)  # what the copy is made of
        death = _Death(case.number, self._disk, way)
        done = self._forks.hit(words, self._numbers[case.call], death)
        self.missed += not death.hits
        detach_all(self._disk)
        self._let_go()
        subprocess.run(["e2fsck", "-p", self._image], check=False, capture_output=True)  # 1: it has corrected something
        self._mount()
        if not death.hits:
            return []
        return said_badly(done) + self._judge(case.command, words, done.returncode == 0)


def main(words: Sequence[str]) -> int:
    """Try what was asked for. Returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults dead", description=__doc__)
    parser.add_argument("--driver", action="append", choices=["overlay", "vfs"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=5, help="how many calls of each command")
    parser.add_argument("commands", nargs="*", default=[])
    given = parser.parse_args(words)
    began = time.monotonic()
    tried = bad = 0
    choice = random.Random(given.seed)
    for driver in given.driver or ["overlay", "vfs"]:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as work:
            lab = DeadDisk(work, driver)
            try:
                for command in given.commands or ALL:
                    cases = [case for case in lab.cases(command) if case.fault == KILLED]
                    for case in choice.sample(cases, min(given.sample, len(cases))):
                        for how, way in WAYS.items():
                            tried += 1
                            wrong = lab.dies(case, way)
                            bad += bool(wrong)
                            for line in wrong:
                                print(f"{driver} {command}: {case.call} {case.number}, {how}: {line}", flush=True)
                    told = f"{time.monotonic() - began:.0f} s, {lab.missed} missed so far"
                    print(f"{driver} {command}: {tried} so far ({told})", file=sys.stderr, flush=True)
            finally:
                detach_all(work)
    print(f"{tried} disks died, {bad} with something wrong, {time.monotonic() - began:.0f} s")
    return 1 if bad else 0
