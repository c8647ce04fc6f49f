"""What is in an archive of images, by name: in a directory, in a tar that can be read anywhere, or in a stream.

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

_MOST_MEMBERS = 100_000
_MOST_LINKS = 40  # as the kernel
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})


class PartReader:
    """Reads a part of a file, wherever others read in it. `name` is for error messages."""

    def __init__(self, fd: int, offset: int, size: int, name: str) -> None:
        self._fd = fd
        self._start = self._at = offset
        self._end = offset + size
        self._name = name

    def again(self, offset: int) -> PartReader:
        """Give another reader of the same part, from an offset in it on."""
        start = self._start + offset
        return PartReader(self._fd, start, max(self._end - start, 0), self._name)

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
            raise ImageArchiveError(self._name, f"unexpected EOF: it ends {self._end - self._at} bytes too early")
        self._at += count
        return count


class Part(Value):
    """The contents of one member: `size` bytes from `offset`, of an open file or, if `fd` is -1, of the file `name`.

    `linked`: the member is a link to what has the contents. `waiting`: they are in a file of ours, until they are used.
    """

    name: str
    size: int
    fd: int = -1
    offset: int = 0
    root: int = -1
    linked: bool = False
    waiting: bool = False

    def release(self) -> None:
        """Give back the disk space of contents that nobody is going to read any more."""
        from cstore.kernel.files import punch_hole

        if self.waiting and self.size:
            with suppress(OSError):  # a file system that cannot do it keeps them until the end
                punch_hole(self.fd, self.offset, self.size)

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
        """Look up a member by its plain name; links are followed.

        Raises:
            ImageArchiveError: it is no file, or a link that leads nowhere.
        """


def get_part(members: Members, name: str, wanted: str) -> Part:
    """Look up a member that must be there. `wanted` says who asks for it.

    Raises:
        MemberMissing: it is not.
        ImageArchiveError: the name leaves the archive.
    """
    part = members.find(plain_name(name, wanted))
    if part is None:
        raise MemberMissing(name, f"there is no such member, and {wanted} names it", hint="fetch the archive again")
    return part


def plain_name(name: str, wanted: str) -> str:
    """Clean a member's name that a document gives.

    Raises:
        ImageArchiveError: it is empty, or leads out of the archive.
    """
    raw = os.fsencode(name)
    try:
        plain = clean_name(raw)  # of an absolute name, the root is the archive's
    except CstoreError:
        plain = b""
    if not plain or b"\0" in raw:
        raise ImageArchiveError(show_name(raw), f"{wanted} names it, and it is no member of this archive")
    return os.fsdecode(plain)


# ── a directory ───────────────────────────────────────────────────────────────────────────────────────────────────────


class DirectoryMembers:
    """The files beneath an open directory.

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
            raise ImageArchiveError(name, "its symbolic links lead in a ring") from None
        outside = _open_outside(root, name, flags) if error.errno in _ABSENT else -1
        if outside < 0:
            raise SystemFailure("open", name, error) from error
        return outside


def _open_outside(root: int, name: str, flags: int) -> int:
    """Open what a link leads to that leaves the directory; -1 if there is nothing.

    Raises:
        ImageArchiveError: it is no regular file, or no digest says what it must be.
    """
    try:
        place = os.open(name, os.O_PATH | os.O_CLOEXEC, dir_fd=root)
    except OSError:
        return -1
    try:
        if not name.startswith("blobs/"):
            raise ImageArchiveError(name, "it is, or lies behind, a symbolic link that leads out of the directory")
        if not stat.S_ISREG(os.fstat(place).st_mode):
            raise ImageArchiveError(name, "expected a regular file")
        return os.open(f"/proc/self/fd/{place}", flags)
    except OSError as error:
        raise SystemFailure("open", name, error) from error
    finally:
        os.close(place)


# ── a tar ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Place(Value):
    """One entry of a tar. `link` is the plain name that it stands for, "" if it is a file."""

    offset: int
    size: int
    link: str = ""
    is_file: bool = True


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
            folder, slash, _ = (b"", b"", b"") if entry.link.startswith(b"/") else entry.name.rpartition(b"/")
            return _Place(0, 0, _inside(folder + slash + entry.link, shown, "its target"))
        if entry.type == HARD_LINK:
            return _Place(0, 0, _inside(entry.link, shown, "its target"))
        return _Place(0, 0, is_file=False)

    def names(self) -> list[str]:
        """The plain names of all members that are no directories."""
        return list(self._places)

    def has(self, name: str) -> bool:
        """Whether there is a member of this plain name, of whatever kind."""
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
        if place is None:
            if meant == name:
                return None
            raise ImageArchiveError(name, f"it is a link to {meant!r}, which is no file of the archive")
        if place.link:
            raise ImageArchiveError(name, "its links lead in a ring")
        if not place.is_file:
            raise ImageArchiveError(name, "expected a regular file")
        return Part(name, place.size, self.fd, place.offset, linked=meant != name, waiting=self._waiting)

    def _behind(self, name: str) -> str:
        """Replace the first part of a name that is a link to a directory; the name itself if there is none."""
        end = name.find("/")
        while end > 0:
            place = self._places.get(name[:end])
            if place is not None and place.link:
                return place.link + name[end:]
            end = name.find("/", end + 1)
        return name


def _inside(name: bytes, shown: str, what: str) -> str:
    """Clean a name of the archive itself. One that begins with a slash begins at the root of the archive."""
    depth, leaves = 0, False
    for part in name.split(b"/") if climbs(name) else ():
        depth += -1 if part == b".." else part not in {b"", b"."}
        leaves |= depth < 0
    if leaves:
        raise ImageArchiveError(shown, f"{what} leads out of the archive")
    return os.fsdecode(clean_name(name))
