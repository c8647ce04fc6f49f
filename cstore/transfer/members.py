"""The members of an image archive, by name: in a directory, in a tar with random access, or in a stream.

A regular file that is not compressed is only looked through for headers, and its members are read where they lie. A
stream, or a compressed archive, goes by once: layers that can be used at once are (see `stream`), the rest waits in an
unnamed file. Nothing is ever unpacked by name, so no name can lead anywhere.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress

from cstore.archive.names import clean_name, climbs, show_name
from cstore.archive.tar.header import DIRECTORY, HARD_LINK, REGULAR, SYMLINK
from cstore.errors import CstoreError, ImageArchiveError, MemberMissing, SystemFailure
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from cstore.archive.tar.header import Entry
else:
    Protocol = object

_MOST_MEMBERS, _MOST_LINKS = 100_000, 40
_LARGEST_SPARSE = 1 << 38
"""Limit of bytes in a sparse member: a map of a few digits could request a practically endless run of zeros."""
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


class PartReader:
    """Reads the contents of a part of a file, wherever others read in it."""

    def __init__(self, fd: int, part: Part) -> None:
        self._fd = fd
        self._part = part
        self._stored = part.offset
        """Where in the file the contents go on."""
        self._at = 0
        """How much has been read, holes included."""
        self._pieces = list(part.pieces[::-1]) if part.pieces is not None else [(0, part.size)]

    def again(self, offset: int) -> PartReader:
        """Give another reader of the same part, from an offset in it on."""
        other = PartReader(self._fd, self._part)
        other._at = offset
        for start, length in reversed(other._pieces):
            other._stored += min(max(offset - start, 0), length)
        return other

    def readinto(self, buffer: memoryview, /) -> int:
        """Read once.

        Raises:
            ImageArchiveError: the file has become shorter.
            SystemFailure: it cannot be read.
        """
        while self._pieces and sum(self._pieces[-1]) <= self._at:
            self._pieces.pop()
        start, length = self._pieces[-1] if self._pieces else (self._part.size, 0)
        if self._at < start:
            hole = buffer[: start - self._at]
            hole[:] = bytes(len(hole))
            self._at += len(hole)
            return len(hole)
        wanted = buffer[: start + length - self._at]
        if not wanted:
            return 0
        try:
            count = os.preadv(self._fd, (wanted,), self._stored)
        except OSError as error:
            raise SystemFailure("read", self._part.name, error) from error
        if not count:
            reason = f"unexpected EOF: it ends {self._part.size - self._at} bytes too early"
            raise ImageArchiveError(self._part.name, reason)
        self._at += count
        self._stored += count
        return count


class Part(Value):
    """The contents of one member: `size` bytes from `offset`, of an open file or, if `fd` is -1, of the file `name`.

    `linked`: the member is a link to what has the contents. `waiting`: they are in a file of ours, until they are used.
    `pieces`: of a sparse file, where in its contents the bytes go that are stored; the rest are zeros.
    """

    name: str
    size: int
    fd: int = -1
    offset: int = 0
    root: int = -1
    linked: bool = False
    waiting: bool = False
    pieces: tuple[tuple[int, int], ...] | None = None

    @property
    def stored(self) -> int:
        """Bytes of the contents that are in the file."""
        return self.size if self.pieces is None else sum(length for _, length in self.pieces)

    def release(self) -> None:
        """Release the disk space of contents that are no longer needed."""
        from cstore.kernel.files import punch_hole

        if self.waiting and self.stored:
            with suppress(OSError):  # a file system that cannot do it keeps them until the end
                punch_hole(self.fd, self.offset, self.stored)

    @contextmanager
    def opened(self) -> Iterator[PartReader]:
        """Open the contents for reading."""
        fd = self.fd if self.fd >= 0 else _open_beneath(self.root, self.name)
        try:
            yield PartReader(fd, self)
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
            reason = f"it has {self.size} bytes, more than the allowed {limit}"
            raise ImageArchiveError(self.name, reason, go_text=f"exceeded maximum allowed size of {limit} bytes")
        data = bytearray(self.size)
        with self.opened() as reader, memoryview(data) as view:
            fill(reader, view)
        return bytes(data)


class Members(Protocol):
    """An archive of images. `shown` is what to call it in messages."""

    shown: str

    def find(self, name: str) -> Part | None:
        """Look up a member by its plain name; links are followed.

        Raises:
            ImageArchiveError: it is not a regular file, or is a dangling link.
        """


def get_part(members: Members, name: str, wanted: str) -> Part:
    """Look up a member that must be there. `wanted` says who asks for it.

    Raises:
        MemberMissing: it is not.
        ImageArchiveError: the name leaves the archive.
    """
    part = members.find(plain_name(name, wanted))
    if part is None:
        reason = f"this member, which {wanted} names, is missing"
        raise MemberMissing(f"{members.shown}: {name}", reason, hint="fetch the archive again")
    return part


def plain_name(name: str, wanted: str) -> str:
    """Normalize the name of a member in a document.

    Raises:
        ImageArchiveError: it is empty, or leads out of the archive.
    """
    raw = os.fsencode(name)
    try:
        plain = clean_name(raw)  # of an absolute name, the root is the archive's
    except CstoreError:
        plain = b""
    if not plain or b"\0" in raw:
        raise ImageArchiveError(show_name(raw), f"{wanted} names it, but it is not a member of this archive")
    return os.fsdecode(plain)


# ── a directory ───────────────────────────────────────────────────────────────────────────────────────────────────────


class DirectoryMembers:
    """The files below an open directory.

    Links are followed inside it; those of blobs, which their digests guard, out of it too: so layouts share blobs.
    """

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

    def names(self, depth: int) -> Iterator[str]:
        """The names of what is in it, `depth` directories down; no link is followed."""
        for folder, folders, files, fd in os.fwalk(".", dir_fd=self._root):
            del fd
            plain = "" if folder == "." else folder.removeprefix("./") + "/"
            yield from (plain + name for name in files)
            if plain.count("/") >= depth:
                folders.clear()

    def enter(self, folder: str) -> int:
        """Open a directory in it; the caller closes it.

        Raises:
            SystemFailure: it cannot be opened.
        """
        from cstore.fs.scoped import open_beneath

        try:
            return open_beneath(self._root, os.fsencode(folder), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise SystemFailure("open", folder, error) from error


def _open_beneath(root: int, name: str) -> int:
    from cstore.fs.scoped import open_in_root

    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return open_in_root(root, os.fsencode(name), flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ImageArchiveError(name, "its symbolic links form a loop") from None
        outside = _open_outside(root, name, flags) if error.errno in _ABSENT else -1
        if outside < 0:
            raise SystemFailure("open", name, error) from error
        return outside


def _open_outside(root: int, name: str, flags: int) -> int:
    """Open the target of a link that leads out of the directory; -1 if it does not exist.

    Raises:
        ImageArchiveError: it is not a regular file, or no digest verifies it.
    """
    try:
        place = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=root)
    except OSError:
        return -1
    try:
        if not name.startswith("blobs/"):
            raise ImageArchiveError(name, "it is, or is behind, a symbolic link that leads out of the directory")
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise ImageArchiveError(name, "expected a regular file")
        return os.open(f"/proc/self/fd/{place}", flags)
    except OSError as error:
        raise SystemFailure("open", name, error) from error
    finally:
        os.close(place)


# ── a tar ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Place(Value):
    """One entry of a tar. `link` is the plain name of its target, "" if it is a file.

    `flaw`: what is wrong with it, reported only if the entry is needed.
    """

    offset: int
    size: int
    link: str = ""
    is_file: bool = True
    pieces: tuple[tuple[int, int], ...] | None = None
    flaw: str = ""


class Catalogue:
    """The members of a tar, as they are found. The contents of all of them are in the file `fd`.

    `waiting`: that is a file of ours, in which they only wait.
    """

    def __init__(self, fd: int, shown: str, *, waiting: bool = False) -> None:
        self.fd = fd
        self._waiting = waiting
        self.shown = shown
        self._places: dict[str, _Place] = {}

    def add(self, entry: Entry, offset: int) -> str:
        """Record an entry whose contents are, or will be, at `offset`; return its plain name.

        Raises:
            ImageArchiveError: its name leaves the archive, or there are too many.
        """
        shown = show_name(entry.name)
        name = _inside(entry.name, shown, "its name")
        if entry.type == DIRECTORY or not name:
            return name
        if name in self._places:
            flaw = "it occurs twice, and programs differ on which one is valid"
            self._places[name] = self._places[name].with_(flaw=flaw)
            return name
        if len(self._places) == _MOST_MEMBERS:
            raise ImageArchiveError(self.shown, f"it has more than {_MOST_MEMBERS} members")
        try:
            self._places[name] = _place(entry, offset, shown)
        except ImageArchiveError as error:
            self._places[name] = _Place(0, 0, flaw=error.reason)
        return name

    def names(self) -> list[str]:
        """The plain names of all members except directories."""
        return list(self._places)

    def has(self, name: str) -> bool:
        """Whether there is a member of any type with this plain name."""
        return name in self._places

    def find(self, name: str) -> Part | None:
        """Look up a member (see `Members`)."""
        place, meant = self._places.get(name), name
        for _ in range(_MOST_LINKS):
            if place is None:
                behind = self._behind(meant)
                if behind == meant:
                    break
                meant = behind
            elif place.link:
                meant = place.link
            else:
                break
            place = self._places.get(meant)
        if place is not None and place.flaw:
            raise ImageArchiveError(meant, place.flaw)
        if place is None:
            if meant == name:
                return None
            raise ImageArchiveError(name, f"it is a link to {meant!r}, which is not a file of the archive")
        if place.link:
            raise ImageArchiveError(name, "its links form a loop")
        if not place.is_file:
            raise ImageArchiveError(name, "expected a regular file")
        return Part(
            name,
            place.size,
            self.fd,
            place.offset,
            linked=meant != name,
            waiting=self._waiting,
            pieces=place.pieces,
        )

    def _behind(self, name: str) -> str:
        """Replace the first part of a name that is a link to a directory; the name itself if there is none."""
        end = name.find("/")
        while end > 0:
            place = self._places.get(name[:end])
            if place is not None and place.link:
                return place.link + name[end:]
            end = name.find("/", end + 1)
        return name


def _place(entry: Entry, offset: int, shown: str) -> _Place:
    if entry.sparse is not None:
        if entry.size > _LARGEST_SPARSE:
            raise ImageArchiveError(shown, f"it is a sparse file of {entry.size} bytes, more than {_LARGEST_SPARSE}")
        return _Place(offset, entry.size, pieces=entry.sparse)
    if entry.type == REGULAR:
        return _Place(offset, entry.stored)
    if entry.type == SYMLINK:
        folder, slash, _ = (b"", b"", b"") if entry.link.startswith(b"/") else entry.name.rpartition(b"/")
        return _Place(0, 0, _inside(folder + slash + entry.link, shown, "its target"))
    if entry.type == HARD_LINK:
        return _Place(0, 0, _inside(entry.link, shown, "its target"))
    return _Place(0, 0, is_file=False)


def _inside(name: bytes, shown: str, what: str) -> str:
    """Clean a name of the archive itself. One that begins with a slash begins at the root of the archive."""
    depth, leaves = 0, False
    for part in name.split(b"/") if climbs(name) else ():
        depth += -1 if part == b".." else part not in {b"", b"."}
        leaves |= depth < 0
    if leaves:
        raise ImageArchiveError(shown, f"{what} leads out of the archive")
    return os.fsdecode(clean_name(name))
