"""Many layers looked into at once: one worker a core, each with one thread, so that each has a core to itself."""

from __future__ import annotations

import gc
import mmap
import os
import struct
import time

from cstore.check.contents import LayerJob, examine
from cstore.check.layer_stream import OutOfTime
from cstore.fs.worker import run_workers
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.check.compare import Problem

_COUNTER = struct.Struct("Q")
_BASE_COST = 1 << 20
"""Bytes: what a layer costs however small it is."""


class Examined(Value):
    """What was found in the layers that there was time for, and the others, by ID."""

    problems: dict[str, list[Problem]]
    unexamined: tuple[str, ...] = ()


def examine_all(
    jobs: Sequence[LayerJob],
    *,
    workers: int = 0,
    deadline: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Examined:
    """Look into layers, the first ones first; `workers` is 0 for one a core.

    Raises:
        SystemFailure: a layer may not be read by us, or a worker could not be started.
    """
    if not jobs:
        return Examined({})
    shares = _divide(jobs, workers or len(os.sched_getaffinity(0)))
    counters = memoryview(mmap.mmap(-1, _COUNTER.size * len(shares)))
    total = sum(max(job.size, 0) for job in jobs)

    def tick() -> None:
        if progress is not None:
            done = sum(_COUNTER.unpack_from(counters, place * _COUNTER.size)[0] for place in range(len(shares)))
            progress(done, total)

    works = [_work(share, counters, place, deadline) for place, share in enumerate(shares)]
    answers = run_workers(works, tick=tick if progress is not None else None)
    problems = {layer: found for answer in answers for layer, found in answer if found is not None}
    return Examined(problems, tuple(job.layer for job in jobs if job.layer not in problems))


def _divide(jobs: Sequence[LayerJob], workers: int) -> list[list[LayerJob]]:
    """Give each layer to whoever has least to do so far."""
    shares: list[list[LayerJob]] = [[] for _ in range(min(workers, len(jobs)))]
    loads = [0] * len(shares)
    for job in jobs:
        place = loads.index(min(loads))
        shares[place].append(job)
        loads[place] += max(job.size, 0) + _BASE_COST
    return shares


def _work(
    share: Sequence[LayerJob], counters: memoryview, place: int, deadline: float
) -> Callable[[], list[tuple[str, list[Problem] | None]]]:
    def work() -> list[tuple[str, list[Problem] | None]]:
        gc.disable()  # a worker makes no garbage to speak of, and goes away soon
        done = 0

        def tick(count: int) -> None:
            nonlocal done
            done += count
            _COUNTER.pack_into(counters, place * _COUNTER.size, done)

        answer: list[tuple[str, list[Problem] | None]] = []
        for job in share:
            found: list[Problem] | None = None
            if not deadline or time.monotonic() < deadline:
                try:
                    found = examine(job, deadline=deadline, tick=tick)
                except OutOfTime:
                    found = None
            answer.append((job.layer, found))
        return answer

    return work
