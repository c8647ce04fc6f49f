"""Leaving out each sync of each command once: the model of a power cut must notice.

`python -m tests.faults syncs` prints those that it does not notice. Either a later sync has the same effect, or a
durability test is missing. Places that only other programs reach are in `test_durability`.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from cstore.kernel import files
from tests.disk import fresh_disk
from tests.faults import durability
from tests.faults.commands import ALL
from tests.faults.lab import Laboratory

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

_HELPERS = ("/cstore/fs/atomic.py", "/cstore/kernel/files.py")
"""Functions that sync for others: their callers count as the place."""


def place() -> str:
    """Return the place in cstore that requests the current sync."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and (
        frame.f_code.co_filename.endswith(_HELPERS) or "/cstore/" not in frame.f_code.co_filename
    ):
        frame = frame.f_back
    return "?" if frame is None else f"cstore/{frame.f_code.co_filename.rpartition('/cstore/')[2]}:{frame.f_lineno}"


def watch(told: str, left_out: str) -> None:
    """From now on, write the place of each sync to a file, and skip the syncs at one place."""

    def instead(real: Callable[..., Any], *given: Any) -> Any:
        if given[0] != "syncfs" and isinstance(given[0], str):
            return real(*given)
        where = place()
        fd = os.open(told, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, f"{where}\n".encode())
        os.close(fd)
        return None if where == left_out else real(*given)

    os.fsync, os.fdatasync = partial(instead, os.fsync), partial(instead, os.fdatasync)
    vars(files)["call"] = partial(instead, vars(files)["call"])


class Syncs(Laboratory):
    """Tries commands without a sync."""

    def wrong_without(self, command: str, left_out: str) -> tuple[list[str], list[str]]:
        """Return what the model reports without the syncs at a place, and all places of syncs."""
        _, _, graph = self.command(command)
        told, trace = os.path.join(self.work, "told"), os.path.join(self.work, "trace")
        with open(told, "wb"):
            pass
        options = ["-y", "-s", "4096", "-o", trace, "-e", f"trace={durability.CALLS}"]
        self._forks.traced(self.words(ALL[command]), *options, before=partial(watch, told, left_out))
        with open(told, encoding="utf-8") as file:
            places = sorted(set(file.read().splitlines()))
        host = os.path.join(os.path.dirname(graph), "host")
        return durability.judge(trace, graph) + durability.judge(trace, host), places


def main(words: Sequence[str]) -> int:
    """Try all commands. Returns 1 if the model does not notice a missing sync in any of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults syncs", description=__doc__)
    parser.add_argument("--driver", choices=["overlay", "vfs"], default="overlay")
    parser.add_argument("commands", nargs="*", default=[])
    given = parser.parse_args(words)
    missed: dict[str, bool] = {}
    with fresh_disk() as disk:
        os.mkdir(work := os.path.join(disk, "work"))
        lab = Syncs(work, given.driver)
        for command in given.commands or ALL:
            usual, places = lab.wrong_without(command, "")
            for where in places:
                if not missed.get(where):
                    missed[where] = len(lab.wrong_without(command, where)[0]) > len(usual)
    for where, is_missed in sorted(missed.items()):
        print(f"{'missed' if is_missed else 'NOT MISSED'}: {where}")
    return 0 if all(missed.values()) else 1
