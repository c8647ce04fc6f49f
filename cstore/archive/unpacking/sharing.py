"""Files that share their blocks with those of another tree, where the file system can: of the same layer elsewhere.

The tree is a hint, and nothing of it is believed. A new file is made as a clone of the one with its path over there;
what the archive then brings is compared with the clone, and written where it differs. The other tree is only read.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore.fs.scoped import open_beneath
from cstore.kernel.ioctl import clone_file

_SMALLEST = 4096
"""Bytes of a file that is worth it: smaller ones stand in no block of their own, or are written as fast."""
_PIECE = 1 << 20
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEVER = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.ENOSYS})


class Donor:
    """The other tree."""

    def __init__(self, fd: int) -> None:
        """Take an open directory, which stays the caller's."""
        self.fd = fd
        self._useful = True
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
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode):
                return False
            clone_file(source, target)
        except OSError as error:
            self._useful = error.errno not in _NEVER
            return False
        finally:
            os.close(source)
        return True


def pass_equal(fd: int, data: memoryview) -> bool:
    """Go past what a file has at its position if that is `data`; say whether it is.

    Raises:
        OSError: it cannot be read.
    """
    start = os.lseek(fd, 0, os.SEEK_CUR)
    for at in range(0, len(data), _PIECE):
        piece = data[at : at + _PIECE]
        if os.pread(fd, len(piece), start + at) != piece:
            return False
    os.lseek(fd, start + len(data), os.SEEK_SET)
    return True
