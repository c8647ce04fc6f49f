"""Turn a function that writes to a sink into a readable stream; the function runs in its own thread."""

from __future__ import annotations

import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.archive.streams import Sink

_PIECES = 4
"""Pieces that may be queued: enough that neither side waits for long."""


class _ClosedByReader(Exception):
    """Ends the writer after the reader closed the stream."""


class _Channel:
    """A queue of pieces from the writer's thread to the reader's. `None` marks the end."""

    def __init__(self) -> None:
        from queue import Queue

        self.pieces: Queue[bytes | None] = Queue(_PIECES)
        self.failure: BaseException | None = None
        self.closed = False

    def write(self, data: bytes | memoryview, /) -> None:
        """Queue a piece; wait until there is room for it."""
        if self.closed:
            raise _ClosedByReader
        if data:
            self.pieces.put(bytes(data))  # a sink keeps no memoryview

    def run(self, produce: Callable[[Sink], None]) -> None:
        """Run the writer and record its failure."""
        try:
            produce(self)
        except _ClosedByReader:
            pass
        except BaseException as error:  # noqa: BLE001  - raised again in the reader's thread
            self.failure = error
        finally:
            self.pieces.put(None)


class PulledStream(io.RawIOBase):
    """A stream of the data that `produce` writes to its sink; `produce` starts with the first read.

    An exception of `produce` is raised by the read after the last byte that it wrote. Closing the stream stops it. Only
    a few pieces of its output are in memory at a time.
    """

    def __init__(self, produce: Callable[[Sink], None]) -> None:
        super().__init__()
        self._produce: Callable[[Sink], None] | None = produce
        self._channel = _Channel()
        self._rest = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # IOBase allows more kinds of buffers
        """Read the next bytes; return their number, 0 at the end.

        Raises:
            CstoreError: the writer raised it.
        """
        self._checkClosed()
        if self._produce is not None:
            import threading

            # The thread must not keep this stream alive: unreferenced, it is closed.
            channel, produce, self._produce = self._channel, self._produce, None
            threading.Thread(target=channel.run, args=(produce,), name="cstore-stream", daemon=True).start()
        if not self._rest and not self._ended:
            piece = self._channel.pieces.get()
            self._ended = piece is None
            self._rest = memoryview(piece or b"")
        if self._ended and self._channel.failure is not None:
            raise self._channel.failure
        view = memoryview(buffer).cast("B")
        count = min(len(self._rest), len(view))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def close(self) -> None:
        """Stop the writer and wait until it has ended."""
        if not self.closed and self._produce is None:
            self._channel.closed = True
            while not self._ended:
                self._ended = self._channel.pieces.get() is None
        super().close()
