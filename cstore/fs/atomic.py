"""Replacing a file in one step: readers see the old content or the new, never a part.

After `write_file` or `PendingFile.commit` has returned with `sync`, the new content survives a power cut. If it raises,
the old content is unchanged and no temporary file remains. If the process is killed, the old content is unchanged, and
a file whose name starts with `TEMPORARY_PREFIX` may remain. A reader that has the old file open does not notice the
change. Two writers need a lock, or the last rename wins.
"""

from __future__ import annotations

import errno
import os

from cstore import errors
from cstore.contexts import suppress
from cstore.fs import within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Self

TEMPORARY_PREFIX = ".tmp-"
_LONGEST_NAME = 255
_NO_SYNC_HERE = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors for a full file system or an exhausted quota."""


class PendingFile:
    """A file that is being written and has no final name yet. Its directory is held open, so nobody can exchange it.

    Leaving the context without `commit` removes it. `fd` is open for reading and writing, for direct use too.
    `published` is the status of the new file once it has its name, even if the sync after that failed.
    """

    published: os.stat_result | None = None

    def __init__(self, path: str, *, mode: int = 0o600, sync: bool = True) -> None:
        """Create the temporary file next to `path`; in the end it has exactly the bits of `mode`, whatever the umask.

        Raises:
            SystemFailure: the directory is missing or not writable.
        """
        self.path, self.mode, self.sync = path, mode, sync
        folder, self._base = os.path.split(path)
        try:
            self._folder = within.open_folder(folder, os.O_RDONLY if sync else os.O_PATH)
        except OSError as error:
            raise errors.SystemFailure("create", path, error) from None
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self.fd = -1
        try:
            while self.fd < 0:
                self._temporary = temporary_name(self._base, int.from_bytes(os.urandom(4), "little"))
                with suppress(FileExistsError):
                    self.fd = os.open(self._temporary, flags, 0o600, dir_fd=self._folder)
        except BaseException as error:
            os.close(self._folder)
            if isinstance(error, OSError):
                raise errors.SystemFailure("create", path, error) from None
            raise

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of `data`.

        Raises:
            SystemFailure: no space, or an I/O error.
        """
        rest = memoryview(data).cast("B")
        try:
            while rest:
                rest = rest[os.write(self.fd, rest) :]
        except OSError as error:
            raise errors.SystemFailure("write", self.path, error) from None

    def commit(self) -> os.stat_result:
        """Rename the file into place, replacing any previous file, and return its status.

        Raises:
            SystemFailure: nothing was replaced, except if syncing the directory failed: then the new file is in place.
        """
        try:
            os.fchmod(self.fd, self.mode)
            if self.sync:
                os.fdatasync(self.fd)
            status = os.fstat(self.fd)
            self._close()  # before the rename: a network file system reports its last errors here
            os.rename(self._temporary, self._base, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        except OSError as error:
            self.discard()
            raise errors.SystemFailure("write", self.path, error) from None
        self._temporary, self.published = "", status
        try:
            if self.sync:
                # Without this sync, a power cut could restore the old file.
                _sync_opened(self._folder, os.path.dirname(self.path) or ".")
        finally:
            self._leave_folder()
        return status

    def discard(self) -> None:
        """Remove the file if it is not committed. A missing file is not an error."""
        if self._temporary:
            try:
                os.unlink(self._temporary, dir_fd=self._folder)
            except FileNotFoundError:
                pass
            except OSError as error:
                path = os.path.join(os.path.dirname(self.path), self._temporary)
                raise errors.SystemFailure("remove", path, error) from None
            finally:
                self._temporary = ""
                with suppress(OSError):
                    self._close()
                self._leave_folder()

    def _close(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def _leave_folder(self) -> None:
        if self._folder >= 0:
            fd, self._folder = self._folder, -1
            with suppress(OSError):
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def write_file(path: str, data: bytes | Iterable[bytes], *, mode: int = 0o600, sync: bool = True) -> os.stat_result:
    """Replace the content of `path`, or create it, in one step (store-format 2.1).

    Args:
        path: the file; its directory must exist.
        data: the content, whole or in parts.
        mode: the exact permission bits, regardless of the umask.
        sync: survive a power cut: sync the file before, and the directory after the rename.

    Returns:
        The status of the new file, with which a reader can check that it is unchanged.

    Raises:
        SystemFailure: the old content is untouched.
    """
    with PendingFile(path, mode=mode, sync=sync) as pending:
        for part in [data] if isinstance(data, bytes) else data:
            pending.write(part)
        return pending.commit()


def temporary_name(base: str, number: int) -> str:
    """Return a temporary file's name for `base`, as in the Go tool: the number replaces the last `*`, or is appended.

    If no number fits, `base` is truncated; the Go tool cannot write such a file at all.
    """
    digits = str(number)
    room = _LONGEST_NAME - len(TEMPORARY_PREFIX) - len(digits)
    if len(os.fsencode(base)) > room:
        base = os.fsdecode(os.fsencode(base)[:room])
    head, star, tail = base.rpartition("*")
    return f"{TEMPORARY_PREFIX}{head}{digits}{tail}" if star else f"{TEMPORARY_PREFIX}{base}{digits}"


def sync_directory(path: str) -> None:
    """Make the names in the directory `path` durable.

    Raises:
        SystemFailure: the sync failed. File systems without this request are ignored.
    """
    try:
        fd = within.open_folder(path, os.O_RDONLY)
        try:
            _sync_opened(fd, path)
        finally:
            os.close(fd)
    except OSError as error:
        raise errors.SystemFailure("sync", path, error) from None


def _sync_opened(fd: int, path: str) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _NO_SYNC_HERE:
            raise errors.SystemFailure("sync", path, error) from None


def sync_file(path: str) -> None:
    """Make the contents of a file durable. Raises OSError; ForeignThing if it is not a regular file."""
    fd = within.open_file(*os.path.split(path))
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_filesystem(path: str) -> None:
    """Make everything on the file system that contains the directory `path` durable.

    Raises:
        SystemFailure: the sync failed.
    """
    from cstore.kernel.files import syncfs

    try:
        fd = within.open_folder(path, os.O_RDONLY)
        try:
            syncfs(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise errors.SystemFailure("sync the file system of", path, error) from None
