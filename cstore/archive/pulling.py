"""Turn a function that writes to a sink into a stream to read; it runs in its own thread, no faster than the reader."""

from __future__ import annotations

import io

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.archive.streams import Sink

_PIECES = 4
"""Pieces that wait to be read: enough that neither side stands still for long."""


class _ClosedByReader(Exception):
    """Ends the writer."""


class _Channel:
    """Brings pieces from the writer's thread to the reader's. `None` is the end."""

    def __init__(self) -> None:
        from queue import Queue

        self.pieces: Queue[bytes | None] = Queue(_PIECES)
        self.failure: BaseException | None = None
        self.closed = False

    def write(self, data: bytes | memoryview, /) -> None:
        """Hand over a piece; waits until there is room for it."""
        if self.closed:
            raise _ClosedByReader
        if data:
            self.pieces.put(bytes(data))  # a sink keeps no memoryview

    def run(self, produce: Callable[[Sink], None]) -> None:
        """Let the writer write, and take down how it ends."""
        try:
            produce(self)
        except _ClosedByReader:
            pass
        except BaseException as error:  # noqa: BLE001  - raised again in the reader's thread
            self.failure = error
        finally:
            self.pieces.put(None)


class PulledStream(io.RawIOBase):
    """Gives what `produce` writes to the sink that it is called with. It begins with the first read.

    What `produce` raises comes out of the read that follows the last byte it has written. To close the stream ends it.
    Memory is a few pieces of what it writes.
    """

    def __init__(self, produce: Callable[[Sink], None]) -> None:
        super().__init__()
        self._produce: Callable[[Sink], None] | None = produce
        self._channel = _Channel()
        self._rest = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # IOBase allows more kinds of buffers
        """Read the next bytes: 0 at the end.

        Raises:
            CstoreError: what the writer raised.
        """
        self._checkClosed()
        if self._produce is not None:
            self._start(self._produce)
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
        """End the writer and wait until it has ended."""
        if not self.closed and self._produce is None:
            self._channel.closed = True
            while not self._ended:
                self._ended = self._channel.pieces.get() is None
        super().close()

    def _start(self, produce: Callable[[Sink], None]) -> None:
        import threading

        self._produce = None
        channel = self._channel  # and not this stream, which is to be closed when it is no longer referenced
        threading.Thread(target=channel.run, args=(produce,), name="cstore-stream", daemon=True).start()
