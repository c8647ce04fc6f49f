"""The ring as the tar reader sees it: one window after the other, each given back when the worker is done with it."""

from __future__ import annotations

from cstore.archive.unpacking import orders as codes
from cstore.archive.unpacking.intake import SLOT_SIZE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.archive.unpacking.intake import Intake
    from cstore.archive.unpacking.orders import Order
    from cstore.archive.unpacking.worker import Worker


class RingWindows:
    """Windows onto the ring. Whenever one ends, the orders given so far go to the worker.

    Attributes:
        base: place of the present window in the ring.
        orders: what the worker shall do; to be added to.
    """

    def __init__(
        self, ring: memoryview, intake: Intake, worker: Worker, progress: Callable[[int], None] | None
    ) -> None:
        self.base = 0
        self.orders: list[Order] = []
        self._ring = ring
        self._intake = intake
        self._worker = worker
        self._progress = progress
        self._slot = -1
        self._ended = False
        self._worker_gone = False

    def advance(self) -> memoryview | None:
        """Give the next window (see `tar.reader.Windows`).

        Raises:
            CstoreError: the stream cannot be read, or the worker has failed.
        """
        self.flush()
        if self._ended:
            return None
        item = self._intake.next()
        if self._worker_gone:
            self._worker.fail()
        if self._progress is not None:
            self._progress(self._intake.compressed_size)
        if item is None:
            self._ended = True
            return None
        self._slot, count = item
        self.base = self._slot * SLOT_SIZE
        return self._ring[self.base : self.base + count]

    def flush(self) -> None:
        """Give the worker its orders, and with them the window that has ended."""
        if self._slot >= 0:
            self.orders.append((codes.RELEASE, self._slot))
            self._slot = -1
        if self.orders:
            self._worker.send(self.orders)
            self.orders.clear()

    def worker_gone(self) -> None:
        """The worker has ended, so nothing more need be read. Another thread calls this."""
        self._worker_gone = True
        self._intake.interrupt()
