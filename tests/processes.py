"""The processes that a test started, as opposed to older ones such as daemons."""

from __future__ import annotations

import contextlib
import os

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
