"""Commands as forks of this process (see `tests.children`), each in a process group of its own.

strace can be attached to one before it begins, and a fault can hit one of its system calls.
"""

from __future__ import annotations

import contextlib
import os
import pkgutil
import select
import signal
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import cstore as package
from tests.children import become_command, import_before_forking
from tests.faults import injection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HANGS = "it does not end"
_TIME = 60.0


class Forks:
    """Starts commands and waits for them."""

    def __init__(self, environment: Mapping[str, str], said: str) -> None:
        self._environment, self._said = environment, said
        every = (module.name for module in pkgutil.walk_packages(package.__path__, "cstore."))
        import_before_forking(name for name in every if not name.endswith("__main__"))

    def start(self, line: Sequence[str], before: Callable[[], None] | None = None, *, stopped: bool = False) -> int:
        """Fork a process that runs a command line, given without the program's name.

        Args:
            line: its words.
            before: called first in the process.
            stopped: after `before`, the process stops until it gets SIGCONT.
        """
        said = os.open(self._said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        process = os.fork()
        if process == 0:
            become_command(line, (null, said, said), self._environment, partial(_begin, before, stopped))
        os.close(said)
        os.close(null)
        with contextlib.suppress(PermissionError, ProcessLookupError):  # it has done so itself, or is gone
            os.setpgid(process, process)
        return process

    def finish(self, process: int, line: Sequence[str], timeout: float = _TIME) -> subprocess.CompletedProcess[str]:
        """Wait for a command; if it takes too long, kill it and append `HANGS` to its error output."""
        ended = os.pidfd_open(process)
        try:
            late = not select.select([ended], [], [], timeout)[0]
        finally:
            os.close(ended)
        if late:
            os.kill(process, signal.SIGKILL)
        _, status = os.waitpid(process, 0)
        with open(self._said, encoding="utf-8", errors="replace") as file:
            said = file.read()
        return subprocess.CompletedProcess(line, os.waitstatus_to_exitcode(status), "", said + HANGS * late)

    def run(self, line: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self.finish(self.start(line), line)

    def traced(
        self, line: Sequence[str], *options: str, before: Callable[[], None] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command under strace, from its first call to the last call of its last process."""
        process = self.start(line, before, stopped=True)
        os.waitpid(process, os.WUNTRACED)
        tracing = ["strace", "-f", "-p", str(process), *options]
        with subprocess.Popen(tracing, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as strace:
            assert strace.stderr is not None
            told = strace.stderr.readline()  # printed only once every step of the process is traced
            os.kill(process, signal.SIGCONT)
            done = self.finish(process, line)
            assert b"attached" in told, told
            try:
                strace.communicate(timeout=_TIME)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process, signal.SIGKILL)
                done.stderr += HANGS
        return done

    def hit(self, line: Sequence[str], call: int, fault: injection.Injection) -> subprocess.CompletedProcess[str]:
        """Run a command and let a fault hit system calls with this number."""
        process = self.start(line, partial(injection.ask_about, call), stopped=True)
        os.waitpid(process, os.WUNTRACED)
        if fault.conduct(process, _TIME):
            return self.finish(process, line)
        os.killpg(process, signal.SIGKILL)
        done = self.finish(process, line)
        done.stderr += HANGS
        return done


def _begin(before: Callable[[], None] | None, stopped: bool) -> None:
    os.setpgid(0, 0)
    injection.end_with(os.getppid())
    if before is not None:
        before()
    if stopped:
        os.kill(os.getpid(), signal.SIGSTOP)
