"""Opens the members of an archive: in a directory, in a plain file, or in a stream as it arrives."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager

from cstore.archive.compression import LONGEST_MAGIC, sniff
from cstore.archive.names import show_name
from cstore.archive.streams import CountingReader, FileReader
from cstore.archive.tar.header import GNU_SPARSE, PAX_GLOBAL, REGULAR
from cstore.archive.tar.reader import TarReader
from cstore.errors import ArchiveError, ImageArchiveError, SystemFailure
from cstore.fs.nameless import nameless
from cstore.store.session import make_roots
from cstore.transfer.members import Catalogue, DirectoryMembers
from cstore.transfer.verifying import uncompressed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from cstore.archive.streams import ReadInto
    from cstore.store import Store
    from cstore.transfer.members import Members

    Offer: TypeAlias = Callable[[Catalogue, str, ReadInto], bool]


@contextmanager
def open_members(
    store: Store, source: int | ReadInto, shown: str, offer: Offer, tell: Callable[[int], None]
) -> Iterator[Members]:
    """Open an archive.

    Args:
        store: on whose disk members are spooled until they are needed.
        source: a descriptor of a directory, a file, or a stream; or something that reads.
        shown: what to call it in messages.
        offer: called with each member of a stream, or of a compressed file, as it arrives; reads all of the body and
            returns True, or touches nothing of it and returns False.
        tell: called with the number of bytes read from the stream.

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
                found = read_stream(uncompressed(_Telling(counted, tell)), spool, shown, offer)
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
    """Name the archive in an error about its tar."""
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


# ── finding the members ──
#
# Finding the members of a tar: by its headers alone in a file, or one after the other in a stream.

_HEADER_WINDOW = 1 << 12
_BLOCK = 512


class _PartWindows:
    """Small windows onto a file from an offset on: enough for a header, little more."""

    def __init__(self, fd: int, offset: int, shown: str) -> None:
        self._fd = fd
        self._at = offset
        self._shown = shown

    def advance(self) -> memoryview | None:
        """Read the next piece (see `tar.reader.Windows`)."""
        try:
            data = os.pread(self._fd, _HEADER_WINDOW, self._at)
        except OSError as error:
            raise SystemFailure("read", self._shown, error) from error
        self._at += len(data)
        return memoryview(data) if data else None


def scan_tar(fd: int, shown: str) -> Catalogue:
    """Read the headers of an uncompressed tar in a regular file, from its present position. Skips the contents.

    Raises:
        ArchiveError: it is not a tar, is truncated, or has an unsafe name.
    """
    found = Catalogue(fd, shown)
    start, size = os.lseek(fd, 0, os.SEEK_CUR), os.fstat(fd).st_size
    at = start
    while True:
        reader = TarReader(_PartWindows(fd, at, shown), _ignore)
        entry = reader.next()
        if entry is None:
            if at == start:
                for _ in reader.new_rest():
                    pass
            return found
        at += reader.offset
        if at + entry.stored > size:
            missing = at + entry.stored - size
            reason = f"unexpected EOF: the archive ends {missing} bytes too early"
            raise ImageArchiveError(show_name(entry.name), reason)
        if entry.type != PAX_GLOBAL:
            found.add(entry, at)
        at += entry.stored + -entry.stored % _BLOCK


def _ignore(data: bytes) -> None:
    """Headers need not be kept."""


# ── a stream ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class BodyReader:
    """The contents of the present entry of a stream."""

    def __init__(self, tar: TarReader) -> None:
        self._tar = tar

    def readinto(self, buffer: memoryview, /) -> int:
        """Read the next bytes, at most those in the tar reader's window."""
        if not self._tar.left or not buffer:
            return 0
        piece = self._tar.take(min(self._tar.left, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def read_stream(source: ReadInto, spool: int, shown: str, offer: Offer) -> Catalogue:
    """Read a tar to its end. Writes members that are not taken on arrival into the file `spool`.

    Raises:
        ArchiveError: it is not a tar, is truncated, or has an unsafe name.
        SystemFailure: there is no room to spool members.
    """
    from cstore.archive.tar.reader import ReaderWindows
    from cstore.transfer.scratch import ScratchSink

    found = Catalogue(spool, shown, waiting=True)
    sink = ScratchSink(spool, "the waiting part of the archive")
    tar = TarReader(ReaderWindows(source), _ignore)
    at = 0
    while (entry := tar.next()) is not None:
        if entry.type == PAX_GLOBAL:
            continue
        name = found.add(entry, at)
        is_file, is_sparse = entry.type in {REGULAR, GNU_SPARSE}, entry.sparse is not None
        if tar.left and not is_sparse and offer(found, name, BodyReader(tar)):
            continue
        at += entry.stored if is_file else 0
        while tar.left:
            piece = tar.take(tar.left)
            if is_file:
                sink.write(piece)
    for _ in tar.new_rest():
        pass
    return found
