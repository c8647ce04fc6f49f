"""Forking processes, and what a process does to itself: die with its parent, close descriptors, drop privileges."""

from __future__ import annotations

import gc
import os
import sys

from cstore.kernel.libc import call, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
else:
    import _signal as signal  # `signal` wraps it in enumerations, whose import takes longer

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_STANDARD_STREAMS = frozenset({0, 1, 2})


_INTERRUPTS = frozenset({signal.SIGINT, signal.SIGTERM})


def spawn(work: Callable[[], int], keep: AbstractSet[int]) -> int:
    """Fork a process that runs `work` and exits with its result; return the process ID.

    The child has no descriptors except those in `keep` and the standard streams, so it holds none of our locks. It dies
    with the thread that forked it, and leaves Ctrl-C to its parent, which must reap it.

    Raises:
        OSError: no process can be started.
    """
    load()  # before the fork: the child must not load anything
    parent = os.getpid()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        pid = fork()
        if pid == 0:
            _do(work, keep, parent)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def fork() -> int:
    """Fork this process without Python's warning about threads: for a child that takes none of their locks.

    Raises:
        OSError: no process can be started.
    """
    if sys.version_info >= (3, 12):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()
    return os.fork()


def _do(work: Callable[[], int], keep: AbstractSet[int], parent: int) -> None:
    status = 1
    try:
        die_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)
        # What the parent had left for its collector would close descriptors here, by numbers that others have by then.
        gc.freeze()
        close_all_but(keep)
        status = work()
    finally:
        os._exit(status)


def die_with_parent(parent: int = 0) -> None:
    """Have the kernel kill this process when the thread that forked it ends.

    It is the *thread* that counts: fork a worker from a thread that outlives it. The kernel drops this setting when the
    process changes its user or runs a set-user-ID program.

    Args:
        parent: the process ID that `os.getppid` must still return. If the parent died before this call, this process
            exits immediately. 0 skips the test.

    Raises:
        OSError: the kernel refused.
    """
    call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(1)


def no_new_privileges() -> bool:
    """Return whether the programs that this process starts can have no more privileges than it has."""
    return _status("NoNewPrivs", 10) == 1


def may_ever_have(capability: int) -> bool:
    """Return whether a program that this process starts can gain a capability (CAP_*) from its file."""
    bounding = _status("CapBnd", 16)
    return bounding < 0 or bool(bounding >> capability & 1)


def _status(field: str, base: int) -> int:
    """Read a numeric field of this process's /proc status; -1 if it is missing."""
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
            return next((int(line.split()[1], base) for line in status if line.startswith(f"{field}:")), -1)
    except OSError:
        return -1


def forbid_new_privileges() -> None:
    """Ensure that no program this process runs gains privileges from set-user-ID bits or file capabilities."""
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def close_all_but(keep: AbstractSet[int]) -> None:
    """Close all descriptors except those in `keep` and the three standard streams.

    A forked worker needs this: a lock stays held while any copy of its descriptor is open. The standard streams stay
    open; otherwise the next file opened would take their number and receive printed output.
    """
    kept = _STANDARD_STREAMS | keep
    try:
        present = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    except OSError:
        present = list(range(os.sysconf("SC_OPEN_MAX")))
    for fd in present:
        if fd not in kept:
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor of the listing itself, closed already


def chroot_into(path: str) -> None:
    """Make `path` the root and working directory of this process, irreversibly.

    Modules that are not loaded by then can no longer be loaded.

    Raises:
        OSError: EPERM without the capability, or the path is not a directory.
    """
    os.chdir(path)
    os.chroot(".")
    os.chdir("/")
