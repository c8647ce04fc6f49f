"""Read an archive in two threads: decompress it into a ring of shared memory, and hash both streams."""

from __future__ import annotations

import mmap
import os
import stat
from _thread import allocate_lock  # `threading` imports a dozen modules

from cstore import errors
from cstore.archive.compression import LONGEST_MAGIC, Compression, open_decoder, sniff
from cstore.archive.streams import CountingReader, FileReader, PeekingReader, fill
from cstore.archive.unpacking import orders as codes
from cstore.digests import digest_from, little_hash, new_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from _hashlib import HASH
    from collections.abc import Callable
    from queue import SimpleQueue

    from cstore.archive.streams import ReadInto
    from cstore.archive.unpacking.orders import Order
    from cstore.archive.unpacking.worker import Worker
    from cstore.fs.room import RoomWatch
    from cstore.kernel.threads import Thread
else:
    from _queue import SimpleQueue  # `queue` takes longer to import

SLOT_SIZE = 1 << 20
SLOTS = 8
_LITTLE = 1 << 17  # bytes of an archive that is hashed sooner than the fast library is loaded
_HOLDERS = 2  # of each filled slot: the hasher, and the worker that takes bodies from it


def make_ring() -> memoryview:
    """Allocate the memory that both processes share: `SLOTS` slots of `SLOT_SIZE` bytes."""
    try:
        return memoryview(mmap.mmap(-1, SLOTS * SLOT_SIZE))
    except OSError as error:
        raise errors.SystemFailure("get", "shared memory", error) from error


class Intake:
    """Reads one archive to its end. Call `start`, then `next` and `release` for every slot, and always `close`.

    After the last slot, digests and sizes are those of the whole stream.
    """

    def __init__(self, source: int | ReadInto, ring: memoryview, known_digest: str, window: int = 0) -> None:
        self._ring = ring
        self._window = window
        self._known_digest = known_digest
        reader = _InterruptibleReader(source) if isinstance(source, int) else source
        self._wake_read, self._wake_write = os.pipe()
        obey = getattr(reader, "obey", None)
        if obey is not None:
            obey(self._wake_read)  # other readers end by themselves
        self._source = PeekingReader(reader)
        self._compressed: CountingReader | None = None
        self._hash: HASH | None = None
        self._free: SimpleQueue[int | None] = SimpleQueue()
        self._filled: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        self._to_hash: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        self._holders = [0] * SLOTS
        self._lock = allocate_lock()
        self._failure: BaseException | None = None
        self._closing = False
        self._threads: list[Thread] = []
        self.compression = Compression.NONE
        self.size = 0

    # ── results ──

    @property
    def digest(self) -> str:
        """The digest of the uncompressed stream."""
        return digest_from(self._hash or little_hash())

    @property
    def compressed_digest(self) -> str:
        """The digest of the stream as received; the caller's if it was known."""
        if self._known_digest:
            return self._known_digest
        if self.compression is Compression.NONE or self._compressed is None:
            return self.digest
        return self._compressed.digest

    @property
    def compressed_size(self) -> int:
        """The bytes of the stream as received, so far."""
        return 0 if self._compressed is None else self._compressed.count

    # ── for the main thread ──

    def start(self) -> None:
        """Start the threads, which begin to read."""
        from cstore.kernel.threads import start_thread

        for slot in range(SLOTS):
            self._free.put(slot)
        for work in (self._read, self._hash_all):
            self._threads.append(start_thread(work))

    def next(self) -> tuple[int, int] | None:
        """Wait for the next filled slot.

        Returns:
            The slot and the number of bytes in it; None at the end of the stream, or after `interrupt`.

        Raises:
            CstoreError: the stream cannot be read or decompressed.
        """
        item = self._filled.get()
        if item is None and self._failure is not None:
            raise self._failure
        return item

    def interrupt(self) -> None:
        """Make `next` return None. Any thread may call this."""
        self._filled.put(None)

    def release(self, slot: int) -> None:
        """Release a slot for one of its holders; the last release frees it. Any thread may call this."""
        with self._lock:
            self._holders[slot] -= 1
            if self._holders[slot]:
                return
        self._free.put(slot)

    def finish(self) -> None:
        """Wait until everything is hashed. Call this only after `next` returned None."""
        for thread in self._threads:
            thread.join()

    def close(self) -> None:
        """Stop reading, at any point, and wait until the threads have ended."""
        self._closing = True
        os.write(self._wake_write, b"!")
        self._free.put(None)
        self._to_hash.put(None)
        for thread in self._threads:
            thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    # ── the threads ──

    def _read(self) -> None:
        try:
            self.compression = sniff(self._source.peek(LONGEST_MAGIC))
            # Hash an uncompressed stream only once, and do not compute a digest that the caller knows.
            hashed = self.compression is not Compression.NONE and not self._known_digest
            self._compressed = CountingReader(self._source, "sha256" if hashed else None)
            decoder = open_decoder(self.compression, self._compressed, window=self._window)
            while (slot := self._free.get()) is not None and not self._closing:
                count = fill(decoder, self._ring[slot * SLOT_SIZE : (slot + 1) * SLOT_SIZE])
                self.size += count
                if count:
                    self._holders[slot] = _HOLDERS
                    self._to_hash.put((slot, count))
                    self._filled.put((slot, count))
                if count < SLOT_SIZE:
                    break
        except BaseException as error:  # noqa: BLE001  - it is raised again in the main thread
            self._failure = error
        self._to_hash.put(None)
        self._filled.put(None)

    def _hash_all(self) -> None:
        try:
            while (item := self._to_hash.get()) is not None:
                slot, count = item
                start = slot * SLOT_SIZE
                if self._hash is None:  # a slot that is not full is the last one
                    self._hash = little_hash() if count < _LITTLE else new_hash()
                self._hash.update(self._ring[start : start + count])
                self.release(slot)
        except BaseException as error:  # noqa: BLE001  - it is raised again in the main thread
            self._failure = error
            self.interrupt()


