"""The path from a tree's root down to one directory, as open descriptors."""

from __future__ import annotations

import errno
import os

from cstore.fs import within
from cstore.fs.closing import Closing
from cstore.kernel import files

TYPE_CHECKING = False

_MOST_OPEN = 64
"""Per trail, because a process may be allowed few descriptors. A longer one keeps the deepest and returns by `..`."""

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RESOLVE = files.RESOLVE_NO_XDEV | files.RESOLVE_NO_SYMLINKS | files.RESOLVE_BENEATH
_RESOLVE_OVER_MOUNTS = files.RESOLVE_NO_SYMLINKS | files.RESOLVE_BENEATH


def open_root(path: str) -> int:
    """Open the directory `path` as the root of a tree; its last component must not be a link.

    Raises:
        OSError: as open(2).
    """
    return within.open_folder(path, _FLAGS)


def open_again(fd: int, *, quiet: bool = True) -> int:
    """Open the directory `fd` again, with its own position in the listing.

    Raises:
        OSError: as open(2).
    """
    try:
        return os.open(".", _FLAGS | (os.O_NOATIME if quiet else 0), dir_fd=fd)
    except PermissionError:
        return os.open(".", _FLAGS, dir_fd=fd)


class Trail(Closing):
    """The position of a walk. Starts at the root; moves `down` into one directory at a time and `up` again.

    All methods raise OSError; `where` returns the path concerned. If a directory is moved while the walk is inside, the
    walk fails (ESTALE) and never continues in the wrong place.
    """

    def __init__(self, path: str, root_fd: int, *, quiet: bool = False, bound: bool = False) -> None:
        """Start at `root_fd`, which the trail now owns.

        Args:
            path: the root's path, for messages only.
            root_fd: an open directory.
            quiet: read directories without changing access times, if the kernel permits it.
            bound: also enter mounts of the same file system, as drivers bind their homes.
        """
        self._path = path
        self._names: list[str] = []
        self._fds = [root_fd]
        self._identities: list[tuple[int, int]] = []
        self._first_open = 1  # of those below the root, which stays open
        self._extra_flags = os.O_NOATIME if quiet else 0
        self._kernel_resolves = True
        self._bound = bound

    @property
    def here(self) -> int:
        """The descriptor of the current directory."""
        return self._fds[-1]

    @property
    def depth(self) -> int:
        """The number of directories between here and the root."""
        return len(self._names)

    def where(self, name: str = "") -> str:
        """Return the path of `name` here, or of this directory, for messages; it may be too long to open."""
        return os.path.join(self._path, *self._names, name) if name else os.path.join(self._path, *self._names)

    def down(self, name: str) -> int:
        """Enter the directory `name` and return its descriptor.

        Raises:
            OSError: EXDEV if a file system is mounted there, ELOOP or ENOTDIR if it is no directory, else as open(2).
        """
        fd = self._open(name)
        self._fds.append(fd)
        self._names.append(name)
        if len(self._fds) - self._first_open > _MOST_OPEN:  # close the highest
            index = self._first_open
            status = os.fstat(self._fds[index])
            self._identities.append((status.st_dev, status.st_ino))
            os.close(self._fds[index])
            self._fds[index] = -1
            self._first_open += 1
        return fd

    def up(self) -> str:
        """Return to the parent directory; return the name of the one left.

        Raises:
            OSError: ESTALE if the directory was moved.
        """
        self.secure_way_up()
        os.close(self._fds.pop())
        return self._names.pop()

    def secure_way_up(self) -> None:
        """Open the parent directory, if it is closed: `..` needs search permission in the current one.

        Raises:
            OSError: as `up`.
        """
        if self._fds[-2] >= 0:
            return
        fd = os.open("..", _FLAGS, dir_fd=self.here)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != self._identities[-1]:
            os.close(fd)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), self.where())
        self._identities.pop()
        self._fds[-2] = fd
        self._first_open -= 1

    def close(self) -> None:
        """Close all descriptors."""
        for fd in self._fds:
            if fd >= 0:
                os.close(fd)
        self._fds = []

    def _open(self, name: str) -> int:
        while True:
            try:
                flags = _FLAGS | self._extra_flags
                if self._kernel_resolves and not self._bound:
                    return files.openat2(self.here, os.fsencode(name), flags, 0, _RESOLVE)
                return self._open_and_compare(name, flags)
            except OSError as error:
                if error.errno == errno.EPERM and self._extra_flags:
                    self._extra_flags = 0  # only the owner may read without an update of the access time
                elif error.errno in {errno.EPERM, errno.ENOSYS} and self._kernel_resolves:
                    self._kernel_resolves = False  # an old kernel, or a sandbox that blocks the call
                elif error.errno != errno.EAGAIN:
                    raise OSError(error.errno, error.strerror, name) from None

    def _open_and_compare(self, name: str, flags: int) -> int:
        """Open a directory on the same mount or, for a bound trail, on the same file system, even a bind mount."""
        here = self.here
        if self._kernel_resolves:
            fd = files.openat2(here, os.fsencode(name), flags, 0, _RESOLVE_OVER_MOUNTS)
        else:
            fd = os.open(name, flags, dir_fd=here)
        alike = self._bound and os.fstat(fd).st_dev == os.fstat(here).st_dev
        if not alike and _mount_id(fd) != _mount_id(here):  # a subvolume has its own device number
            os.close(fd)
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
        return fd


def _mount_id(fd: int) -> bytes:
    with open(f"/proc/self/fdinfo/{fd}", "rb") as details:
        return next(line for line in details if line.startswith(b"mnt_id:"))
