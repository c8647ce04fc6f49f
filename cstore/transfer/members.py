"""What is in an archive of images, by name: in a directory, in a tar that can be read anywhere, or in a stream.

A regular file that is not compressed is only looked through for headers, and its members are read where they lie. A
stream, or a compressed archive, goes by once: layers that can be used at once are (see `stream`), the rest waits in an
unnamed file. Nothing is ever unpacked by name, so no name can lead anywhere.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager

from cstore.archive.names import clean_name, climbs, show_name
from cstore.archive.tar.header import DIRECTORY, HARD_LINK, PAX_GLOBAL, REGULAR, SYMLINK
from cstore.archive.tar.reader import TarReader
from cstore.errors import CstoreError, ImageArchiveError, SystemFailure
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from cstore.archive.streams import ReadInto
    from cstore.archive.tar.header import Entry
else:
    Protocol = object

_MOST_MEMBERS = 100_000
_HEADER_WINDOW = 1 << 12
_BLOCK = 512
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


class PartReader:
    """Reads a part of a file, wherever others read in it. `name` is for error messages."""

    def __init__(self, fd: int, offset: int, size: int, name: str) -> None:
        self._fd = fd
        self._at = offset
        self._end = offset + size
        self._name = name

    def readinto(self, buffer: memoryview, /) -> int:
        """Read once.

        Raises:
            ImageArchiveError: the file has become shorter.
            SystemFailure: it cannot be read.
        """
        wanted = buffer[: self._end - self._at]
        if not wanted:
            return 0
        try:
            count = os.preadv(self._fd, (wanted,), self._at)
        except OSError as error:
            raise SystemFailure("read", self._name, error) from error
        if not count:
            raise ImageArchiveError(self._name, f"it ends {self._end - self._at} bytes too early")
        self._at += count
        return count


class Part(Value):
    """The contents of one member: `size` bytes from `offset`, of an open file or, if `fd` is -1, of the file `name`.

    `linked`: the member is a link to what has the contents.
    """

    name: str
    size: int
    fd: int = -1
    offset: int = 0
    root: int = -1
    linked: bool = False

    @contextmanager
    def opened(self) -> Iterator[PartReader]:
        """Give a reader of the contents."""
        fd = self.fd if self.fd >= 0 else _open_beneath(self.root, self.name)
        try:
            yield PartReader(fd, self.offset, self.size, self.name)
        finally:
            if self.fd < 0:
                os.close(fd)

    def read(self, limit: int) -> bytes:
        """Read everything.

        Raises:
            ImageArchiveError: it is more than `limit` bytes.
        """
        from cstore.archive.streams import fill

        if self.size > limit:
            reason = f"it has {self.size} bytes, and may have {limit}"
            raise ImageArchiveError(self.name, reason, peer=f"exceeded maximum allowed size of {limit} bytes")
        data = bytearray(self.size)
        with self.opened() as reader, memoryview(data) as view:
            fill(reader, view)
        return bytes(data)


class Members(Protocol):
    """An archive of images. `shown` is what to call it in messages."""

    shown: str

    def find(self, name: str) -> Part | None:
        """Look up a member by its plain name; one link is followed.

        Raises:
            ImageArchiveError: it is no file, or a link that leads nowhere.
        """


def get_part(members: Members, name: str, wanted: str) -> Part:
    """Look up a member that must be there. `wanted` says who asks for it.

    Raises:
        ImageArchiveError: it is not, or the name leaves the archive.
    """
    part = members.find(plain_name(name, wanted))
    if part is None:
        raise ImageArchiveError(name, f"there is no such member, and {wanted} names it", hint="fetch the archive again")
    return part


def plain_name(name: str, wanted: str) -> str:
    """Clean a member's name that a document gives.

    Raises:
        ImageArchiveError: it is empty, absolute, or leads out of the archive.
    """
    raw = os.fsencode(name)
    try:
        plain = clean_name(raw)
    except CstoreError:
        plain = b""
    if not plain or raw.startswith(b"/") or b"\0" in raw:
        raise ImageArchiveError(show_name(raw), f"{wanted} names it, and it is no member of this archive")
    return os.fsdecode(plain)


# ── a directory ───────────────────────────────────────────────────────────────────────────────────────────────────────


class DirectoryMembers:
    """The files beneath an open directory. Links are not followed."""

    def __init__(self, root: int, shown: str) -> None:
        self._root = root
        self.shown = shown

    def find(self, name: str) -> Part | None:
        """Look up a file (see `Members`)."""
        try:
            fd = _open_beneath(self._root, name)
        except SystemFailure as error:
            if error.errno in _ABSENT:
                return None
            raise
        try:
            status = os.fstat(fd)
        finally:
            os.close(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ImageArchiveError(name, "expected a regular file")
        return Part(name, status.st_size, root=self._root)


def _open_beneath(root: int, name: str) -> int:
    from cstore.fs.scoped import open_beneath

    try:
        return open_beneath(root, os.fsencode(name), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ImageArchiveError(name, "it is, or lies behind, a symbolic link, which is not followed") from None
        raise SystemFailure("open", name, error) from error


# ── a tar ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Place(Value):
    """One entry of a tar. `link` is the plain name that it stands for, "" if it is a file."""

    offset: int
    size: int
    link: str = ""
    is_file: bool = True


class Catalogue:
    """The members of a tar, as they are found. The contents of all of them are in the file `fd`."""

    def __init__(self, fd: int, shown: str) -> None:
        self.fd = fd
        self.shown = shown
        self._places: dict[str, _Place] = {}

    def add(self, entry: Entry, offset: int) -> str:
        """Take down an entry whose contents stand, or will stand, at `offset`; return its plain name.

        Raises:
            ImageArchiveError: its name or link leaves the archive, or the name has come before.
        """
        shown = show_name(entry.name)
        name = _inside(entry.name, shown, "its name")
        if entry.type == DIRECTORY or not name:
            return name
        if name in self._places:
            raise ImageArchiveError(shown, "it comes twice, and programs differ on which one counts")
        if len(self._places) == _MOST_MEMBERS:
            raise ImageArchiveError(self.shown, f"it has more than {_MOST_MEMBERS} members")
        self._places[name] = self._place(entry, offset, shown)
        return name

    def _place(self, entry: Entry, offset: int, shown: str) -> _Place:
        if entry.type == REGULAR:
            if entry.sparse is not None:
                raise ImageArchiveError(shown, "it is stored as a sparse file, as nobody writes it here")
            return _Place(offset, entry.stored)
        if entry.type == SYMLINK:
            folder, slash, _ = entry.name.rpartition(b"/")
            return _Place(0, 0, _inside(folder + slash + entry.link, shown, "its target", entry.link))
        if entry.type == HARD_LINK:
            return _Place(0, 0, _inside(entry.link, shown, "its target"))
        return _Place(0, 0, is_file=False)

    def has(self, name: str) -> bool:
        """Whether there is a member of this plain name, of whatever kind."""
        return name in self._places

    def find(self, name: str) -> Part | None:
        """Look up a member (see `Members`)."""
        place = self._places.get(name)
        linked = place is not None and bool(place.link)
        if place is not None and place.link:
            target = self._places.get(place.link)
            if target is None or target.link:
                raise ImageArchiveError(name, f"it is a link to {place.link!r}, which is no file of the archive")
            place = target
        if place is None:
            return None
        if not place.is_file:
            raise ImageArchiveError(name, "expected a regular file")
        return Part(name, place.size, self.fd, place.offset, linked=linked)


def _inside(name: bytes, shown: str, what: str, link: bytes = b"") -> str:
    """Clean a name of the archive itself."""
    depth, leaves = 0, name.startswith(b"/") or link.startswith(b"/")
    for part in name.split(b"/") if climbs(name) else ():
        depth += -1 if part == b".." else part not in {b"", b"."}
        leaves |= depth < 0
    if leaves:
        raise ImageArchiveError(shown, f"{what} leads out of the archive")
    return os.fsdecode(clean_name(name))


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
    """Look through an uncompressed tar in a regular file, from its present position. Contents are passed over unread.

    Raises:
        ArchiveError: it is no tar, it is cut, or a name in it is refused.
    """
    found = Catalogue(fd, shown)
    start, size = os.lseek(fd, 0, os.SEEK_CUR), os.fstat(fd).st_size
    at = start
    while True:
        reader = TarReader(_PartWindows(fd, at, shown), _ignore)
        entry = reader.next()
        if entry is None:
            return found
        at += reader.offset
        if at + entry.stored > size:
            missing = at + entry.stored - size
            raise ImageArchiveError(show_name(entry.name), f"the archive ends {missing} bytes too early")
        if entry.type != PAX_GLOBAL:
            found.add(entry, at)
        at += entry.stored + -entry.stored % _BLOCK


def _ignore(data: bytes) -> None:
    """Headers need not be kept."""


# ── a stream ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Arrivals(Protocol):
    """Whoever may have use for a member the moment it arrives."""

    def arrived(self, members: Catalogue, name: str, body: ReadInto) -> bool:
        """Read all of `body` and return True, or touch nothing of it and return False."""


class BodyReader:
    """The contents of the present entry of a stream."""

    def __init__(self, tar: TarReader) -> None:
        self._tar = tar

    def readinto(self, buffer: memoryview, /) -> int:
        """Give the next bytes, as many as there are in the tar reader's window."""
        if not self._tar.left or not buffer:
            return 0
        piece = self._tar.take(min(self._tar.left, len(buffer)))
        buffer[: len(piece)] = piece
        return len(piece)


def read_stream(source: ReadInto, spool: int, shown: str, arrivals: Arrivals) -> Catalogue:
    """Read a tar to its end. What nobody takes on arrival is put into the file `spool`.

    Raises:
        ArchiveError: it is no tar, it is cut, or a name in it is refused.
        SystemFailure: there is no room for what must wait.
    """
    from cstore.archive.streams import FileSink
    from cstore.archive.tar.reader import ReaderWindows

    found = Catalogue(spool, shown)
    sink = FileSink(spool, "what waits of the archive")
    tar = TarReader(ReaderWindows(source), _ignore)
    at = 0
    while (entry := tar.next()) is not None:
        if entry.type == PAX_GLOBAL:
            continue
        name = found.add(entry, at)
        if tar.left and arrivals.arrived(found, name, BodyReader(tar)):
            continue
        at += entry.stored if entry.type == REGULAR else 0
        while tar.left:
            piece = tar.take(tar.left)
            if entry.type == REGULAR:
                sink.write(piece)
    for _ in tar.rest():
        pass
    return found
