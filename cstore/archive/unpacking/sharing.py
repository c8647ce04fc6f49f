"""Lets files share blocks with another tree of the same layer, where the file system supports it.

The tree is only a hint and is not trusted. A new file is made as a clone of the one with its path over there; what the
archive then brings is compared with the clone, and written where it differs. The other tree is only read.

A clone shares blocks, not memory: to compare with it, it has to be read from the disk, although the file that it was
made of has just been read. So where that is ours, and nobody else's to change unseen, it is compared instead, for as
long as its times say that it has not changed since.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore.fs.scoped import open_beneath
from cstore.kernel.ioctl import clone_file

_SMALLEST = 4096
"""Smallest file worth it, in bytes: smaller ones have no block of their own, or are written as fast."""
_PIECE = 1 << 20
_AHEAD = 8 << 20
"""Bytes that the system begins to read when a file has been cloned."""
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEVER = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.ENOSYS})


class Donor:
    """The other tree."""

    def __init__(self, fd: int) -> None:
        """Take an open directory, which stays the caller's."""
        self.fd = fd
        self._useful = True
        self._is_ours = os.fstat(fd).st_uid == os.geteuid()
        self._source, self._state = -1, (0, 0, 0)
        """The file that was cloned last, and what it was like before."""
        os.close(open_beneath(fd, b".", os.O_PATH | os.O_DIRECTORY))  # loads what a confined process cannot

    def wants(self, size: int) -> bool:
        """Whether a file of so many bytes, or of -1 for unknown, may be shared."""
        return self._useful and (size < 0 or size >= _SMALLEST)

    def give(self, path: bytes, target: int) -> bool:
        """Make an empty file, open for reading and writing, a clone of that of the same path; say whether it is one."""
        try:
            source = open_beneath(self.fd, path, _OPEN)
        except (OSError, ValueError):
            return False
        self._forget()
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                return False
            clone_file(source, target)
            if self._is_ours:
                self._source, self._state, source = source, _state(status), -1
            else:
                os.posix_fadvise(target, 0, _AHEAD, os.POSIX_FADV_WILLNEED)
        except OSError as error:
            self._useful = error.errno not in _NEVER
            return False
        finally:
            if source >= 0:
                os.close(source)
        return True

    def _forget(self) -> None:
        if self._source >= 0:
            os.close(self._source)
            self._source = -1

    def _equals(self, fd: int, data: bytes, at: int) -> bool:
        """Whether a clone has these bytes there."""
        if self._source >= 0:
            same = os.pread(self._source, len(data), at) == data
            if same and _state(os.fstat(self._source)) == self._state:
                return True
            self._forget()  # its current state shows in the clone
        return os.pread(fd, len(data), at) == data

    def pass_equal(self, fd: int, data: memoryview) -> bool:
        """Go past what a file has at its position if that is `data`; say whether it is.

        Raises:
            OSError: it cannot be read.
        """
        start = os.lseek(fd, 0, os.SEEK_CUR)
        for at in range(0, len(data), _PIECE):
            piece = bytes(data[at : at + _PIECE])  # views are compared byte by byte, slowly
            if not self._equals(fd, piece, start + at):
                return False
        os.lseek(fd, start + len(data), os.SEEK_SET)
        return True


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
