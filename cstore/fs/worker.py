"""Running jobs in forked processes: in parallel, confined to given descriptors, and never outliving their caller.

A worker dies with the thread that started it, has none of the caller's descriptors except those given (so no lock
either), and ignores Ctrl-C, which its caller handles. Results and errors of a job reach the caller through a pipe. This
also works in a process with threads: everything that a worker needs is loaded before the fork.
"""

from __future__ import annotations

import marshal
import os
import select
import signal

from cstore import errors
from cstore.fs.within import file_of
from cstore.kernel.libc import load
from cstore.kernel.process import close_all_but, die_with_parent, fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet
    from typing import Any, NoReturn

_DONE, _REFUSED, _BROKEN = 0, 1, 2
_TICK = 100
"""Milliseconds."""


def run_workers(
    jobs: Sequence[Callable[[], Any]],
    keep: AbstractSet[int] = frozenset(),
    tick: Callable[[], None] | None = None,
) -> list[Any]:
    """Run each job in its own process and return the results in order.

    Args:
        jobs: functions without arguments, whose results marshal(3) can write: None, numbers, text, lists of them. They
            raise errors of `cstore.errors`; any other exception is a bug.
        keep: descriptors that the jobs use. The parent and the workers share the file position of each.
        tick: called several times a second in this process while the jobs run.

    Raises:
        CstoreError: the error of the first job that fails. The other jobs are stopped; no process is ever left behind.
        SystemFailure: a worker could not be started, or was killed.
    """
    load()
    errors.load()
    workers: list[_Worker] = []
    try:
        for job in jobs:
            workers.append(_Worker(job, keep))  # noqa: PERF401  - if the next one fails, those started must be known
        _gather(workers, tick)
        return [worker.result for worker in workers]
    except OSError as error:
        raise errors.SystemFailure("start", "a worker process", error) from None
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """One job, one process, one pipe."""

    def __init__(self, job: Callable[[], Any], keep: AbstractSet[int]) -> None:
        self.result: Any = None
        self._parts: list[bytes] = []
        self.answer, theirs = os.pipe()
        parent = os.getpid()
        try:
            self.pid = fork()
        except OSError:
            os.close(self.answer)
            os.close(theirs)
            raise
        if self.pid == 0:
            _work(job, parent, theirs, keep)
        os.close(theirs)

    def hear(self) -> bool:
        """Read a part of the answer; at its end, reap the process, store the result, and return False.

        Raises:
            CstoreError: the job failed.
        """
        part = os.read(self.answer, 1 << 16)
        if part:
            self._parts.append(part)
            return True
        code = self._reap()
        if not self._parts:
            fate = f"it was killed by signal {-code}" if code < 0 else f"it ended with status {code} and no message"
            raise errors.SystemFailure("run", "a worker process", OSError(fate))
        kind, value = marshal.loads(b"".join(self._parts))  # noqa: S302  - written by our own child
        if kind == _REFUSED:
            raise errors.put_together(value)
        if kind == _BROKEN:
            raise RuntimeError(value)
        self.result = value
        return False

    def end(self) -> None:
        """Kill the process if it still runs, and close the pipe."""
        if self.pid > 0:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()
        os.close(self.answer)

    def _reap(self) -> int:
        pid, self.pid = self.pid, -1
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _gather(workers: list[_Worker], tick: Callable[[], None] | None) -> None:
    listening = {worker.answer: worker for worker in workers}
    poll = select.poll()
    for fd in listening:
        poll.register(fd, select.POLLIN)
    while listening:
        for fd, _ in poll.poll(None if tick is None else _TICK):
            if not listening[fd].hear():
                poll.unregister(fd)
                del listening[fd]
        if tick is not None:
            tick()


def _work(job: Callable[[], Any], parent: int, answer: int, keep: AbstractSet[int]) -> NoReturn:
    """Run the job; this is the main function of the worker."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        die_with_parent(parent)
        close_all_but(keep | {answer})
        message: tuple[int, Any] = (_DONE, job())
    except errors.CstoreError as error:
        message = _refused(error)
    except OSError as error:
        message = _refused(errors.SystemFailure("work on", file_of(error) or "files", error))
    except BaseException:  # noqa: BLE001  - nothing may unwind into the parent's frames
        import traceback

        message = (_BROKEN, f"a worker process failed:\n{traceback.format_exc()}")
    try:
        data = memoryview(marshal.dumps(message))
        while data:
            data = data[os.write(answer, data) :]
    finally:
        os._exit(message[0])


def _refused(error: errors.CstoreError) -> tuple[int, Any]:
    return _REFUSED, errors.taken_apart(error)
