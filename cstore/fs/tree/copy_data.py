"""Copying file contents: as a clone if possible, with holes, and without reading through memory if possible."""

from __future__ import annotations

import errno
import os

from cstore.kernel.ioctl import clone_file

_NOT_ON_THIS_DEVICE = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.ENOSYS}
_NOT_FOR_THIS_FILE = {errno.EINVAL, errno.EPERM, errno.ETXTBSY}
_BLOCK = 1 << 20
_MOST_AT_ONCE = 1 << 30


class DataCopier:
    """Copies contents into one file system, and remembers for each source device what does not work there."""

    def __init__(self) -> None:
        self._no_clone: set[int] = set()
        self._no_range: set[int] = set()

    def copy(self, source: int, target: int, status: os.stat_result) -> None:
        """Fill the empty file `target` with the contents of `source`, whose status is `status`.

        Raises:
            OSError: reading or writing failed; without errno if the source became shorter meanwhile.
        """
        if not status.st_size:
            return
        if status.st_dev not in self._no_clone:
            try:
                clone_file(source, target)
            except OSError as error:
                if error.errno in _NOT_ON_THIS_DEVICE:
                    self._no_clone.add(status.st_dev)
                elif error.errno not in _NOT_FOR_THIS_FILE:
                    raise
            else:
                return
        if status.st_blocks * 512 >= status.st_size:
            self._copy_range(source, target, 0, status.st_size, status.st_dev)
            return
        # Only the extents with data, and holes where the source has them.
        end = 0
        while end < status.st_size:
            try:
                start = os.lseek(source, end, os.SEEK_DATA)
                end = min(os.lseek(source, start, os.SEEK_HOLE), status.st_size)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break  # only a hole remains
                if error.errno != errno.EINVAL:
                    raise
                start, end = end, status.st_size  # this file system does not report holes
            if start < end:
                self._copy_range(source, target, start, end, status.st_dev)
        os.ftruncate(target, status.st_size)

    def _copy_range(self, source: int, target: int, start: int, end: int, device: int) -> None:
        while start < end and device not in self._no_range:
            try:
                copied = os.copy_file_range(source, target, min(end - start, _MOST_AT_ONCE), start, start)
            except OSError as error:
                if error.errno in _NOT_ON_THIS_DEVICE:
                    self._no_range.add(device)
                elif error.errno not in _NOT_FOR_THIS_FILE:
                    raise
                break
            if not copied:
                break  # some file systems stop early; reading shows whether the file really ends here
            start += copied
        while start < end:
            data = memoryview(os.pread(source, min(end - start, _BLOCK), start))
            if not data:
                raise OSError("it became shorter while it was copied")
            while data:
                written = os.pwrite(target, data, start)
                data, start = data[written:], start + written
