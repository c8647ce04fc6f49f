"""Starting threads, which the system may refuse: process limits count threads too."""

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
    """Start a daemon thread that runs `work`, and return it. The process does not wait for it at exit.

    Raises:
        SystemFailure: the thread cannot be started.
    """
    import threading

    thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:  # Python gives no other reason
        reason = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        hint = "end other processes, or raise the process limit (ulimit -u, or that of the container)"
        raise errors.SystemFailure("start", "a thread", reason, hint=hint) from None
    return thread
