"""Kills at random moments: nothing is lost or left behind, and the same command works afterwards.

A trial runs a command on a fresh copy of the laboratory's store and kills it up to five times, each at a random moment;
from the second time on, it may kill `gc` instead, which removes what the first one left. After every kill, each record
is the old or the new one; after some kills, all contents are, too, and a check finds no damage. The next writer may
have work to complete, such as removing the layers of a deleted image. Finally, the command runs without a kill: then
the store must be the new one, with the same names in it as without any kill.

Commands are forks of this process, because starting Python would take most of the time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import select
import signal
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from cstore.errors import CstoreError
from tests.crash.killer import alone
from tests.disk import fresh_disk
from tests.faults import commands
from tests.faults.commands import ANEW, GC, REPAIR, UNDO
from tests.faults.lab import Laboratory, difference, said_badly, strays_out
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_STRIKES = 5
_CLOSE_LOOKS = 0.15
"""The share of kills after which the contents are examined, too. They always are at the end of a trial."""
_GC_INSTEAD = 0.3
_REPAIRS = 3
"""How often repair may run until there is nothing to do; killed repairs leave steps to plan again."""
_TIME = 60


ALL = tuple(command for command in commands.ALL if command not in {"mount", "unmount", "undo-keep"})
"""Commands to kill. A killed mount may leave a count that is neither old nor new."""


class Killing(Laboratory):
    """Tries kills on the laboratory's store.

    Attributes:
        hits: number of commands that were still running when the signal came.
    """

    def __init__(self, work: str, driver: str, seed: int) -> None:
        super().__init__(work, driver)
        self.hits = 0
        self._choice = random.Random(f"{seed} {driver}")
        self._needed: dict[str, float] = {}
        self._records_of: dict[str, dict[str, Any]] = {}
        self._names_of: dict[str, Counter[str]] = {}
        self._aside: dict[str, Counter[str]] = {}
        self._names_before, self._records_before = self._names(), self._records()

    def close(self) -> None:
        """Unmount everything."""
        detach_all(self.work)

    def any_trial(self, commands: Sequence[str] = ALL) -> tuple[str, list[str]]:
        """Try a random command. Returns what was done, and what is wrong afterwards."""
        command = self._choice.choice(commands)
        for needed in {GC, command} - self._new.keys():
            self._learn(needed)
        self._begin(command)
        done, wrong = [f"{self.driver} {command}"], []
        for number in range(self._choice.randint(1, _MOST_STRIKES)):
            struck = GC if number and self._choice.random() < _GC_INSTEAD else command
            done.append(self._strike(command, self._line(struck), struck))
            if command not in {REPAIR, UNDO}:
                wrong += [f"{done[-1]}: {line}" for line in self._half(command)]
            if command in ANEW:
                break  # if it was complete, running it again would rightly create another image
        return ", ".join(done), wrong + self._end(command)

    def _line(self, command: str) -> list[str]:
        return self.words(commands.ALL[command])

    def _learn(self, command: str) -> None:
        """Run a command to its end, to learn its duration and its result."""
        self._begin(command)
        began = time.monotonic()
        done = self._forks.run(self._line(command))
        self._needed[command] = time.monotonic() - began
        assert done.returncode == 0, f"{command} fails without any kill: {done.stderr}"
        self._conclude()
        self._new[command], self._names_of[command] = self._whole(command), self._names()
        self._records_of[command], self._aside[command] = self._records(), self._put_aside()

    # ── one kill ──

    def _strike(self, command: str, line: list[str], struck: str) -> str:
        """Start a command and kill it after a random part of its estimated duration, which is then adjusted."""
        process = self._forks.start(line)
        moment = self._choice.uniform(0, 0.9 * self._needed[struck])
        ended = os.pidfd_open(process)
        try:
            hit = not select.select([ended], [], [], moment)[0]
        finally:
            os.close(ended)
        os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        hit = hit and os.WIFSIGNALED(status)
        self.hits += hit
        self._needed[struck] = self._needed[struck] * 1.01 if hit else (self._needed[struck] + moment) / 2
        assert alone(process), f"a worker outlived the killed {command}"
        return f"{struck} killed after {moment * 1000:.1f} ms" + ("" if hit else " (it was done)")

    # ── what comes of it ──

    def _half(self, command: str) -> list[str]:
        """Return what is wrong after one kill."""
        close = self._choice.random() < _CLOSE_LOOKS
        found = self._damage() if close else []
        try:
            state = self._state() if close else self._records()
        except CstoreError as error:
            return [f"cannot be read: {error}"]
        old, new = (self.before, self._new[command]) if close else (self._records_before, self._records_of[command])
        third = [
            f"{item} is {state.get(item)}, neither {old.get(item)} nor {new.get(item)}"
            for item in {**old, **new, **state}
            if "ID" not in strays_out(item)  # the next writer removes or completes those
            if _lasting(state, item) not in (_lasting(old, item), _lasting(new, item))
        ]
        return found + third

    def _end(self, command: str) -> list[str]:
        """Return what is wrong after the command, and then gc, have run without a kill."""
        wrong = self._conclude() if command in ANEW else []
        done = command in ANEW and self._whole(command) == self._new[command]
        said = ""
        for _ in range(_REPAIRS if command == REPAIR else 0 if done else 1):
            last = self._forks.run(self._line(command))
            said, wrong = last.stderr.strip(), [*wrong, *said_badly(last)]
        wrong += self._conclude()
        wrong += [] if command == UNDO else [f"in the end, {line}" for line in self._damage()]
        state, names = self._whole(command), self._names()
        if state != self._new[command]:
            wrong.append(f"not what it should be: {difference(state, self._new[command])}: {said}")
        wanted = self._names_of[command]
        least, most = wanted & self._names_before, wanted | self._names_before
        wrong += [f"left: {name} ({count} of them)" for name, count in (names - most).items()]
        wrong += [f"lost: {name} ({count} of them)" for name, count in (least - names).items()]
        lost = self._aside[command].keys() - self._put_aside().keys()
        return wrong + self._leftovers() + [f"not in quarantine: {name}" for name in lost]

    def _names(self) -> Counter[str]:
        """Count each name in the store, except locks, contents of layers, and the quarantine."""
        found: Counter[str] = Counter()
        for folder, folders, files in os.walk(self._store):
            where = folder.removeprefix(self._store)
            names = [name for name in (*folders, *files) if not (name.endswith(".lock") or where == "/run")]
            found.update(strays_out(f"{where}/{name}") for name in names)
            folders[:] = [name for name in folders if name not in {"diff", "merged", "cstore-quarantine"}]
            if where == "/graph/vfs/dir":
                folders.clear()
        return found

    def _put_aside(self) -> Counter[str]:
        """Return the files in quarantine, of all cases."""
        quarantine, found = os.path.join(self._store, "graph", "cstore-quarantine"), Counter[str]()
        for folder, _, files in os.walk(quarantine):
            inside = folder.removeprefix(quarantine).strip("/").partition("/")[2]
            found.update(strays_out(f"{inside}/{name}") for name in files if inside)
        return found


def _lasting(state: dict[str, Any], item: str) -> Any:
    """Return an item's state without its mount count, which is the last fact of a layer."""
    facts = state.get(item)
    return facts[:-1] if facts and item.startswith("layer ") else facts


