"""Run programs by turns and take medians."""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Self

import cstore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_PROGRAM = os.path.join(os.path.dirname(sys.executable), "cstore")
CSTORE = (_PROGRAM,) if os.path.exists(_PROGRAM) else (sys.executable, "-m", "cstore")
PEER = ("containers-storage",)


@dataclass(frozen=True)
class Tool:
    """A program under measurement: its name in the table and the words that start it."""

    name: str
    words: tuple[str, ...]

    def on(self, disk: str, driver: str = "vfs") -> list[str]:
        """The command up to its verb, on the store of one disk."""
        return [*self.words, "--graph", f"{disk}/graph", "--run", f"{disk}/run", "--storage-driver", driver]


PEER_TOOL = Tool("peer", PEER)
DURABLE = Tool("cstore", CSTORE)
NO_SYNC = Tool("cstore --no-sync", (*CSTORE, "--no-sync"))


@dataclass
class Result:
    """The medians of one job, in seconds, by tool."""

    job: str
    goal: float | None
    seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of_medians(cls, job: str, goal: float | None, taken: Mapping[str, list[float]]) -> Self:
        """Keep of all that each tool took the median."""
        return cls(job, goal, {name: statistics.median(times) for name, times in taken.items()})

    def ratio(self, tool: str) -> float:
        """How long `tool` took for each second of the peer."""
        return self.seconds[tool] / self.seconds["peer"]


def timed(command: list[str], *, stdin: str = "") -> float:
    """Run a command to its end, its output thrown away; returns seconds of wall clock."""
    with open(stdin or os.devnull, "rb") as source, open(os.devnull, "wb") as sink:
        began = time.perf_counter()
        done = subprocess.run(command, stdin=source, stdout=sink, stderr=subprocess.PIPE, check=False)
        took = time.perf_counter() - began
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.decode()}")
    return took


@cache
def compile_program() -> None:
    """Compile cstore as an installation does.

    Where the environment lets Python write no bytecode, each run would begin with compiling all that it imports, which
    takes longer than most commands.
    """
    if not compileall.compile_dir(os.path.dirname(cstore.__file__), quiet=2):
        raise RuntimeError("cstore cannot be compiled where it is: every run would begin with that")


def interleaved(job: str, goal: float | None, attempts: Mapping[str, Callable[[], float]], rounds: int) -> Result:
    """Let every tool do the job once a round, in turn, and keep each one's median.

    A first round that does not count warms the caches of programs and input.
    """
    compile_program()
    for attempt in attempts.values():
        attempt()
    taken: dict[str, list[float]] = {name: [] for name in attempts}
    for turn in range(rounds):
        names = list(attempts) if turn % 2 == 0 else list(attempts)[::-1]
        for name in names:
            taken[name].append(attempts[name]())
    return Result.of_medians(job, goal, taken)
