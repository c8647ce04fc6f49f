"""Copying into an existing place: a tree into a directory, or one file over another.

The caller holds both sides open, and so decides what they are confined to; no symbolic link is followed.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import sys
from collections.abc import Callable
from functools import partial

from cstore.contexts import suppress
from cstore.errors import IDNotMapped, InvalidOption
from cstore.fs import xattr
from cstore.fs.tree.copy_entries import Copier, Plan, failure
from cstore.fs.tree.remove import remove_tree
from cstore.fs.tree.trail import Trail, open_again
from cstore.fs.worker import run_workers
from cstore.kernel.namespaces import in_user_namespace
from cstore.presence import is_listed_there

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from cstore.fs.tree.copy_entries import Owner
else:
    Protocol = object

_NO_NAMELESS = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL, errno.ENOSYS})
"""Errors of file systems without unnamed files (O_TMPFILE)."""
_TRIES = 100
_COUNT = 8
"""Size of a number that two processes share."""


class Source(Protocol):
    """A tree to copy, with the current position of a walk. All methods except `where` raise OSError.

    Attributes:
        copied: bytes in the files copied so far.
    """

    @property
    def copied(self) -> int: ...  # noqa: D102  - see above

    def where(self, name: str = "") -> str:
        """Return the path of a name in this directory, or of the directory, for messages."""

    def listed(self) -> list[tuple[str, bool]]:
        """List the names in this directory, and whether each is a directory."""

    def mode(self, name: str) -> int:
        """Return the type and permissions of a name in this directory."""

    def copy(self, name: str, target: int) -> None:
        """Copy an entry that is not a directory into an open directory that has no such name."""

    def finish_here(self, target: int) -> None:
        """Copy the metadata of this directory to an open one."""

    def down(self, name: str) -> None:
        """Enter a directory."""

    def up(self) -> None:
        """Return to the parent directory."""


Opener = Callable[[Plan], Source]
"""Opens a source, in the process that copies."""


def merge_tree(
    path: str,
    source: int | Opener,
    target_fd: int,
    owner: Owner,
    progress: Callable[[int], None] | None = None,
    *,
    spare: str | None = None,
) -> None:
    """Merge the contents of one directory into another, which is open.

    Directories on both sides are merged and get the metadata of the source; all else in the way is replaced. With
    `spare`, only files replace files and links replace links; a device in the way, for example, ends the copy. The same
    is kept as in `copy_tree`. The target's own metadata stays. Nothing is synced.

    Args:
        path: the source, for messages.
        source: an open directory, or a function that opens another source. It must not contain the target.
        target_fd: the destination.
        owner: maps user and group of a source file to those of its copy; it may raise a CstoreError.
        progress: called several times a second with the bytes in the files copied so far.
        spare: the target's path for messages, if its contents must not be lost by mistake.

    Raises:
        InvalidOption: something in the way must be spared.
        CstoreError: names the first thing that could not be copied. Earlier copies stay.
    """
    opener: Opener = _Opened if isinstance(source, int) else source
    source_fd = source if isinstance(source, int) else -1
    plan = _plan(path, source_fd, target_fd, owner)
    with mmap.mmap(-1, _COUNT) as count:  # shared with the worker
        tick = None if progress is None else lambda: progress(int.from_bytes(count[:_COUNT], sys.byteorder))
        keep = {target_fd} | ({source_fd} if source_fd >= 0 else set())
        run_workers([partial(_merge, plan, opener, count, spare)], keep, tick)


def place_file(
    path: str, source: int | Callable[[Plan, int, str], None], folder_fd: int, name: str, owner: Owner, *, sync: bool
) -> None:
    """Copy one file, pipe or device to `name` in an open directory, in one step.

    A file or link of that name is replaced; a directory is not. `source` is an open file, or a function that creates a
    copy. A partial copy to the same name, left by a killed process, is removed. With `sync`, the contents are durable
    before they get the name; the caller makes the name durable.

    Raises:
        SystemFailure: it cannot be copied; the previous file is unchanged.
    """
    source_fd, make = (source, None) if isinstance(source, int) else (-1, source)
    plan = _plan(path, source_fd, folder_fd, owner)
    run_workers(
        [partial(_place, plan, make, name, sync=sync)], keep={folder_fd} | ({source_fd} if source_fd >= 0 else set())
    )


def _plan(path: str, source_fd: int, target_fd: int, owner: Owner) -> Plan:
    nobodys = (-2, -2)  # in an existing directory, a new file's owner is unpredictable: always set it
    return Plan(path, source_fd, target_fd, -1, nobodys, owner, confined=in_user_namespace())


def part_name(name: str) -> str:
    """Return the temporary name of a copy. It depends on `name` only, so the next copy finds and removes leftovers."""
    from hashlib import sha256

    return f".copy-{sha256(os.fsencode(name)).hexdigest()[:16]}"


def _place(plan: Plan, make: Callable[[Plan, int, str], None] | None, name: str, *, sync: bool) -> None:
    os.umask(0)
    part = part_name(name)
    try:
        _unlink(part, plan.target_fd)
        if make is None and _SingleCopier(plan).make_at_once(plan.source_fd, plan.target_fd, name, sync=sync):
            return
        try:
            if make is None:
                _SingleCopier(plan).make(plan.source_fd, plan.target_fd, part)
            else:
                make(plan, plan.target_fd, part)
            if sync:
                _sync(part, plan.target_fd)
            os.rename(part, name, src_dir_fd=plan.target_fd, dst_dir_fd=plan.target_fd)
        except BaseException:
            _unlink(part, plan.target_fd)
            raise
    except OSError as error:
        raise failure(plan.source, error) from None
    except IDNotMapped as error:
        raise error.at(plan.source) from None


class _SingleCopier(Copier):
    """Copies a single open file of any type."""

    def make_at_once(self, source: int, at: int, name: str, *, sync: bool) -> bool:
        """Copy a regular file to an unnamed one, and name it when it is complete; return whether it has the name.

        A kill then leaves nothing behind, except in the moment in which another file is replaced. False if the file
        system has no unnamed files.
        """
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            return False
        try:
            fd = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, status.st_mode & 0o777, dir_fd=at)
        except OSError as error:
            if error.errno in _NO_NAMELESS:
                return False
            raise
        try:
            self._fill_file(source, status, fd)
            if sync:
                os.fsync(fd)
            return _give_name(fd, name, at)
        finally:
            os.close(fd)

    def make(self, source: int, at: int, name: str) -> None:
        """Copy the file to a named one."""
        status = os.fstat(source)
        if stat.S_ISREG(status.st_mode):
            self._make_file(source, status, at, name)
            return
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=at)  # with the right mode, because the umask is 0
        os.chown(name, *self._wanted_owner(status), dir_fd=at, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=at, follow_symlinks=False)


class _Opened:
    """An open directory as a `Source`."""

    def __init__(self, plan: Plan) -> None:
        self._trail = Trail(plan.source, open_again(plan.source_fd), quiet=True)
        self._copier = Copier(plan)

    @property
    def copied(self) -> int:
        return self._copier.copied

    def where(self, name: str = "") -> str:
        return self._trail.where(name)

    def listed(self) -> list[tuple[str, bool]]:
        with os.scandir(self._trail.here) as entries:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if is_listed_there(entry)]

    def mode(self, name: str) -> int:
        return os.stat(name, dir_fd=self._trail.here, follow_symlinks=False).st_mode

    def copy(self, name: str, target: int) -> None:
        copy = self._copier.copy_file if stat.S_ISREG(self.mode(name)) else self._copier.copy_other
        copy(self._trail.here, target, name)

    def finish_here(self, target: int) -> None:
        here = self._trail.here
        self._copier.finish(here, target, os.fstat(here))

    def down(self, name: str) -> None:
        self._trail.down(name)

    def up(self) -> None:
        self._trail.up()


def _merge(plan: Plan, opener: Opener, count: mmap.mmap, spare: str | None) -> None:
    os.umask(0)
    target = Trail(spare or "", open_again(plan.target_fd))
    _Merge(opener(plan), target, count, spare=spare is not None).run()


class _Merge:
    """One depth-first walk; it sets a directory's metadata last, because creating files in it changes them."""

    def __init__(self, source: Source, target: Trail, count: mmap.mmap, *, spare: bool) -> None:
        self._source, self._target = source, target
        self._count, self._spare = count, spare

    def run(self) -> None:
        where = ""
        try:
            pending = [self._visit()]
            while pending:
                if pending[-1]:
                    where = pending[-1].pop()
                    self._enter(where)
                    where = ""
                    pending.append(self._visit())
                    continue
                pending.pop()
                if pending:
                    self._leave()
        except OSError as error:
            raise failure(self._source.where(where), error) from None

    def _visit(self) -> list[str]:
        """Copy the files of this directory; return the names of its subdirectories."""
        target = self._target.here
        directories, name = [], ""
        try:
            for name, is_directory in self._source.listed():
                if is_directory:
                    directories.append(name)
                else:
                    self._make_way(target, name)
                    self._source.copy(name, target)
                    self._count[:_COUNT] = self._source.copied.to_bytes(_COUNT, sys.byteorder)
        except OSError as error:
            raise failure(self._source.where(name), error) from None
        except IDNotMapped as error:
            raise error.at(self._source.where(name)) from None
        return directories

    def _make_way(self, target: int, name: str) -> None:
        """Remove an entry that will be replaced."""
        try:
            if self._spare:
                there = os.stat(name, dir_fd=target, follow_symlinks=False).st_mode
                self._see_replaceable(there, self._source.mode(name), name)
            os.unlink(name, dir_fd=target)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            remove_tree(xattr.entry(target, name))

    def _see_replaceable(self, there: int, wanted: int, name: str) -> None:
        """Check that an entry may be replaced.

        Raises:
            InvalidOption: it may not.
        """
        if (stat.S_ISREG(there) and not stat.S_ISDIR(wanted)) or (stat.S_ISLNK(there) and stat.S_ISLNK(wanted)):
            return
        kinds = {stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFREG: "file", stat.S_IFIFO: "pipe"}
        kind = kinds.get(stat.S_IFMT(there), "socket" if stat.S_ISSOCK(there) else "device")
        raise InvalidOption(
            f"{self._target.where(name)} is a {kind}, but {self._source.where(name)} would replace it",
            hint="remove it first, or copy to another directory",
        )

    def _enter(self, name: str) -> None:
        """Enter a directory on both sides; a file in its way in the target is replaced."""
        target = self._target.here
        try:
            os.mkdir(name, 0o700, dir_fd=target)
        except FileExistsError:
            there = os.stat(name, dir_fd=target, follow_symlinks=False).st_mode
            if not stat.S_ISDIR(there):
                if self._spare:
                    self._see_replaceable(there, stat.S_IFDIR, name)
                os.unlink(name, dir_fd=target)
                os.mkdir(name, 0o700, dir_fd=target)
        self._source.down(name)
        self._target.down(name)

    def _leave(self) -> None:
        self._target.secure_way_up()  # the new mode may bar it
        try:
            self._source.finish_here(self._target.here)
        except IDNotMapped as error:
            raise error.at(self._source.where()) from None
        self._source.up()
        self._target.up()


def _give_name(fd: int, name: str, folder_fd: int) -> bool:
    """Name an unnamed file, replacing any file of that name; False without /proc. Raises OSError."""
    path, part = f"/proc/self/fd/{fd}", part_name(name)
    for _ in range(_TRIES):  # others may copy to the same name and remove our file
        try:
            os.link(path, name, dst_dir_fd=folder_fd)
        except FileExistsError:
            try:
                with suppress(FileExistsError, FileNotFoundError):
                    os.link(path, part, dst_dir_fd=folder_fd)
                    os.rename(part, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
                    return True
            finally:
                _unlink(part, folder_fd)
        except FileNotFoundError:
            return False
        else:
            return True
    return False


def _sync(name: str, folder_fd: int) -> None:
    """Make a file durable; other types have no contents."""
    if stat.S_ISREG(os.stat(name, dir_fd=folder_fd, follow_symlinks=False).st_mode):
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder_fd)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _unlink(name: str, folder_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=folder_fd)
    except FileNotFoundError:
        return
