"""Sources and sinks of bytes from a caller: a path, bytes, a descriptor, or an object with methods."""

from __future__ import annotations

import errno
import io
import os

from cstore import errors
from cstore.archive.streams import FileSink
from cstore.contexts import contextmanager
from cstore.fs.closing import opened
from cstore.values import cast

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol, TypeAlias

    from cstore.archive.streams import ReadInto, Sink
else:
    Protocol = object


class Readable(Protocol):
    """An object that returns bytes on request."""

    def read(self, size: int, /) -> bytes | None:
        """Return at most `size` bytes; none at the end."""


class _Writable(Protocol):
    def write(self, data: bytes | memoryview, /) -> int | None: ...


class _FillsBuffers(Protocol):
    def readinto(self, buffer: memoryview, /) -> int | None: ...


if TYPE_CHECKING:
    Source: TypeAlias = int | str | os.PathLike[str] | bytes | bytearray | memoryview | ReadInto | Readable | io.IOBase
    """A descriptor, a path, the bytes themselves, or anything with `readinto` or `read`; all but paths stay open."""
    Target: TypeAlias = int | str | os.PathLike[str] | bytearray | Sink | io.IOBase
    """A descriptor, a path, a bytearray to be extended, or anything with `write`; all but paths stay open."""


class _Bytes:
    """A reader of bytes in memory."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._rest = memoryview(data).cast("B")

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the next bytes."""
        count = min(len(self._rest), len(buffer))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class _Filling:
    """A reader of an object with `readinto`, which returns None if it does not block and has no data."""

    def __init__(self, source: _FillsBuffers, name: str) -> None:
        self._source, self._name = source, name
        obey = getattr(source, "obey", None)
        if obey is not None:
            self.obey = obey  # it can be told to stop waiting

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the next bytes.

        Raises:
            SystemFailure: the object cannot be read, or does not block.
        """
        try:
            count = self._source.readinto(buffer)
        except OSError as error:
            raise errors.SystemFailure("read", self._name, error) from error
        return _waited(count, self._name)


class _Reading:
    """A reader of an object that only has `read`."""

    def __init__(self, source: Readable, name: str) -> None:
        self._source, self._name = source, name
        self._rest = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the next bytes.

        Raises:
            SystemFailure: the object cannot be read, or does not block.
            InvalidOption: the object returns something other than bytes.
        """
        if not self._rest and buffer:
            try:
                data = self._source.read(len(buffer))
            except OSError as error:
                raise errors.SystemFailure("read", self._name, error) from error
            if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
                raise _no_bytes(self._name, "gives", data)
            _waited(None if data is None else 0, self._name)
            self._rest = memoryview(data or b"")
        count = min(len(self._rest), len(buffer))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _waited(count: int | None, name: str) -> int:
    if count is None:
        raise errors.SystemFailure(
            "read", name, BlockingIOError(11, os.strerror(11)), hint="give an object that blocks"
        )
    return count


def _no_bytes(name: str, verb: str, found: object) -> errors.InvalidOption:
    return errors.InvalidOption(f"{name} {verb} {type(found).__name__}, not bytes", hint="open files in binary mode")


def _require_open(end: object, verb: str, name: str) -> None:
    """Check that a descriptor or file is open, before its number can be reused for another one.

    Raises:
        SystemFailure: it is closed.
    """
    if getattr(end, "closed", False) is True:
        raise errors.SystemFailure(verb, name, OSError(errno.EBADF, "the file is closed"))
    try:
        if isinstance(end, int):
            os.fstat(end)
    except OSError as error:
        raise errors.SystemFailure(verb, name, error) from None
    except OverflowError:
        raise errors.InvalidOption(f"{name}: {end} is not a file descriptor") from None


@contextmanager
def opened_source(source: Source, name: str = "the archive", flags: int = 0) -> Iterator[int | ReadInto]:
    """Yield a descriptor of a caller's source, or a reader that fills buffers.

    Args:
        source: the source; a path is opened here, and closed at the end.
        name: its name in messages, unless it is a path.
        flags: additional flags for opening a path.

    Raises:
        InvalidOption: the source cannot be read, or does not return bytes.
        SystemFailure: the path cannot be opened, or the source is closed.
    """
    _require_open(source, "read", name)
    if isinstance(source, int):
        yield source
    elif isinstance(source, (str, os.PathLike)):
        with opened(os.fspath(source), os.O_RDONLY | flags) as fd:
            yield fd
    else:
        yield as_reader(source, name)


def as_reader(source: bytes | bytearray | memoryview | ReadInto | Readable | io.IOBase, name: str) -> ReadInto:
    """Return a reader of bytes or an object that fills buffers.

    Raises:
        InvalidOption: the source cannot be read, or does not return bytes.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _Bytes(source)
    if isinstance(source, io.TextIOBase):
        raise _no_bytes(name, "gives", "")
    if hasattr(source, "readinto"):
        return _Filling(cast("_FillsBuffers", source), name)
    if hasattr(source, "read"):
        return _Reading(cast("Readable", source), name)
    raise errors.InvalidOption(
        f"{name} cannot be read from an object of type {type(source).__name__}",
        hint="give a path, bytes, a descriptor, or an object with read or readinto",
    )


# ── sinks ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Extending:
    """A sink that appends to a bytearray."""

    def __init__(self, data: bytearray) -> None:
        self._data = data

    def write(self, data: bytes | memoryview, /) -> None:
        """Append all of `data`."""
        self._data += data


class _Written:
    """A sink that writes to an object, which may accept less than all, as unbuffered files do, and return the count."""

    def __init__(self, file: _Writable, name: str) -> None:
        self._file, self._name = file, name
        self._tells = isinstance(file, io.RawIOBase)

    def write(self, data: bytes | memoryview, /) -> None:
        """Write all of `data`.

        Raises:
            SystemFailure: the object cannot be written.
        """
        rest = memoryview(data).cast("B")
        try:
            while rest:
                taken = self._file.write(rest)
                if not self._tells and not isinstance(taken, int):
                    return  # it took all
                count = _waited(taken, self._name)
                if not isinstance(count, int) or count <= 0:  # or writing would make no progress
                    raise errors.InvalidOption(
                        f"{self._name}: write returned {count!r}",
                        hint="return how many bytes were taken, or None for all",
                    )
                rest = rest[count:]
        except OSError as error:
            raise errors.SystemFailure("write", self._name, error) from error


@contextmanager
def opened_sink(target: Target, name: str = "the output", *, sync: bool = True) -> Iterator[Sink]:
    """Yield a sink for a caller's target.

    Args:
        target: the target. A file at a path gets its name only when it is complete.
        name: its name in messages, unless it is a path.
        sync: whether a file at a path must survive a power cut on return.

    Raises:
        InvalidOption: the target cannot be written, or does not accept bytes.
        SystemFailure: the file cannot be created or written, or the target is closed.
    """
    _require_open(target, "write", name)
    if isinstance(target, int):
        yield FileSink(target, name)
    elif isinstance(target, (str, os.PathLike)):
        from cstore.store.result_files import result_at

        with result_at(os.fspath(target), sync=sync) as fd:
            yield FileSink(fd, os.fspath(target))
    elif isinstance(target, bytearray):
        yield _Extending(target)
    elif isinstance(target, io.TextIOBase):
        raise _no_bytes(name, "takes", "")
    elif hasattr(target, "write"):
        yield _Written(cast("_Writable", target), name)
    else:
        raise errors.InvalidOption(
            f"{name} cannot be written to an object of type {type(target).__name__}",
            hint="give a path, a bytearray, a descriptor, or an object with write",
        )
