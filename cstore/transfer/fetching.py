"""Fetches layers of a remote image ahead, several at once, in a child process, while others are unpacked.

    registry ─► the fetching process: threads ─► GRAPH/cstore-partial/sha256-… ─► this process: inflate, hash, unpack
                                         └────── how far each is, by a socket ─────┘

The process is forked before this one has threads. What it fetches goes into files, so that nothing of it is lost when
the line is cut or somebody presses Ctrl-C, and so that the memory is a buffer for each thread, however large the blobs
are. A reader here follows the growing file. Of several processes that want one blob, one fetches it: it holds the lock
of the blob's digest, and whoever comes second finds the blob whole, or its layer in the store.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
from contextlib import ExitStack, contextmanager
from queue import SimpleQueue

from cstore.digests import algorithm_of, digest_from, new_hash
from cstore.errors import CstoreError, ImageArchiveError, SystemFailure
from cstore.fs.lockfile import LockFile
from cstore.kernel.process import spawn
from cstore.kernel.threads import start_thread
from cstore.store.partial import PartialBlobs
from cstore.transfer.contract import BlobDone, BlobPresent, BlobProgress, TriesAgain
from cstore.transfer.layer_intake import exact_layer
from cstore.transfer.manifests import Descriptor
from cstore.transfer.oci_layout import check_size, digest_differs
from cstore.transfer.rate import Limited, Rate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from cstore.archive.streams import ReadInto
    from cstore.store import Store
    from cstore.transfer.contract import CopyRequest, ImageSource, Tell
    from cstore.transfer.layer_intake import Need

_LARGEST_MESSAGE = 1 << 16
_LARGEST_BUFFER, _SMALLEST_BUFFER = 1 << 20, 1 << 14
_STEP = 128 << 10
"""Bytes after which it is said how far a blob is."""
_FILE, _AT, _WHOLE, _THERE, _FAILED, _TOLD = range(6)
"""Messages of the fetching process about a blob: its file; its bytes so far; complete and verified; its layer came from
elsewhere; failed; and events for the caller."""


class _Blob:
    """The state of one blob in this process."""

    def __init__(self) -> None:
        self.fd = -1
        self.at = 0
        self.begun = 0
        self.whole = self.there = False
        self.failure: CstoreError | None = None


class Fetching:
    """Fetches for as long as the context lasts.

    Attributes:
        spoiled: whether a blob was wrong that an earlier run had begun; what that had left is gone.
    """

    def __init__(
        self, store: Store, source: ImageSource, needs: Sequence[Need], request: CopyRequest, tell: Tell
    ) -> None:
        self._partial = PartialBlobs(store.context)
        self._needs = {need.digest: need for need in needs}
        self._blobs = {need.digest: _Blob() for need in needs}
        self._work = _Work(store, source, needs, request)
        self._source = source
        self._tell = tell
        self._pid = -1
        self._socket: socket.socket | None = None
        self.spoiled = False

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._pid = spawn(lambda: self._work.run(theirs), {theirs.fileno()})
        except OSError as error:
            ours.close()
            raise SystemFailure("start", "a process that fetches", error) from None
        finally:
            theirs.close()
        self._socket = ours
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        if self._socket is not None:
            self._socket.close()
        for blob in self._blobs.values():
            if blob.fd >= 0:
                os.close(blob.fd)

    def settle(self, digest: str) -> None:
        """Wait until a blob can be read, or its layer is there.

        Raises:
            CstoreError: it cannot be read.
        """
        blob = self._blobs.get(digest)
        while blob is not None and blob.fd < 0 and not blob.there and blob.failure is None:
            self.hear()
        if blob is not None and blob.failure is not None and blob.fd < 0:
            raise blob.failure

    @contextmanager
    def opened(self, described: Descriptor) -> Iterator[ReadInto]:
        """Open a blob for reading; it is removed after it was used for a layer."""
        blob = self._blobs.get(described.digest)
        if blob is None:  # its layer was there when the work began, and has been deleted since
            with self._source.open(described) as reader:
                yield reader
            return
        self.settle(described.digest)
        if blob.fd < 0:
            raise ImageArchiveError(described.digest, "its layer existed, but was deleted", hint="try again")
        yield _Following(self, described.digest, blob)
        self._partial.remove(described.digest)
        self._tell(BlobDone(described.digest, described.size))

    def hear(self, wake: int = -1) -> None:
        """Wait for the next message of the fetching process, and note it.

        Raises:
            SystemFailure: it has died.
            ImageArchiveError: `wake` is readable: the reader was closed.
        """
        if self._socket is None:
            raise ImageArchiveError("a blob", "no process is fetching it")
        waiting = [self._socket.fileno(), *([wake] if wake >= 0 else [])]
        if wake in select.select(waiting, [], [])[0]:
            raise ImageArchiveError("a blob", "it is no longer needed")
        if not self._received(self._socket):
            raise SystemFailure("run", "the process that fetches", OSError("it ended without a message"))

    def drain(self) -> None:
        """Note what has been said so far, so that the other side need not wait for us."""
        while self._socket is not None and select.select([self._socket], [], [], 0)[0]:
            if not self._received(self._socket):
                return

    def _received(self, said: socket.socket) -> bool:
        """Note one thing that was said; False at the end."""
        data, descriptors, _, _ = socket.recv_fds(said, _LARGEST_MESSAGE, 1)
        if not data:
            return False
        what, digest, value = pickle.loads(data)  # noqa: S301  - written by our own child
        if what == _TOLD:
            self._tell(value)
            return True
        blob = self._blobs[digest]
        size = self._needs[digest].size
        if what == _FILE:
            blob.fd, blob.at, blob.begun = descriptors[0], value, value
            self._tell(BlobProgress(digest, value, size, value))
        elif what == _AT:
            blob.at = value
            self._tell(BlobProgress(digest, value, size, blob.begun))
        elif what == _WHOLE:
            blob.whole = True
        elif what == _THERE:
            blob.there = True
            self._tell(BlobPresent(digest, size))
        elif what == _FAILED:
            blob.failure, spoiled = value
            self.spoiled |= spoiled
        return True


class _Following:
    """Reads a file while it grows."""

    def __init__(self, fetching: Fetching, digest: str, blob: _Blob) -> None:
        self._fetching, self._digest, self._blob = fetching, digest, blob
        self._at = 0
        self._wake = -1

    def obey(self, wake: int) -> None:
        """Name the descriptor that ends the waiting (see `archive.unpacking.intake`)."""
        self._wake = wake

    def readinto(self, buffer: memoryview, /) -> int:
        """Read once.

        Raises:
            CstoreError: no more can be had, or what has come is another blob.
        """
        if not self._blob.whole:
            self._fetching.drain()
        while self._at == self._blob.at and not self._blob.whole:
            if self._blob.failure is not None:
                raise self._blob.failure
            self._fetching.hear(self._wake)
        wanted = buffer[: self._blob.at - self._at]
        if not wanted:
            return 0
        try:
            count = os.preadv(self._blob.fd, (wanted,), self._at)
        except OSError as error:
            raise SystemFailure("read", self._digest, error) from error
        if not count:
            raise ImageArchiveError(self._digest, "its partial download was truncated", hint="try again")
        self._at += count
        return count


# ── the process that fetches ──────────────────────────────────────────────────────────────────────────────────────────


class _Work:
    """Run the forked process."""

    def __init__(self, store: Store, source: ImageSource, needs: Sequence[Need], request: CopyRequest) -> None:
        self._store, self._source, self._request = store, source, request
        self._partial = PartialBlobs(store.context)
        self._needs = list(needs)
        self._rate = Rate(request.limit_rate)
        self._socket: socket.socket | None = None

    def run(self, to: socket.socket) -> int:
        """Fetch everything; return the exit status."""
        self._socket = to
        todo: SimpleQueue[Need | None] = SimpleQueue()
        lanes = max(1, min(self._request.jobs, len(self._needs)))
        for need in [*self._needs, *([None] * lanes)]:
            todo.put(need)
        forked = getattr(self._source, "forked", None)
        if forked is not None:
            forked()
        if isinstance(self._source, TriesAgain):
            self._source.hear(lambda event: self._say(_TOLD, "", event))
        threads = [start_thread(self._lane, todo, lanes) for _ in range(lanes)]
        for thread in threads:
            thread.join()
        return 0

    def _lane(self, todo: SimpleQueue[Need | None], lanes: int) -> None:
        share = self._request.memory // lanes
        buffer = memoryview(bytearray(max(_SMALLEST_BUFFER, min(_LARGEST_BUFFER, share))))
        while (need := todo.get()) is not None:
            try:
                self._one(need, buffer)
            except CstoreError as error:
                self._say(_FAILED, need.digest, (error, False))
            except Exception as error:  # noqa: BLE001  - it is told where somebody hears of it
                failure = ImageArchiveError(need.digest, f"it cannot be fetched: {type(error).__name__}: {error}")
                self._say(_FAILED, need.digest, (failure, False))

    def _say(self, what: int, digest: str, value: object, fd: int = -1) -> None:
        if self._socket is not None:
            socket.send_fds(self._socket, [pickle.dumps((what, digest, value))], [fd] if fd >= 0 else [])

    def _one(self, need: Need, buffer: memoryview) -> None:
        """Fetch one blob, unless another process has done it meanwhile."""
        with ExitStack() as stack:
            stack.enter_context(LockFile(self._store.context.layout.digest_lock(need.digest)).exclusive())
            if not self._is_there(need):
                fd = self._partial.open(need.digest)
                stack.callback(os.close, fd)
                # Try again: the process that fetched it in the meantime has removed the partial file.
                if not self._is_there(need):
                    self._fill(need, fd, buffer)
                    return
            self._partial.remove(need.digest)
            self._say(_THERE, need.digest, None)

    def _is_there(self, need: Need) -> bool:
        """Whether the store has every layer that a blob is needed for."""
        return all(exact_layer(self._store, layer) is not None for layer in need.ids)

    def _fill(self, need: Need, fd: int, buffer: memoryview) -> None:
        """Fetch the rest of a blob, hash it together with the existing part, and verify it."""
        begun, hashed = _kept(need, fd, buffer)
        at = said = begun
        self._say(_FILE, need.digest, begun, fd)
        if begun != need.size:
            with self._source.open(Descriptor("", need.digest, need.size), begun) as opened:
                reader = Limited(opened, self._rate)
                while count := reader.readinto(buffer):
                    at += count
                    if at > need.size >= 0:
                        break
                    _write(fd, buffer[:count], at - count, need.digest)
                    hashed.update(buffer[:count])
                    if at - said >= _STEP:
                        self._say(_AT, need.digest, at)
                        said = at
        if said < at and (need.size < 0 or at <= need.size):
            self._say(_AT, need.digest, at)
        try:
            check_size(need.digest, need.size, at)
            if digest_from(hashed) != need.digest:
                raise digest_differs(need.digest, need.digest, digest_from(hashed))
        except CstoreError as error:
            wrong = at >= need.size  # what came too short is right as far as it goes, for all that is known
            if wrong:
                self._partial.remove(need.digest)
            self._say(_FAILED, need.digest, (error, wrong and begun > 0))
            return
        self._say(_WHOLE, need.digest, None)


def _kept(need: Need, fd: int, buffer: memoryview) -> tuple[int, HASH]:
    """Hash what an earlier run has left of a blob, and say how much that is. What cannot be a part of it goes."""
    hashed, size, at = new_hash(algorithm_of(need.digest)), os.fstat(fd).st_size, 0
    while at < size and (count := os.preadv(fd, (buffer[: size - at],), at)):
        hashed.update(buffer[:count])
        at += count
    if at < need.size or need.size < 0 or (at == need.size and digest_from(hashed) == need.digest):
        return at, hashed
    os.ftruncate(fd, 0)
    return 0, new_hash(algorithm_of(need.digest))


def _write(fd: int, data: memoryview, at: int, name: str) -> None:
    try:
        while data:
            count = os.pwrite(fd, data, at)
            data, at = data[count:], at + count
    except OSError as error:
        raise SystemFailure("write the partial download of", name, error) from None