class _Interrupted(Exception):
    """The import has ended, so no more bytes are needed."""


class _InterruptibleReader:
    """Reads a descriptor, and stops waiting for it when another one becomes readable."""

    def __init__(self, fd: int) -> None:
        self._reader = FileReader(fd)
        self._wake = -1
        self._poll: select.poll | None = None
        try:
            waits = not stat.S_ISREG(os.fstat(fd).st_mode)
        except OSError as error:
            raise errors.SystemFailure("read", "the archive", error) from error
        if waits:
            from select import POLLIN, poll

            self._poll = poll()
            self._poll.register(fd, POLLIN)

    def obey(self, wake: int) -> None:
        """Set the descriptor that ends the waiting."""
        self._wake = wake
        if self._poll is not None:
            from select import POLLIN

            self._poll.register(wake, POLLIN)

    def readinto(self, buffer: memoryview, /) -> int:
        """Read once."""
        if self._poll is not None and any(fd == self._wake for fd, _ in self._poll.poll()):
            raise _Interrupted
        return self._reader.readinto(buffer)


# ── windows ──
#
# The ring as the tar reader sees it: a sequence of windows, each released when the worker is done with it.


class RingWindows:
    """Windows onto the ring. When one ends, the pending orders are sent to the worker.

    Attributes:
        base: the offset of the current window in the ring.
        orders: the pending orders, to which the dispatcher appends.
    """

    def __init__(
        self,
        ring: memoryview,
        intake: Intake,
        worker: Worker,
        progress: Callable[[int], None] | None,
        room: RoomWatch,
    ) -> None:
        self.base = 0
        self.orders: list[Order] = []
        self._ring = ring
        self._intake = intake
        self._worker = worker
        self._progress = progress
        self._room = room
        self._slot = -1
        self._ended = False
        self._worker_gone = False

    def advance(self) -> memoryview | None:
        """Return the next window (see `tar.reader.Windows`).

        Raises:
            CstoreError: the stream cannot be read, the worker has failed, or the disk is almost full.
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
        self._room.writing(count)
        self.base = self._slot * SLOT_SIZE
        return self._ring[self.base : self.base + count]

    def flush(self) -> None:
        """Send the pending orders to the worker, and with them the release of the ended window."""
        if self._slot >= 0:
            self.orders.append((codes.RELEASE, self._slot))
            self._slot = -1
        if self.orders:
            self._worker.send(self.orders)
            self.orders.clear()

    def worker_gone(self) -> None:
        """Stop reading because the worker has ended. This is called from another thread."""
        self._worker_gone = True
        self._intake.interrupt()
