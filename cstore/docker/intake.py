"""Read an archive twice: first to compute its DiffID, then to unpack it if no layer has that DiffID (docker 15)."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

from cstore.fs.nameless import nameless
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.streams import ReadInto


class Intake(Value):
    """An archive: a descriptor at its beginning, and its DiffID."""

    source: int
    diff_id: str


@contextmanager
def twice_readable(source: int | ReadInto, directory: str) -> Iterator[Intake]:
    """Read an archive to its end, and yield it at its beginning again.

    Args:
        source: a descriptor, which the caller closes, or a reader. If it is not a regular file, it is copied first.
        directory: the directory for the copy.

    Raises:
        SystemFailure: it cannot be read or copied.
        CompressionFailed: the compressed stream is corrupt.
    """
    if isinstance(source, int) and stat.S_ISREG(os.fstat(source).st_mode):
        yield _rewound(source, os.lseek(source, 0, os.SEEK_CUR))
        return
    with nameless(directory) as copy:
        _copy(source, copy)
        yield _rewound(copy, 0)


def _copy(source: int | ReadInto, target: int) -> None:
    from cstore.archive.streams import BUFFER_SIZE, FileReader, FileSink

    reader = FileReader(source) if isinstance(source, int) else source
    sink, buffer = FileSink(target, "the copy of the archive"), bytearray(BUFFER_SIZE)
    with memoryview(buffer) as view:
        while count := reader.readinto(view):
            sink.write(view[:count])


def _rewound(source: int, start: int) -> Intake:
    os.lseek(source, start, os.SEEK_SET)
    diff_id = _diff_id(source)
    os.lseek(source, start, os.SEEK_SET)
    return Intake(source, diff_id)


def _diff_id(source: int) -> str:
    from cstore.archive.compression import open_decoder, sniff
    from cstore.archive.streams import BUFFER_SIZE, CountingReader, FileReader, PeekingReader

    raw = PeekingReader(FileReader(source))
    hashed = CountingReader(open_decoder(sniff(raw.peek(16)), raw))
    with memoryview(bytearray(BUFFER_SIZE)) as view:
        while hashed.readinto(view):
            pass
    return hashed.digest
