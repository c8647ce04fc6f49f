"""Read an archive twice: first to compute its DiffID, then to unpack it if no layer has that DiffID (docker 15)."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

from cstore.fs.nameless import nameless

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.streams import ReadInto


@contextmanager
def twice_readable(source: int | ReadInto, directory: str) -> Iterator[tuple[int, str]]:
    """Read an archive to its end, and yield a descriptor at its beginning again, and its DiffID.

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
    from cstore.archive.streams import BUFFER_SIZE, FileReader, FileSink

    with nameless(directory) as copy:
        reader = FileReader(source) if isinstance(source, int) else source
        sink = FileSink(copy, "the copy of the archive")
        with memoryview(bytearray(BUFFER_SIZE)) as view:
            while count := reader.readinto(view):
                sink.write(view[:count])
        yield _rewound(copy, 0)


def _rewound(source: int, start: int) -> tuple[int, str]:
    from cstore.archive.compression import open_decoder, sniff
    from cstore.archive.streams import BUFFER_SIZE, CountingReader, FileReader, PeekingReader

    os.lseek(source, start, os.SEEK_SET)
    raw = PeekingReader(FileReader(source))
    hashed = CountingReader(open_decoder(sniff(raw.peek(16)), raw))
    with memoryview(bytearray(BUFFER_SIZE)) as view:
        while hashed.readinto(view):
            pass
    os.lseek(source, start, os.SEEK_SET)
    return source, hashed.digest
