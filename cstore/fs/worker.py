"""Jobs in forked processes: side by side, confined to what they are given, and gone when their caller is.

A worker dies with the thread that started it, holds none of the caller's descriptors but those it was given (so no lock
either), and ignores Ctrl-C, because its caller decides. What a job returns or raises reaches the caller through a pipe.
It works in a process with threads, too: everything a worker needs is loaded before the fork.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
import sys

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
    """Run every job in a process of its own and return what they return, in their order.

    Args:
        jobs: functions of no arguments that return something marshal(3) can write: None, numbers, text, lists of them.
            They raise errors of `cstore.errors`; anything else is a bug of theirs.
        keep: descriptors that the jobs use. Mind that parent and workers share the position of each.
        tick: called several times a second while they work, in this process.

    Raises:
        CstoreError: what the first job to fail has raised. The others are stopped then; none is left behind in any
        case. SystemFailure: a worker could not be started, or was killed.
    """
    load()
    errors.load()
    workers: list[_Worker] = []
    try:
        for job in jobs:
            workers.append(_Worker(job, keep))  # noqa: PERF401  - those started must be known if the next one fails
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
        """Read some of the answer; at its end, reap the process, keep its result, and return False.

        Raises:
            CstoreError: the job has failed.
        """
        part = os.read(self.answer, 1 << 16)
        if part:
            self._parts.append(part)
            return True
        status = self._reap()
        kind: int
        value: Any
        kind, value = marshal.loads(b"".join(self._parts)) if self._parts else (_BROKEN, _fate(status))  # noqa: S302  - written by our own child
        if kind == _REFUSED:
            raise _rebuild(value)
        if kind == _BROKEN:
            raise (
                RuntimeError(value) if self._parts else errors.SystemFailure("run", "a worker process", OSError(value))
            )
        self.result = value
        return False

    def end(self) -> None:
        """Make sure that the process is gone and everything is given back."""
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
    """Be the worker."""
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
    except BaseException:  # noqa: BLE001  - whatever it was, it must not unwind into the parent's frames
        message = (_BROKEN, _traceback())
    try:
        data = memoryview(marshal.dumps(message))
        while data:
            data = data[os.write(answer, data) :]
    finally:
        os._exit(message[0])


def _refused(error: errors.CstoreError) -> tuple[int, Any]:
    return _REFUSED, (type(error).__name__, error.args, vars(error))


def _traceback() -> str:
    import traceback

    return f"a worker process failed:\n{''.join(traceback.format_exception(*sys.exc_info()))}"


def _rebuild(parts: tuple[str, tuple[Any, ...], dict[str, Any]]) -> errors.CstoreError:
    name, arguments, fields = parts
    kind = getattr(errors, name, errors.CstoreError)
    error: errors.CstoreError = kind.__new__(kind)
    error.args = arguments
    vars(error).update(fields)
    return error


def _fate(code: int) -> str:
    return f"it was killed by signal {-code}" if code < 0 else f"it ended with status {code} and no message"
