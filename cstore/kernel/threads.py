"""Threads, which the system may refuse: a limit of processes counts them, too."""

from __future__ import annotations

import errno
import os

from cstore import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from typing import Any


def start_thread(name: str, work: Callable[..., object], *arguments: Any) -> threading.Thread:
    """Let a thread do some work; return it, started. The process does not wait for it when it ends.

    Raises:
        SystemFailure: no thread may be started.
    """
    import threading

    thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # which is all that Python says
        reason = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        hint = "end other processes, or raise the process limit (ulimit -u, or that of the container)"
        raise errors.SystemFailure("start", "a thread", reason, hint=hint) from None
    return thread
