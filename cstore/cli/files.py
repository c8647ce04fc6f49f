"""Files named by the user: reading archives and data, writing results.

A regular file appears only when it is complete: cstore writes a temporary file and renames it. It writes directly to
devices, pipes and files that the shell opened.
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
"""Whether standard input contains the commands of a batch, so that no command may read it."""

LARGEST_WHOLE = 1 << 26
"""The maximum size in bytes of a file that is read into memory as a whole: a config, or the metadata of an item."""


@contextmanager
def archive_source(path: str, *, directory: bool = False) -> Iterator[int]:
    """Yield a descriptor of the archive at `path`, or of standard input if `path` is "".

    With `directory`, the path may be a directory.

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
    """Return the number of bytes after the current position of an open file; None if it is not a regular file."""
    status = os.fstat(source)
    if not stat.S_ISREG(status.st_mode):
        return None
    return max(0, status.st_size - os.lseek(source, 0, os.SEEK_CUR))


def read_whole(path: str) -> bytes:
    """Read a file, or standard input if `path` is "".

    Raises:
        ConfigError: it is not a file (see `config.read_named`), or is larger than `LARGEST_WHOLE`.
        SystemFailure: it cannot be read, or standard input is larger than `LARGEST_WHOLE`.
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
    """Return the descriptor of standard input.

    Raises:
        UsageMistake: standard input contains the commands of a batch.
    """
    if commands_on_input:
        raise errors.UsageMistake(
            "standard input carries the commands of the batch", hint="write the data to a file and name that"
        )
    return 0


class FileSink:
    """A writer of all given bytes to a descriptor. It calls `progress` with the number of bytes written so far."""

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
    """Standard output on a terminal; it escapes control characters."""

    def __init__(self) -> None:
        super().__init__(1, STANDARD_OUTPUT)
        self._write_shown = escaping(super().write)

    def write(self, data: bytes | memoryview) -> None:
        """Write all of `data`, with control characters escaped."""
        if data:
            self._write_shown(bytes(data))

    def end(self) -> None:
        """Write the pending bytes of an incomplete character."""
        self._write_shown(b"")


@contextmanager
def result_file(path: str, *, sync: bool, binary: bool = True) -> Iterator[FileSink]:
    """Open the output file of a result, or standard output if `path` is "".

    Args:
        path: the file; an existing regular file is replaced when the result is complete, and keeps its mode.
        sync: whether the result must survive a power cut after the block ends.
        binary: whether the result is unsuitable for a terminal.

    Raises:
        InvalidOption: the result is binary, and standard output is a terminal.
        SystemFailure: the file cannot be created or written.
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
