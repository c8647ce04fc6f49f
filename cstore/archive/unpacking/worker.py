"""Control the filling process from the reading one: start it, send orders, get the outcome, and stop it."""

from __future__ import annotations

import errno
import marshal
import os

from cstore import errors
from cstore.archive.unpacking import orders as codes
from cstore.archive.unpacking.displaced import DisplacedReport
from cstore.archive.unpacking.filler import ANSWER, BROKEN, DONE, HELD_SIGNALS, REFUSED, SYSTEM, fill_tree
from cstore.contexts import contextmanager
from cstore.kernel import libc
from cstore.kernel.process import fork

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator
    from typing import Any, NoReturn

    from cstore.archive.unpacking.orders import Order, Terms
    from cstore.kernel.threads import Thread
else:
    import _signal as signal  # `signal` also imports enumerations, which takes longer

_SET_PIPE_SIZE = 1031
_PIPE_SIZE = 1 << 20


class Worker:
    """One filling process. Call `listen` and `send`, then `finish`, and always `end`.

    Create it while signals are blocked, and before any thread of the import starts. `tree` is for errors only.
    """

    def __init__(self, tree: str, root_fd: int, ring: memoryview, terms: Terms) -> None:
        self._tree = tree
        self._report: bytes | None = None
        self._listener: Thread | None = None
        incoming, self._orders = os.pipe()
        self._answers, outgoing = os.pipe()
        parent = os.getpid()
        try:
            _widen(self._orders)
            libc.load()  # the child cannot load it after its chroot, nor the errors that it may raise
            errors.load("system", "requests", "contents")
            self._pid = fork()
            if self._pid == 0:
                fill_tree(parent, incoming, outgoing, root_fd, ring, terms)
        except BaseException as error:
            os.close(self._orders)  # makes the process exit, if there is one
            os.close(self._answers)
            if isinstance(error, OSError):
                raise errors.SystemFailure("start", "a worker process", error) from error
            raise
        finally:
            os.close(incoming)
            os.close(outgoing)

    def listen(self, release: Callable[[int], None], gone: Callable[[], None]) -> None:
        """Start the thread that reads answers: it calls `release` with each free slot, and `gone` at the end."""
        from cstore.kernel.threads import start_thread

        self._listener = start_thread(self._read_answers, release, gone)

    def send(self, batch: list[Order]) -> None:
        """Send orders.

        Raises:
            CstoreError: an earlier order failed.
        """
        data = marshal.dumps(batch)
        rest = memoryview(len(data).to_bytes(4, "little") + data)
        try:
            while rest:
                rest = rest[os.write(self._orders, rest) :]
        except BrokenPipeError:
            self.fail()
        except OSError as error:
            raise errors.SystemFailure("unpack into", self._tree, error) from error

    def finish(self) -> DisplacedReport:
        """Wait until all orders are executed; return the report of displaced files.

        Raises:
            CstoreError: an order failed.
        """
        self.send([(codes.FINISH,)])
        kind, value = self._outcome()
        if kind != DONE:
            self.fail()
        return DisplacedReport.unpack(value)

    def fail(self) -> NoReturn:
        """Raise the error that ended the process. Call this only after it ended by itself."""
        kind, value = self._outcome()
        if kind == REFUSED:
            raise errors.put_together(value)
        if kind == SYSTEM:
            raise errors.SystemFailure("unpack into", self._tree, OSError(value, os.strerror(value)))
        if kind == BROKEN:
            raise RuntimeError(f"the process that fills {self._tree} failed: {value}")
        raise RuntimeError(f"the process that fills {self._tree} ended too early")

    def end(self) -> None:
        """Stop the process and the thread, and close the pipes."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            self._reap()
        if self._listener is not None:
            self._listener.join()
        os.close(self._orders)
        os.close(self._answers)

    def _outcome(self) -> tuple[int, Any]:
        if self._listener is not None:
            self._listener.join()
        if self._report is None:
            status = self._reap()
            text = f"the process that does it was killed by signal {-status}" if status < 0 else "the process has ended"
            raise errors.SystemFailure("unpack into", self._tree, OSError(text))
        outcome: tuple[int, Any] = marshal.loads(self._report)  # noqa: S302  - written by our own child
        return outcome

    def _reap(self) -> int:
        pid, self._pid = self._pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _read_answers(self, release: Callable[[int], None], gone: Callable[[], None]) -> None:
        try:
            while data := os.read(self._answers, 1 << 12):
                slots, answer, report = data.partition(bytes((ANSWER,)))
                for slot in slots:
                    release(slot)
                if answer:
                    self._report = report + b"".join(iter(lambda: os.read(self._answers, 1 << 16), b""))
                    return
        finally:
            gone()


@contextmanager
def held_signals() -> Iterator[None]:
    """Block Ctrl-C and similar signals until a worker is created and its cleanup is registered.

    In the child, such a signal would run the caller's cleanup; in the parent, the child would be lost.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _widen(pipe: int) -> None:
    """Enlarge a pipe to hold a batch of orders; if that is refused, sending is only slower."""
    import fcntl

    try:
        fcntl.fcntl(pipe, _SET_PIPE_SIZE, _PIPE_SIZE)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EBUSY, errno.EINVAL}:
            raise
