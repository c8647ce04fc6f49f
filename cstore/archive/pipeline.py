"""A sink that writes in its own thread, so that reading and writing overlap."""

from __future__ import annotations

import time

from cstore import errors
from cstore.archive.streams import BUFFER_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from cstore.archive.streams import Sink
    from cstore.kernel.threads import Thread

_WORTH_A_THREAD = 0.0001
"""Seconds per buffer above which a sink gets a thread; switching between threads costs about as much."""


class PipelinedSink:
    """Collects data in large blocks that a thread writes, so that reading and writing overlap.

    A few buffers of `BUFFER_SIZE` circulate between the two threads, so memory use is constant however slow the sink
    is. A producer that fills the buffer itself (`room`, `advance`) avoids a copy; `write` copies. The thread starts
    only if the sink is slow enough. As a context manager, it is closed at the end of the block, or abandoned if the
    block raises; the thread has ended in both cases.

    The next call raises an error of the sink.
    """

    def __init__(self, sink: Sink, buffers: int = 4) -> None:
        self._sink = sink
        self._buffers = buffers
        self._current = bytearray(BUFFER_SIZE)
        self._view = memoryview(self._current)
        self._used = 0
        self._slow = 0
        self._thread: Thread | None = None
        self._failure: Exception | None = None
        self._abandoned = False

    def room(self, wanted: int) -> memoryview:
        """Return memory for the next bytes; fill it from the front, then call `advance`.

        It is never empty and at most `wanted` bytes long; it is shorter only if that many do not fit into the buffer.

        Raises:
            CstoreError: the sink raised it for earlier data.
        """
        free = BUFFER_SIZE - self._used
        # Skip a small remainder, so that most files need only one read; large files still fill every buffer.
        if not free or (wanted > free and free < BUFFER_SIZE // 2):
            self._pass_on()
            free = BUFFER_SIZE
        return self._view[self._used : self._used + min(wanted, free)]

    def advance(self, count: int) -> None:
        """Count the first `count` bytes of the last `room` as written."""
        self._used += count

    def write(self, data: bytes | memoryview, /) -> None:
        """Write all of `data`.

        Raises:
            CstoreError: the sink raised it for earlier data.
        """
        size = len(data)
        if size <= BUFFER_SIZE - self._used:
            self._view[self._used : self._used + size] = data
            self._used += size
            return
        rest = memoryview(data)
        while rest:
            place = self.room(len(rest))
            place[:] = rest[: len(place)]
            self._used += len(place)
            rest = rest[len(place) :]

    def close(self) -> None:
        """Wait until the sink has everything. The sink itself stays open.

        Raises:
            CstoreError: the sink raised it.
        """
        if self._thread is None:
            self._deliver(self._current, self._used)
        else:
            self._filled.put((self._current, self._used))
            self._stop()
        self._used = 0
        self._raise_failure()

    def abandon(self) -> None:
        """Stop the thread without writing the queued data; wait only for the current write."""
        self._abandoned = True
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _pass_on(self) -> None:
        """Write the current buffer, or queue it and wait for a free one."""
        if self._thread is None and self._slow < 2:
            began = time.monotonic()
            self._deliver(self._current, self._used)
            # Twice in a row, because one slow write may be due to a busy machine.
            self._slow = self._slow + 1 if time.monotonic() - began > _WORTH_A_THREAD else 0
            self._used = 0
            self._raise_failure()
            return
        if self._thread is None:
            from queue import SimpleQueue

            from cstore.kernel.threads import start_thread

            self._free: SimpleQueue[bytearray] = SimpleQueue()
            self._filled: SimpleQueue[tuple[bytearray, int] | None] = SimpleQueue()
            for _ in range(self._buffers - 1):
                self._free.put(bytearray(BUFFER_SIZE))
            self._thread = start_thread(self._drain)
        self._filled.put((self._current, self._used))
        self._current = self._free.get()
        self._view = memoryview(self._current)
        self._used = 0
        self._raise_failure()

    def _stop(self) -> None:
        if self._thread is not None:
            self._filled.put(None)
            self._thread.join()
            self._thread = None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _drain(self) -> None:
        # After a failure, keep returning buffers unwritten: a waiting producer must wake up to see the error.
        while (item := self._filled.get()) is not None:
            self._deliver(*item)
            self._free.put(item[0])

    def _deliver(self, buffer: bytearray, count: int) -> None:
        if self._failure is not None or self._abandoned or not count:
            return
        try:
            with memoryview(buffer) as view, view[:count] as part:
                self._sink.write(part)
        except OSError as error:
            self._failure = errors.SystemFailure("write", "the output", error)
        except Exception as error:  # noqa: BLE001  - raised again in the producer's thread
            self._failure = error
