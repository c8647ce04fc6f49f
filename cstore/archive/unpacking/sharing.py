"""Share blocks of new files with those of another tree, such as the same layer elsewhere, if the file system can.

The other tree is a hint and is not trusted. A new file begins as a clone of the file with its path in the other tree;
the contents from the archive are compared with the clone, and written where they differ. The other tree is only read.

A clone shares blocks, but not cached pages: comparing with it reads the disk, even if its source was just read. So if
the source belongs to us, and others cannot change it unnoticed, the contents are compared with the source instead, as
long as its times show that it has not changed.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore.fs.scoped import open_beneath
from cstore.kernel.ioctl import clone_file

_SMALLEST = 4096
"""Bytes of the smallest file to share: smaller ones do not fill a block, or are written just as fast."""
_PIECE = 1 << 20
_AHEAD = 8 << 20
"""Bytes that are read ahead after a file was cloned."""
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEVER = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.ENOSYS})


class Donor:
    """The other tree."""

    def __init__(self, fd: int) -> None:
        """Use an open directory, which the caller closes."""
        self.fd = fd
        self._useful = True
        self._is_ours = os.fstat(fd).st_uid == os.geteuid()
        self._source, self._state = -1, (0, 0, 0)
        """The file that was cloned last, and its size and times before."""
        os.close(open_beneath(fd, b".", os.O_PATH | os.O_DIRECTORY))  # loads libraries before the chroot

    def wants(self, size: int) -> bool:
        """Return whether a file of `size` bytes, -1 if unknown, may be shared."""
        return self._useful and (size < 0 or size >= _SMALLEST)

    def give(self, path: bytes, target: int) -> bool:
        """Make `target`, an empty file open for reading and writing, a clone of `path`; return whether that worked."""
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

    def pass_equal(self, fd: int, data: memoryview) -> bool:
        """Compare `data` with a file at its position; if they are equal, seek past them and return True.

        Raises:
            OSError: it cannot be read.
        """
        start = os.lseek(fd, 0, os.SEEK_CUR)
        for at in range(0, len(data), _PIECE):
            piece = bytes(data[at : at + _PIECE])  # comparing memoryviews is slow
            if self._source >= 0:
                same = os.pread(self._source, len(piece), start + at) == piece
                if same and _state(os.fstat(self._source)) == self._state:
                    continue
                self._forget()  # it differs or has changed, so compare with the clone from now on
            if os.pread(fd, len(piece), start + at) != piece:
                return False
        os.lseek(fd, start + len(data), os.SEEK_SET)
        return True


def _state(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
