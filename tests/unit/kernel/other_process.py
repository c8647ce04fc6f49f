"""Running a piece of Python as another process, which says a line when it has got somewhere and waits to be let go."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def another_process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run `code`; it must print a line when ready, and then read one, which never comes until the context ends."""
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` to its end and return what it said."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


POSIX_HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
fcntl.lockf(fd, fcntl.LOCK_EX if sys.argv[2] == "exclusive" else fcntl.LOCK_SH)
print("ready", flush=True)
sys.stdin.read()
"""
"""Holds a classic POSIX record lock, as the Go tools do."""

OWN_HOLDER = """
import os, sys
from cstore.kernel import locks
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
assert locks.try_lock(fd, exclusive=sys.argv[2] == "exclusive")
print("ready", flush=True)
sys.stdin.read()
"""
"""Holds a lock of our kind."""
