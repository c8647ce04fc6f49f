"""Directories beneath one root, opened name by name and cached for later access.

Every step opens one plain name and refuses a symbolic link. So no path leaves the root, even if the tree changes in the
meantime, and paths may be longer than the system's limit. The number of descriptors is bounded, however deep the tree.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from cstore import errors
from cstore.contexts import contextmanager
from cstore.fs import within
from cstore.fs.closing import Closing
from cstore.presence import is_listed_there
from cstore.tuples import NamedTuple
from cstore.values import IntChoice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OPEN_AT_ONCE = 128
_NAMES = (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
"""What os.fsencode uses; it looks both up in each call, which would dominate the time for many names."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ENTER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Wanted(NamedTuple):
    """A filter for the entries of a directory.

    Attributes:
        format: S_IFREG, S_IFDIR or S_IFLNK to match this type only; 0 for any.
        is_named: a predicate on the name; None to match any name.
        fits: a predicate on the status; None to match any, without a stat(2) call.
    """

    format: int = 0
    is_named: Callable[[str], object] | None = None
    fits: Callable[[os.stat_result], object] | None = None


class Directories(Closing):
    """The directories beneath `root`, by relative path; the root itself is b"".

    `access` is `os.O_RDONLY` for directories that will be listed, or `os.O_PATH` if traversing them is enough;
    `at_once` is the number of directories that may be open at the same time, at least two.
    """

    def __init__(self, root: str, access: int = os.O_RDONLY, at_once: int = _OPEN_AT_ONCE) -> None:
        self.root = root
        self._at_once = at_once
        self._access = access
        self._flags = _ENTER | access
        try:
            self._root = open_quietly(root, os.O_DIRECTORY | os.O_CLOEXEC | access)
        except OSError as error:
            raise errors.SystemFailure("open", root, error) from error
        self._open: dict[bytes, int] = {}

    def descriptor(self, path: bytes) -> int:
        """Open a directory. The descriptor is valid until the next call; the caller must not close it.

        Raises:
            OSError: it does not exist, is not a directory, or is reached through a link.
        """
        found = self._open.get(path)
        if found is not None:
            return found
        if not path:
            return self._root
        # From the nearest open ancestor, keeping the directories in between open.
        end = len(path)
        current: int | None = None
        while end > 0 and current is None:
            end = max(path.rfind(b"/", 0, end), 0)
            current = self._open.get(path[:end])
        if current is None:
            current = self._root
        while end < len(path):
            start = end + 1 if end else 0
            following = path.find(b"/", start)
            end = len(path) if following < 0 else following
            name = path[start:end]
            if name in {b"", b".", b".."}:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            opened = open_quietly(name, self._flags, current)
            if len(self._open) >= self._at_once:
                oldest = next(known for known, descriptor in self._open.items() if descriptor != current)
                os.close(self._open.pop(oldest))
            current = self._open[path[:end]] = opened
        return current

    def names(self, folder: bytes) -> Listing:
        """Return the contents of a directory; see `names_in`.

        Raises:
            OSError: it cannot be read.
        """
        with self._listing(folder) as fd:
            return names_in(fd)

    @contextmanager
    def _listing(self, folder: bytes) -> Iterator[int]:
        """Open a directory for listing, since the cached descriptors may be `O_PATH`."""
        found = self.descriptor(folder)
        if self._access != os.O_PATH:
            yield found
            return
        fd = open_quietly(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, found)
        try:
            yield fd
        finally:
            os.close(fd)

    def status(self, folder: bytes, name: bytes) -> os.stat_result:
        """Return the status of a name in a directory, without following a link.

        Raises:
            OSError: as stat(2).
        """
        return os.stat(name, dir_fd=self.descriptor(folder), follow_symlinks=False)

    def statuses(self, folder: bytes) -> list[tuple[bytes, os.stat_result]]:
        """Return the names in a directory with their statuses, sorted; names that vanish meanwhile are left out.

        Raises:
            OSError: it cannot be read.
        """
        with self._listing(folder) as fd, os.scandir(fd) as entries:
            found = []
            for entry in entries:
                try:
                    found.append((entry.name.encode(*_NAMES), entry.stat(follow_symlinks=False)))
                except FileNotFoundError:
                    continue
        found.sort(key=lambda each: each[0])
        return found

    def select(self, folder: bytes, wanted: Wanted) -> tuple[list[bytes], list[bytes]]:
        """Return the names in a directory that match, and those of all its subdirectories, both unordered.

        Whiteout devices never match.

        Raises:
            OSError: it cannot be read.
        """
        from cstore.archive.whiteout import is_whiteout_device  # imported late, because few callers need it

        only, is_named, fits = wanted
        found, folders = list[bytes](), list[bytes]()
        # This loop decides how fast a large tree is searched, so checks without a system call come first.
        with self._listing(folder) as fd, os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name.encode(*_NAMES))
                    if only and only != stat.S_IFDIR:
                        continue
                elif only and (
                    only == stat.S_IFDIR
                    or not (entry.is_symlink() if only == stat.S_IFLNK else entry.is_file(follow_symlinks=False))
                ):
                    continue
                if is_named is not None and not is_named(entry.name):
                    continue
                # The type of a file, directory or link rules out a whiteout.
                if fits is not None or not (
                    entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False) or entry.is_symlink()
                ):
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue  # it was removed in the meantime
                    if (fits is not None and not fits(status)) or is_whiteout_device(status):
                        continue
                found.append(entry.name.encode(*_NAMES))
        return found, folders

    def link(self, folder: bytes, name: bytes) -> bytes:
        """Return the target of a symbolic link in a directory.

        Raises:
            OSError: as readlink(2).
        """
        return os.readlink(name, dir_fd=self.descriptor(folder))

    def hold(self) -> int:
        """Return the descriptor that a process must keep open to use the tree after a chroot."""
        return self._root

    def root_status(self) -> os.stat_result:
        """Return the status of the root."""
        return os.stat(self._root)

    def attributes(self, path: bytes) -> dict[bytes, bytes]:
        """Return the attributes of a directory or regular file, read by descriptor because /proc may be missing.

        Raises:
            OSError: they cannot be read.
        """
        folder, _, name = path.rpartition(b"/")
        if not path or stat.S_ISDIR(self.status(folder, name).st_mode):
            return _attributes(self.attributes_of(path))
        return self.attributes_of_file(folder, name)

    def attributes_of_file(self, folder: bytes, name: bytes) -> dict[bytes, bytes]:
        """Return the extended attributes of a regular file.

        Raises:
            OSError: they cannot be read.
        """
        fd = self.open_file(folder, name)
        try:
            return _attributes(fd)
        finally:
            os.close(fd)

    def attribute_names(self, path: bytes) -> list[str]:
        """Return the names of a directory's extended attributes.

        Raises:
            OSError: they cannot be read.
        """
        return os.listxattr(self.attributes_of(path))

    def attribute(self, path: bytes, name: str) -> bytes:
        """Return the value of a directory's extended attribute.

        Raises:
            OSError: ENODATA if it has none.
        """
        return os.getxattr(self.attributes_of(path), name)

    def open_file(self, folder: bytes, name: bytes) -> int:
        """Open a file in a directory for reading, without following links or blocking. The caller closes it.

        Raises:
            OSError: as open(2).
        """
        return open_quietly(name, _READ, self.descriptor(folder))

    def attributes_of(self, path: bytes) -> int | str:
        """Return a target for getxattr(2): the directory's descriptor, or a path in /proc if that is `O_PATH`.

        Raises:
            OSError: as `descriptor`.
        """
        found = self.descriptor(path)
        return f"/proc/self/fd/{found}" if self._access == os.O_PATH else found

    def shown(self, path: bytes) -> str:
        """Return the full path of a path beneath the root, for messages."""
        return os.path.join(self.root, os.fsdecode(path))

    def close(self) -> None:
        """Close all descriptors."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        os.close(self._root)


def _attributes(target: int | str) -> dict[bytes, bytes]:
    return {os.fsencode(name): os.getxattr(target, name) for name in os.listxattr(target)}


def open_quietly(name: bytes | str, flags: int, directory: int | None = None) -> int:
    """Open a file for reading, by full path or in a directory, without updating its access time if possible.

    Raises:
        OSError: as open(2).
    """
    if directory is None:
        with within.holder(os.fsdecode(name)) as (folder, base):
            return _open_quietly(base, flags, folder)
    return _open_quietly(name, flags, directory)


def _open_quietly(name: bytes | str, flags: int, directory: int | None) -> int:
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=directory)
    except PermissionError:
        # Only the owner may use O_NOATIME.
        return os.open(name, flags, dir_fd=directory)


class Kind(IntChoice):
    """The type of a name, as its directory records it."""

    OTHER = 0
    REGULAR = 1
    DIRECTORY = 2


Listing = list[tuple[bytes, Kind]]


def names_in(descriptor: int) -> Listing:
    """Return the contents of a directory, sorted by the bytes of the names, without names that no longer exist.

    Raises:
        OSError: it cannot be read.
    """
    # This loop decides how fast a large directory is listed, so everything it needs is a local variable.
    regular, directory, other = Kind.REGULAR, Kind.DIRECTORY, Kind.OTHER
    encoding, handler, found = *_NAMES, list[tuple[bytes, Kind]]()
    with os.scandir(descriptor) as entries:
        # Read the kinds here: if the directory does not record them, scandir needs its open descriptor.
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                found.append((entry.name.encode(encoding, handler), regular))
            elif entry.is_dir(follow_symlinks=False):
                found.append((entry.name.encode(encoding, handler), directory))
            elif is_listed_there(entry):
                found.append((entry.name.encode(encoding, handler), other))
    found.sort()
    return found
