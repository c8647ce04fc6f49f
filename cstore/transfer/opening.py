"""A way to the members of an archive: in a directory, in a plain file, or while a stream goes by."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

from cstore.archive.compression import LONGEST_MAGIC, sniff
from cstore.archive.streams import CountingReader, FileReader
from cstore.errors import ArchiveError, ImageArchiveError, SystemFailure
from cstore.fs.nameless import nameless
from cstore.store.session import make_roots
from cstore.transfer.members import DirectoryMembers
from cstore.transfer.scanning import read_stream, scan_tar
from cstore.transfer.verifying import uncompressed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.archive.streams import ReadInto
    from cstore.store import Store
    from cstore.transfer.members import Catalogue, Members
    from cstore.transfer.scanning import Arrivals


@contextmanager
def open_members(
    store: Store, source: int | ReadInto, shown: str, arrivals: Arrivals, tell: Callable[[int], None]
) -> Iterator[Members]:
    """Open an archive.

    Args:
        store: on whose disk may wait what is not yet known to be of use.
        source: a descriptor of a directory, a file, or a stream; or something that reads.
        shown: what to call it in messages.
        arrivals: offered the members of a stream, or of a compressed file, as they come.
        tell: called with the bytes of such a one that have been read.

    Raises:
        ArchiveError: it is neither a directory nor a tar.
        SystemFailure: it cannot be read.
    """
    if isinstance(source, int) and stat.S_ISDIR(os.fstat(source).st_mode):
        yield DirectoryMembers(source, shown)
    elif isinstance(source, int) and is_plain(source, shown):
        with naming(shown):
            found: Catalogue = scan_tar(source, shown)
        yield found
    else:
        make_roots(store.context.layout)
        with nameless(store.config.graph_root) as spool:
            counted = CountingReader(FileReader(source, shown) if isinstance(source, int) else source, None)
            with naming(shown):
                found = read_stream(uncompressed(_Telling(counted, tell)), spool, shown, arrivals)
            yield found


def is_plain(source: int, shown: str) -> bool:
    """Whether a descriptor is of a regular file whose rest is not compressed.

    Raises:
        SystemFailure: it cannot be read.
    """
    try:
        if not stat.S_ISREG(os.fstat(source).st_mode):
            return False
        return not sniff(os.pread(source, LONGEST_MAGIC, os.lseek(source, 0, os.SEEK_CUR)))
    except OSError as error:
        raise SystemFailure("read", shown, error) from error


@contextmanager
def naming(shown: str) -> Iterator[None]:
    """Say which archive it is that is no tar."""
    try:
        yield
    except ImageArchiveError:
        raise
    except ArchiveError as error:
        raise ImageArchiveError(shown, error.message, hint=error.hint, go_text=error.go_text) from error


class _Telling:
    """Tells how much has been read."""

    def __init__(self, source: CountingReader, tell: Callable[[int], None]) -> None:
        self._source = source
        self._tell = tell

    def readinto(self, buffer: memoryview, /) -> int:
        """Pass one read through."""
        count = self._source.readinto(buffer)
        self._tell(self._source.count)
        return count
