"""Forked processes, and what one does to itself: die with its parent, let go of what is not its own, and so on."""

from __future__ import annotations

import os
import sys

from cstore.kernel.libc import call, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
else:
    import _signal as signal  # `signal` puts enumerations around it, whose import takes longer

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_STANDARD_STREAMS = frozenset({0, 1, 2})


_INTERRUPTS = frozenset({signal.SIGINT, signal.SIGTERM})


def spawn(work: Callable[[], int], keep: AbstractSet[int]) -> int:
    """Fork a process that does some work, which gives its exit status; return its ID.

    It has no descriptors but those in `keep` and the standard streams, so it holds no lock of ours either; it ends with
    the thread that forks it; and it leaves Ctrl-C to its parent, who reaps it.

    Raises:
        OSError: no process may be started.
    """
    load()  # before the fork, because the child must not load anything
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
    """Fork this process, without a word of Python's where it has threads: for a child that takes no lock of theirs.

    Raises:
        OSError: no process may be started.
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
        close_all_but(keep)
        status = work()
    finally:
        os._exit(status)


def die_with_parent(parent: int = 0) -> None:
    """Have the kernel kill this process when the thread that forked it ends.

    Mind that it is the *thread*: a worker must be forked by a thread that outlives it. The order is forgotten when the
    process changes its user or runs a set-user-ID program.

    Args:
        parent: the process ID that `os.getppid` must still give; if the parent died before the order was placed, this
            process ends here and now. 0 leaves that test out.

    Raises:
        OSError: the kernel refused.
    """
    call("prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if parent and os.getppid() != parent:
        os._exit(1)


def no_new_privileges() -> bool:
    """Whether nothing that this process starts can have more privileges than it has itself."""
    return _status("NoNewPrivs", 10) == 1


def may_ever_have(capability: int) -> bool:
    """Whether a program that this process starts can have a capability (CAP_*), if its file has it."""
    bounding = _status("CapBnd", 16)
    return bounding < 0 or bool(bounding >> capability & 1)


def _status(field: str, base: int) -> int:
    """Read one of the kernel's numbers about this process; -1 if it is unknown."""
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
            return next((int(line.split()[1], base) for line in status if line.startswith(f"{field}:")), -1)
    except OSError:
        return -1


def forbid_new_privileges() -> None:
    """Make sure that nothing this process runs can gain privileges by set-user-ID bits or file capabilities."""
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def close_all_but(keep: AbstractSet[int]) -> None:
    """Close every descriptor that is neither in `keep` nor one of the three standard streams.

    A forked worker needs this: a lock of ours stays held for as long as any copy of its descriptor is open. The
    standard streams stay, or the next file opened would receive what somebody prints.
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
                continue  # the listing's own descriptor, closed already


def chroot_into(path: str) -> None:
    """Make `path` the root and the working directory of this process, for good.

    Modules that are not loaded by then cannot be loaded any more.

    Raises:
        OSError: EPERM without the capability, or the path is not a directory.
    """
    os.chdir(path)
    os.chroot(".")
    os.chdir("/")