def main(words: Sequence[str]) -> int:
    """Try the requested number of kills, with both drivers in turn. Returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=10_000, help="how many commands shall be hit")
    parser.add_argument("--driver", action="append", choices=["overlay", "vfs"])
    parser.add_argument("commands", nargs="*", default=[])
    given = parser.parse_args(words)
    drivers: list[str] = given.driver or ["overlay", "vfs"]
    began = time.monotonic()
    trials = bad = 0
    with fresh_disk() as disk:
        labs: list[Killing] = []
        for driver in drivers:
            os.mkdir(work := os.path.join(disk, driver))
            labs.append(Killing(work, driver, given.seed))
        with contextlib.suppress(KeyboardInterrupt):
            while sum(lab.hits for lab in labs) < given.count:
                done, wrong = labs[trials % len(labs)].any_trial(given.commands or ALL)
                trials += 1
                bad += bool(wrong)
                for line in wrong:
                    print(f"{done}: {line}", flush=True)
                if trials % 100 == 0:
                    print(_summary(labs, trials, bad, began), file=sys.stderr, flush=True)
        for lab in labs:
            lab.close()
    print(_summary(labs, trials, bad, began))
    return 1 if bad else 0


def _summary(labs: list[Killing], trials: int, bad: int, began: float) -> str:
    hits = ", ".join(f"{lab.hits} with {lab.driver}" for lab in labs)
    return f"{hits} kills in {trials} trials, {bad} with something wrong, {time.monotonic() - began:.0f} s"
