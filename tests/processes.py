"""The processes that a test starts, told from those that run since an earlier test, such as daemons."""

from __future__ import annotations

import contextlib
import os

_earlier: set[int] = set()
permanent: set[int] = set()
"""Those that serve the whole run."""


def children() -> list[int]:
    """The processes that this one has started since the test began, in whichever thread; those not waited for, too."""
    return sorted(_all_children() - _earlier)


def begin() -> None:
    """Note what runs already; the hook for every test does so."""
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
