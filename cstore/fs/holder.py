"""Finding the process that holds a lock, which the kernel reports only in part.

A POSIX lock has the ID of its process. An OFD lock has none, so this module searches the processes that have the file
open; without privileges, it finds only the user's own. (proc(5))
"""

from __future__ import annotations

import os

from cstore.kernel import locks


def holder_of(path: str, *, exclusive: bool = True) -> str:
    """Name the process that keeps us from locking `path`: `PID 123 (podman pull …)`, or "" if unknown.

    Args:
        path: the lock file.
        exclusive: the kind of lock that we want.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        pid = locks.conflicting_process(fd, exclusive=exclusive)
        if pid == -1:
            pid = _owner_of_open_file(os.fstat(fd), exclusive=exclusive)
    except OSError:
        return ""
    finally:
        os.close(fd)
    if pid is None or pid < 0:
        return ""
    if pid == 0:
        return "a process that cannot be seen from this PID namespace"
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").split(b"\0")
    except OSError:
        return f"PID {pid}"
    words[0] = os.path.basename(words[0])
    text = "".join(char if char.isprintable() else "?" for char in b" ".join(words).decode(errors="replace"))
    return f"PID {pid} ({text[:59]}…)" if len(text) > 60 else f"PID {pid} ({text})" if text else f"PID {pid}"


def _owner_of_open_file(wanted: os.stat_result, *, exclusive: bool) -> int | None:
    """Find the process that has the file open and holds an OFD lock through it; such locks have no process ID."""
    for pid in filter(str.isdigit, _entries("/proc")):
        for fd in _entries(f"/proc/{pid}/fd"):
            try:
                if not os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), wanted):
                    continue
                with open(f"/proc/{pid}/fdinfo/{fd}", "rb") as details:
                    lines = details.read().splitlines()
            except OSError:
                continue  # closed or exited meanwhile
            # A lock that is not held yet, but waited for, has an arrow.
            held = [line for line in lines if line.startswith(b"lock:") and b"->" not in line and b"OFDLCK" in line]
            if any(exclusive or b"WRITE" in line for line in held):
                return int(pid)
    return None


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
