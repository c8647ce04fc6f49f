"""The processes that a test started, as opposed to older ones such as daemons."""

from __future__ import annotations

import _thread
import contextlib
import os
import time

_earlier: set[int] = set()
permanent: set[int] = set()
"""Processes that serve the whole run."""


def children() -> list[int]:
    """Return the processes that this one has started since the test began, in any thread, including zombies."""
    return sorted(_all_children() - _earlier)


def begin() -> None:
    """Record the processes that are already running; a hook calls this before every test."""
    _earlier.clear()
    _earlier.update(_all_children())


def _all_children() -> set[int]:
    found: set[int] = set()
    for thread in os.listdir("/proc/self/task"):
        with (
            contextlib.suppress(FileNotFoundError, ProcessLookupError),  # it has ended
            open(f"/proc/self/task/{thread}/children", encoding="ascii") as file,
        ):
            found.update(int(word) for word in file.read().split())
    return found - permanent


def thread_count() -> int:
    """How many threads this process has beside its first one: those too that `threading` does not know."""
    return _thread._count()


def wait_for_threads(count: int) -> None:
    """Make sure that there are no more threads than that. One whose work is done takes a moment to be gone."""
    deadline = time.monotonic() + 5
    while thread_count() > count and time.monotonic() < deadline:
        time.sleep(0.001)
    assert thread_count() <= count
