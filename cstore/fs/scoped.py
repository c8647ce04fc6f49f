"""Opening paths that cannot leave a root, whatever links and `..` they contain.

Both functions resolve the path in the kernel (openat2), or component by component if the kernel cannot. They raise
plain OSError, because only the caller knows what the path means.
"""

from __future__ import annotations

import errno
import os
from collections import deque

from cstore.kernel import files

_NOT_THERE = {errno.ENOSYS, errno.EPERM}
"""An old kernel, or a sandbox that blocks the call. The walk then repeats a real EPERM."""

_TRIES = 32
_MOST_LINKS = 40  # the kernel's limit
_DIRECTORY = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def open_in_root(root_fd: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open `path` as if `root_fd` were `/`: links are followed but cannot lead out, and `..` stops at the root.

    Raises:
        OSError: as open(2).
    """
    resolve = files.RESOLVE_IN_ROOT | files.RESOLVE_NO_MAGICLINKS
    try:
        return _ask_kernel(root_fd, path, flags, mode, resolve)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
    return _Walk(root_fd, path, follow=True).open(flags, mode)


def open_beneath(root_fd: int, path: bytes, flags: int, mode: int = 0) -> int:
    """Open a relative `path` that stays beneath `root_fd` at every step and contains no symbolic link.

    Raises:
        OSError: EXDEV if it leaves the root, ELOOP at a link, else as open(2).
    """
    resolve = files.RESOLVE_BENEATH | files.RESOLVE_NO_SYMLINKS | files.RESOLVE_NO_MAGICLINKS
    try:
        return _ask_kernel(root_fd, path, flags, mode, resolve)
    except OSError as error:
        if error.errno not in _NOT_THERE:
            raise
    return _Walk(root_fd, path, follow=False).open(flags, mode)


def _ask_kernel(root_fd: int, path: bytes, flags: int, mode: int, resolve: int) -> int:
    for _ in range(_TRIES):
        try:
            return files.openat2(root_fd, path, flags, mode, resolve)
        except OSError as error:
            # Another process renamed something, not necessarily in this tree, while a ".." was resolved.
            if error.errno != errno.EAGAIN:
                raise
    return files.openat2(root_fd, path, flags, mode, resolve)


class _Walk:
    """The same resolution in user space, one component at a time; every directory on the way is held open.

    A directory that is renamed out of the root meanwhile takes the walk along. Only the kernel can prevent that.
    """

    def __init__(self, root_fd: int, path: bytes, *, follow: bool) -> None:
        self._root, self._follow = root_fd, follow
        self._trail: list[int] = []
        self._links = 0
        self._pending: deque[bytes] = deque()
        if not path:
            raise _error(errno.ENOENT, path)
        self._path = path
        self._push(path)

    def open(self, flags: int, mode: int) -> int:
        """Resolve the path and open its last component."""
        try:
            while self._pending:
                fd = self._step(self._pending.popleft(), flags, mode)
                if fd >= 0:
                    return fd
            return os.open(b".", flags | os.O_CLOEXEC, mode, dir_fd=self._here)
        finally:
            for fd in self._trail:
                os.close(fd)

    @property
    def _here(self) -> int:
        return self._trail[-1] if self._trail else self._root

    def _push(self, path: bytes) -> None:
        if path.startswith(b"/"):
            if not self._follow:
                raise _error(errno.EXDEV, self._path)
            while self._trail:
                os.close(self._trail.pop())
        self._pending.extendleft(reversed(path.split(b"/")))

    def _step(self, part: bytes, flags: int, mode: int) -> int:
        """Resolve one component. Return the opened file if it was the last one, else -1."""
        if part == b"..":
            if self._trail:
                os.close(self._trail.pop())
            elif not self._follow:
                raise _error(errno.EXDEV, self._path)
        if part in {b"", b".", b".."}:
            return -1
        try:
            target = os.readlink(part, dir_fd=self._here)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOENT}:
                raise
            target = None
        last = not self._pending
        if target is not None and (not self._follow or (last and flags & (os.O_NOFOLLOW | os.O_EXCL))):
            if last and flags & os.O_PATH and flags & os.O_NOFOLLOW and self._follow:
                return os.open(part, flags | os.O_CLOEXEC, mode, dir_fd=self._here)
            raise _error(errno.EEXIST if last and flags & os.O_EXCL else errno.ELOOP, self._path)
        if target is not None:
            self._links += 1
            if self._links > _MOST_LINKS:
                raise _error(errno.ELOOP, self._path)
            self._push(target)
            return -1
        if last:
            return os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self._here)
        self._trail.append(os.open(part, _DIRECTORY, dir_fd=self._here))
        return -1


def _error(number: int, path: bytes) -> OSError:
    return OSError(number, os.strerror(number), path)
