"""Removing a tree despite all obstacles, but never more than the tree."""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.contexts import suppress
from cstore.fs import within
from cstore.fs.tree.trail import Trail
from cstore.kernel import ioctl
from cstore.kernel.mount import MNT_DETACH, UMOUNT_NOFOLLOW, unmount

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SHIELDS = ioctl.FLAG_IMMUTABLE | ioctl.FLAG_APPEND_ONLY
_MOST_REMEDIES = 100  # per entry; reached only if another process keeps restoring the obstacles
_MOST_RETURNS = 16  # to a directory that was filled again meanwhile


def remove_tree(path: str, *, detach_mounts: bool = False) -> None:
    """Remove `path` and everything below it. A missing path is not an error; a link is removed, not followed.

    Clears immutable and append-only flags, and makes directories accessible to their owner, as far as this process may.
    What cannot be removed stays; everything else is removed.

    Args:
        path: a directory, or any other file.
        detach_mounts: unmount what is mounted on it or inside it. Otherwise a mount is an obstacle. The contents of a
            mount are never touched.

    Raises:
        SystemFailure: something remains; names the first thing that could not be removed.
    """
    parent, name = os.path.split(path.rstrip("/"))
    try:
        parent_fd = within.open_folder(parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise errors.SystemFailure("open", parent, error) from None
    with Trail(parent, parent_fd) as trail:
        _Removal(trail, detach_mounts=detach_mounts).run(name)


class _Removal:
    """One removal. The trail's root is the parent of the tree and stays unchanged."""

    def __init__(self, trail: Trail, *, detach_mounts: bool) -> None:
        self._trail = trail
        self._detach_mounts = detach_mounts
        self._first: errors.SystemFailure | None = None
        self._failures = 0
        self._returns = 0

    def run(self, name: str) -> None:
        """Remove `name`."""
        is_directory = False
        try:
            with suppress(FileNotFoundError):
                is_directory = stat.S_ISDIR(os.stat(name, dir_fd=self._trail.here, follow_symlinks=False).st_mode)
            if is_directory:
                self._remove_directory(name)
            else:
                self._insist(name, lambda: os.unlink(name, dir_fd=self._trail.here))
        except OSError as error:
            self._note(self._trail.where(), error)
        if self._first:
            raise self._first

    def _remove_directory(self, name: str) -> None:
        pending, failures = [[name]], [0]
        while pending:
            if pending[-1]:
                if self._enter(pending[-1].pop()):
                    failures.append(self._failures)
                    pending.append(self._remove_files())
                continue
            pending.pop()
            if not pending:
                return
            try:
                left = self._trail.up()
            except PermissionError:
                if not _open_up(self._trail.here):
                    raise
                left = self._trail.up()
            if failures.pop() == self._failures and not self._remove_emptied(left):
                pending[-1].append(left)

    def _enter(self, name: str) -> bool:
        """Enter the directory; return False if that failed, or it is no longer a directory."""
        depth = self._trail.depth

        def enter() -> None:
            try:
                self._trail.down(name)
            except OSError as error:
                if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                    raise
                os.unlink(name, dir_fd=self._trail.here)  # it was replaced with something else

        self._insist(name, enter)
        return self._trail.depth > depth

    def _remove_files(self) -> list[str]:
        """Remove everything except directories; return the names of those."""
        here, directories = self._trail.here, []
        with os.scandir(here) as entries:
            for entry in entries:
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    directories.append(name)
                    continue
                try:
                    os.unlink(name, dir_fd=here)
                except OSError:
                    self._insist(name, lambda name=name: os.unlink(name, dir_fd=here))  # type: ignore[misc]
        return directories

    def _remove_emptied(self, name: str) -> bool:
        """Remove the directory; return False if it must be visited again."""
        again = False

        def remove() -> None:
            nonlocal again
            try:
                os.rmdir(name, dir_fd=self._trail.here)
            except OSError as error:
                again = error.errno in {errno.ENOTEMPTY, errno.EEXIST} and self._returns < _MOST_RETURNS
                if not again:
                    raise

        self._insist(name, remove)
        self._returns += again
        return not again

    def _insist(self, name: str, act: Callable[[], None]) -> None:
        """Act on `name`; while an obstacle can be cleared, clear it and try again."""
        lent: list[tuple[int, int]] = []
        try:
            for _ in range(_MOST_REMEDIES):
                try:
                    act()
                except FileNotFoundError:
                    return
                except OSError as error:
                    if not self._clear_way(name, error, lent):
                        self._note(self._trail.where(name), error)
                        return
                else:
                    return
        finally:
            for fd, flags in lent:
                ioctl.set_file_flags(fd, flags)
                os.close(fd)

    def _clear_way(self, name: str, error: OSError, lent: list[tuple[int, int]]) -> bool:
        """Clear an obstacle; return whether anything was changed that could help."""
        if error.errno in {errno.EBUSY, errno.EXDEV}:
            if not self._detach_mounts:
                return False
            try:
                unmount(f"/proc/self/fd/{self._trail.here}/{name}", MNT_DETACH | UMOUNT_NOFOLLOW)
            except OSError:
                return False
            return True
        if error.errno not in {errno.EPERM, errno.EACCES}:
            return False
        own = self._trail.depth > 0 and (_unshield(self._trail.here) | _open_up(self._trail.here))
        return own | _unshield_entry(self._trail.here, name, lent)

    def _note(self, path: str, error: OSError) -> None:
        self._failures += 1
        if self._first is None:
            busy = error.errno in {errno.EBUSY, errno.EXDEV}
            hint = f"a file system is mounted there: umount {path}" if busy else ""
            self._first = errors.SystemFailure("remove", path, OSError(errno.EBUSY, "") if busy else error, hint=hint)


def _unshield(fd: int) -> bool:
    """Clear the flags that keep even root from changing the file; return whether any was set."""
    try:
        flags = ioctl.file_flags(fd)
        if not flags & _SHIELDS:
            return False
        ioctl.set_file_flags(fd, flags & ~_SHIELDS)
    except OSError:
        return False
    return True


def _open_up(fd: int) -> bool:
    """Make the directory accessible to its owner; return whether it was not."""
    try:
        mode = stat.S_IMODE(os.fstat(fd).st_mode)
        if mode & stat.S_IRWXU == stat.S_IRWXU:
            return False
        # By path, because fchmod(2) does not accept an O_PATH descriptor.
        os.chmod(f"/proc/self/fd/{fd}", mode | stat.S_IRWXU)
    except OSError:
        return False
    return True


def _unshield_entry(dir_fd: int, name: str, lent: list[tuple[int, int]]) -> bool:
    """Clear obstacles at one entry. Flags of a file with other names go to `lent`: they must be restored afterwards."""
    try:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError:
        return False
    try:
        status = os.fstat(fd)
        directory = stat.S_ISDIR(status.st_mode)
        if not directory and not stat.S_ISREG(status.st_mode):
            return False  # opening a device or a pipe has side effects, and neither has flags
        changed = directory and _open_up(fd)
        try:
            readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return changed
        shared = not directory and status.st_nlink > 1
        try:
            flags = ioctl.file_flags(readable) if shared else 0
        except OSError:
            flags = 0
        unshielded = _unshield(readable)
        if shared and unshielded:
            lent.append((readable, flags))
        else:
            os.close(readable)
        return changed | unshielded
    finally:
        os.close(fd)
