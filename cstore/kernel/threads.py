"""Starting threads, which the system may refuse: process limits count threads too."""

from __future__ import annotations

import errno
import os
from _thread import allocate_lock, start_new_thread  # `threading` has more, and imports a dozen modules for it

from cstore import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Thread:
    """A started thread. The process does not wait for it at exit."""

    def __init__(self, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._running = allocate_lock()
        self._running.acquire()
        start_new_thread(self._run, (work, arguments))

    def _run(self, work: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        try:
            work(*arguments)
        finally:
            self._running.release()

    def join(self) -> None:
        """Wait until the work is done or has failed."""
        with self._running:
            pass


def start_thread(work: Callable[..., object], *arguments: Any) -> Thread:
    """Start a thread that runs `work`, and return it. The process does not wait for it at exit.

    Raises:
        SystemFailure: the thread cannot be started.
    """
    try:
        return Thread(work, arguments)
    except RuntimeError:  # Python gives no other reason
        reason = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        hint = "end other processes, or raise the process limit (ulimit -u, or that of the container)"
        raise errors.SystemFailure("start", "a thread", reason, hint=hint) from None
