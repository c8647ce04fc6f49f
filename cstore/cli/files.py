"""Files named by the user: archives and data read from them, results written to them.

A named regular file appears only when it is complete: it is written to a temporary name and renamed. Devices, pipes and
files that the shell has opened are written directly.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from cstore import errors
from cstore.cli.output.streams import escapes, escaping
from cstore.config import read_named
from cstore.contexts import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STANDARD_OUTPUT = "standard output"

commands_on_input = False
"""Whether standard input carries commands (cstore batch), so that no command may read it."""

LARGEST_WHOLE = 1 << 26
"""Bytes in the largest file that is read into memory as one piece: a config, or the metadata of an item."""


@contextmanager
def archive_source(path: str, *, directory: bool = False) -> Iterator[int]:
    """Open the archive at `path`, or standard input if that is ""; yields a descriptor. `directory`: it may be one.

    Raises:
        InvalidOption: standard input is a terminal.
        SystemFailure: the file cannot be read.
    """
    if not path:
        if os.isatty(0):
            raise errors.InvalidOption(
                "there is no archive to read: standard input is a terminal",
                hint="name it, or use a pipe" if directory else "use -f FILE or a pipe",
            )
        yield standard_input()
        return
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise errors.SystemFailure("open", path, error) from error
    try:
        if stat.S_ISDIR(os.fstat(source).st_mode) and not directory:
            raise errors.SystemFailure("read", path, OSError(errno.EISDIR, os.strerror(errno.EISDIR)))
        yield source
    finally:
        os.close(source)


def size_of(source: int) -> int | None:
    """How many bytes an open file has yet to give; None for what has no end that could be known."""
    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode):
        return None
    return max(0, status.st_size - os.lseek(source, 0, os.SEEK_CUR))


def read_whole(path: str) -> bytes:
    """Read a file, or standard input if `path` is "".

    Raises:
        ConfigError: it is no file (see `config.read_named`), or larger than any such file.
        SystemFailure: it cannot be read, or there is more on standard input.
    """
    try:
        if path:
            return read_named(path, LARGEST_WHOLE)
        with open(standard_input(), "rb", closefd=False) as file:
            data = file.read(LARGEST_WHOLE + 1)
    except OSError as error:
        raise errors.SystemFailure("read", path or "standard input", error) from error
    if len(data) > LARGEST_WHOLE:
        raise errors.SystemFailure("read", "standard input", OSError(errno.EFBIG, os.strerror(errno.EFBIG)))
    return data


def standard_input() -> int:
    """The descriptor of standard input.

    Raises:
        UsageMistake: it carries the commands of a batch.
    """
    if commands_on_input:
        raise errors.UsageMistake(
            "standard input carries the commands of the batch", hint="write the data to a file and name that"
        )
    return 0


class FileSink:
    """Takes bytes and writes them to a descriptor, all of them. `progress` is told how many there have been."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path
        self._written = 0
        self.progress: Callable[[int], None] | None = None

    def write(self, data: bytes | memoryview) -> None:
        """Write all of `data`.

        Raises:
            SystemFailure: it cannot be written.
        """
        rest = memoryview(data)
        try:
            while rest:
                count = os.write(self._descriptor, rest)
                rest = rest[count:]
                self._written += count
        except OSError as error:
            raise errors.SystemFailure("write", self._path, error) from error
        if self.progress:
            self.progress(self._written)


class _TerminalSink(FileSink):
    """Standard output, if it is a terminal: control characters are spelled out."""

    def __init__(self) -> None:
        super().__init__(1, STANDARD_OUTPUT)
        self._write_shown = escaping(super().write)

    def write(self, data: bytes | memoryview) -> None:
        """Write all of `data`, with control characters escaped."""
        if data:
            self._write_shown(bytes(data))

    def end(self) -> None:
        """Write what may have been the beginning of a character."""
        self._write_shown(b"")


@contextmanager
def result_file(path: str, *, sync: bool, binary: bool = True) -> Iterator[FileSink]:
    """Open the file that a result goes to, or standard output if `path` is "".

    Args:
        path: an existing regular file is replaced when the result is complete, and keeps its mode.
        sync: whether the result must survive a power cut once this returns.
        binary: whether the result would only make a mess of a terminal.

    Raises:
        InvalidOption: it is binary, and standard output is a terminal.
        SystemFailure: the file cannot be made or written.
    """
    if not path:
        if binary and sys.stdout.isatty():
            raise errors.InvalidOption("refusing to write a tar to a terminal", hint="use -f FILE or a pipe")
        sys.stdout.flush()
        sink = _TerminalSink() if escapes(sys.stdout) else FileSink(1, STANDARD_OUTPUT)
        yield sink
        if isinstance(sink, _TerminalSink):
            sink.end()
        return
    from cstore.store import result_at

    with result_at(path, sync=sync) as descriptor:
        yield FileSink(descriptor, path)
