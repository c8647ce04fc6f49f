"""Finds the holder of a lock, which the kernel answers only in part.

A classic lock carries its process ID. A lock that belongs to an open file names nobody, so the processes that have the
file open are searched; without privileges that finds only our own. (proc(5))
"""

from __future__ import annotations

import os

from cstore.kernel import locks


def holder_of(path: str, *, exclusive: bool = True) -> str:
    """Name the process that prevents locking `path`: `PID 123 (podman pull …)`, or "" if it is unknown.

    Args:
        path: the lock file.
        exclusive: the type of lock that is wanted.
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
    return f"PID {pid}{_command(pid)}" if pid else "a process that cannot be seen from this PID namespace"


def _owner_of_open_file(wanted: os.stat_result, *, exclusive: bool) -> int | None:
    """Find who has the file open and locked through that descriptor; such locks carry no process ID."""
    for pid in filter(str.isdigit, _entries("/proc")):
        for fd in _entries(f"/proc/{pid}/fd"):
            try:
                if not os.path.samestat(os.stat(f"/proc/{pid}/fd/{fd}"), wanted):
                    continue
                with open(f"/proc/{pid}/fdinfo/{fd}", "rb") as details:
                    lines = details.read().splitlines()
            except OSError:
                continue  # closed or gone meanwhile
            if any(_is_granted(line, exclusive=exclusive) for line in lines):
                return int(pid)
    return None


def _is_granted(line: bytes, *, exclusive: bool) -> bool:
    """Whether a line of /proc/PID/fdinfo/FD is a lock that is held (a waiting one carries an arrow) and conflicts."""
    if not line.startswith(b"lock:") or b"->" in line or b"OFDLCK" not in line:
        return False
    return exclusive or b"WRITE" in line


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").split(b"\0")
    except OSError:
        return ""
    words[0] = os.path.basename(words[0])
    text = "".join(char if char.isprintable() else "?" for char in b" ".join(words).decode(errors="replace"))
    return f" ({text[:59]}…)" if len(text) > 60 else f" ({text})" if text else ""
