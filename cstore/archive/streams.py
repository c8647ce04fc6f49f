"""The input and output of archives: readers that fill a buffer, and sinks that take one.

A sink may keep a `bytes` object, but never a `memoryview` after `write` has returned, so the caller can reuse the
buffer.
"""

from __future__ import annotations

import errno
import os

from cstore import errors
from cstore.contexts import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _hashlib import HASH
    from collections.abc import Iterator
    from typing import Protocol

    from cstore.archive.compression import Compression
else:
    Protocol = object

BUFFER_SIZE = 1 << 20
"""Bytes per system call, hash update or compressor call: large enough that Python's overhead is negligible."""

_PIPE_SIZE = 1 << 16
"""The default capacity of a pipe in bytes."""

_WORTH_A_THREAD = 1 << 18
"""Bytes above which hashing takes several times as long as starting a thread."""


class ReadInto(Protocol):
    """A reader that fills a caller's buffer."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Read into the front of `buffer` and return the number of bytes: 0 at the end, possibly fewer than fit."""


class Sink(Protocol):
    """A writer that takes bytes in order."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Write all of `data`."""


def _wait(fd: int, *, to_write: bool) -> None:
    """Wait for a descriptor that is non-blocking because another program that shares it made it so."""
    from select import POLLIN, POLLOUT, poll

    waiter = poll()
    waiter.register(fd, POLLOUT if to_write else POLLIN)
    waiter.poll()


# ── readers ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class FileReader:
    """Reads a file, pipe or socket by descriptor, which the caller closes. `name` is for error messages."""

    def __init__(self, fd: int, name: str = "the archive") -> None:
        self._fd = fd
        self._name = name

    def readinto(self, buffer: memoryview, /) -> int:
        """Read once.

        Raises:
            SystemFailure: the system cannot read it.
        """
        while True:
            try:
                return os.readv(self._fd, (buffer,))
            except BlockingIOError:
                _wait(self._fd, to_write=False)
            except OSError as error:
                raise errors.SystemFailure("read", self._name, error) from error


class PeekingReader:
    """A reader whose next bytes can be inspected before they are read."""

    def __init__(self, source: ReadInto) -> None:
        self._source = source
        self._head = b""

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer only if the stream ends first. Later reads return them again.

        This waits for all of them, because a slow pipe may deliver one byte at a time.
        """
        while len(self._head) < size:
            room = memoryview(bytearray(max(size, 1 << 14)))
            count = self._source.readinto(room)
            if not count:
                break
            self._head += room[:count]
        return self._head[:size]

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the peeked bytes first, then the rest."""
        if not self._head:
            return self._source.readinto(buffer)
        count = min(len(self._head), len(buffer))
        buffer[:count] = self._head[:count]
        self._head = self._head[count:]
        return count


class CountingReader:
    """Counts the bytes that pass through, and hashes them if an algorithm is given.

    Attributes:
        count: the bytes read so far.
    """

    def __init__(self, source: ReadInto, algorithm: str | None = "sha256") -> None:
        self._source = source
        self._hash = None if algorithm is None else _new_hash(algorithm)
        self.count = 0

    def readinto(self, buffer: memoryview, /) -> int:
        """Read once."""
        count = self._source.readinto(buffer)
        self.count += count
        if self._hash is not None:
            self._hash.update(buffer[:count])
        return count

    @property
    def digest(self) -> str:
        """`algorithm:hex` of the bytes so far, or "" without an algorithm."""
        return "" if self._hash is None else f"{self._hash.name}:{self._hash.hexdigest()}"


def fill(source: ReadInto, buffer: memoryview) -> int:
    """Read until `buffer` is full or the stream ends; return the bytes read."""
    filled = 0
    while filled < len(buffer):
        count = source.readinto(buffer[filled:])
        if not count:
            break
        filled += count
    return filled


def _new_hash(algorithm: str) -> HASH:
    import hashlib

    return hashlib.new(algorithm, usedforsecurity=False)


# ── sinks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class FileSink:
    """Writes to a file, pipe or socket by descriptor, which the caller closes. `name` is for error messages."""

    def __init__(self, fd: int, name: str = "the output") -> None:
        self._fd = fd
        self._name = name
        self._widened = False

    def write(self, data: bytes | memoryview, /) -> None:
        """Write all of `data`, in as many system calls as it takes.

        Raises:
            SystemFailure: writing failed; for example, the disk is full, or the reader of a pipe exited.
        """
        rest = memoryview(data)
        if not self._widened and len(data) > _PIPE_SIZE:
            import fcntl

            # A pipe that holds a whole buffer does not wake up its reader for every 64 KiB.
            self._widened = True
            with suppress(OSError):  # not a pipe, or the user's quota of pipe memory is exceeded
                fcntl.fcntl(self._fd, fcntl.F_SETPIPE_SZ, BUFFER_SIZE)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                _wait(self._fd, to_write=True)
            except OSError as error:
                hint = "the program that reads it has exited" if error.errno == errno.EPIPE else ""
                raise errors.SystemFailure("write", self._name, error, hint=hint) from error


class CountingSink:
    """Counts the bytes that pass through.

    Attributes:
        count: the bytes written so far.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self.count = 0

    def write(self, data: bytes | memoryview, /) -> None:
        """Pass all of `data` on."""
        self._sink.write(data)
        self.count += len(data)


class HashingSink:
    """Hashes and counts the data, and passes it on to a sink if there is one.

    Attributes:
        count: the bytes written so far.
    """

    def __init__(self, sink: Sink | None = None, algorithm: str = "sha256") -> None:
        self._sink = sink
        self._hash = _new_hash(algorithm)
        self.count = 0

    def write(self, data: bytes | memoryview, /) -> None:
        """Write all of `data`. A large piece is hashed while the sink writes it."""
        self.count += len(data)
        if self._sink is None or len(data) < _WORTH_A_THREAD:
            self._hash.update(data)
            if self._sink is not None:
                self._sink.write(data)
            return
        from cstore.kernel.threads import start_thread

        hashing = start_thread(self._hash.update, data)
        try:
            self._sink.write(data)
        finally:
            # The caller may change the data as soon as this returns.
            hashing.join()

    @property
    def digest(self) -> str:
        """`algorithm:hex` of the bytes so far."""
        return f"{self._hash.name}:{self._hash.hexdigest()}"


class CompressingSink:
    """Compresses the data. `close` ends the compressed stream, which is truncated without it."""

    def __init__(self, sink: Sink, compression: Compression, level: int | None = None) -> None:
        from cstore.archive.compression import open_encoder

        self._sink = sink
        self._encoder = open_encoder(compression, level)

    def write(self, data: bytes | memoryview, /) -> None:
        """Write all of `data`."""
        compressed = self._encoder.compress(data)
        if compressed:
            self._sink.write(compressed)

    def close(self) -> None:
        """End the compressed stream. The sink below stays open."""
        rest = self._encoder.flush()
        if rest:
            self._sink.write(rest)


@contextmanager
def compressed(sink: Sink, compression: Compression) -> Iterator[Sink]:
    """Yield a sink that compresses into `sink`. If the block raises, the compressed stream stays truncated."""
    if not compression:
        yield sink
        return
    compressing = CompressingSink(sink, compression)
    yield compressing
    compressing.close()
