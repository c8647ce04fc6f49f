"""One worker's share of a copy: it walks the whole source and copies the files of the directories that it created.

Workers do not communicate. The worker that succeeds in creating a directory copies its files; the others find that it
exists and only descend. Each worker takes subdirectories in another order, so they seldom meet.

A file with several names is created once, named by its device and inode, in the *link room*, and linked from there to
its places. The worker whose exclusive creation succeeds fills it; others may link it before it is full, because all
names are one file.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore.contexts import suppress
from cstore.errors import IDNotMapped, SystemFailure
from cstore.fs import xattr
from cstore.fs.scoped import open_beneath
from cstore.fs.tree.copy_data import DataCopier
from cstore.fs.tree.trail import Trail, open_again
from cstore.kernel.namespaces import in_user_namespace
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Owner = Callable[[int, int], tuple[int, int]]

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL_BITS = 0o7000
_LOST = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.EMLINK})
"""Errors if the first name was removed, or leads elsewhere by now, or the file has too many names."""


class Plan(NamedTuple):
    """The parameters that all workers of a copy share.

    Attributes:
        source: path of the source, for messages.
        source_fd: the source.
        target_fd: the destination.
        links_fd: the link room; -1 for a single worker without one.
        born: user and group that a new file in the destination gets by default.
        owner: maps user and group of the source to those of the copy; -1 keeps those of a new file.
        confined: the process is in a user namespace: no device nodes, no privileged attributes.
    """

    source: str
    source_fd: int
    target_fd: int
    links_fd: int
    born: tuple[int, int]
    owner: Owner | None
    confined: bool


def copy_entries(plan: Plan, worker: int, workers: int) -> list[tuple[int, str]]:
    """Do the share of `worker`, from 0 to `workers` - 1. Run it in a process of its own: it changes the umask.

    Returns:
        From worker 0: all directories below the root as (depth, name), each before its contents.

    Raises:
        SystemFailure: names the first thing that could not be copied.
    """
    os.umask(0)
    # Opened again, because workers that share an open directory would share the position in its listing.
    source = Trail(plan.source, open_again(plan.source_fd), quiet=True)
    target = Trail("", open_again(plan.target_fd))
    return _Walk(plan, source, target, worker, workers).run()


def failure(path: str, error: OSError) -> SystemFailure:
    """Return the error for a path that could not be copied, with a hint."""
    hint = ""
    if error.errno == errno.EXDEV:
        hint = f"a file system that is not part of the tree is mounted inside it: umount {path}"
    elif isinstance(error, xattr.AttributeRefused):
        hint = f"its attribute {error.filename} was refused"
    elif error.errno == errno.EINVAL and in_user_namespace():
        hint = "its owner may be unknown in this user namespace: see /etc/subuid and /etc/subgid"
    return SystemFailure("copy", path, error, hint=hint)


def _expect(same_type: bool) -> None:
    if not same_type:
        raise OSError("it was replaced while it was copied")


class _Walk:
    """The state of one worker."""

    def __init__(self, plan: Plan, source: Trail, target: Trail, worker: int, workers: int) -> None:
        self._plan, self._source, self._target = plan, source, target
        self._worker, self._workers = worker, workers
        self._copier = Copier(plan)

    def run(self) -> list[tuple[int, str]]:
        """Walk and copy."""
        seen: list[tuple[int, str]] = []
        pending = [self._visit(mine=self._worker == 0)]
        while pending:
            if pending[-1]:
                name = pending[-1].pop()
                if self._worker == 0:
                    seen.append((len(pending), name))
                pending.append(self._visit(mine=self._enter(name)))
                continue
            pending.pop()
            if pending:
                try:
                    self._source.up()
                    self._target.up()
                except OSError as error:
                    raise failure(self._source.where(), error) from None
        return seen

    def _enter(self, name: str) -> bool:
        """Enter the directory on both sides; return whether this worker created it and must copy its files."""
        try:
            try:
                os.mkdir(name, 0o700, dir_fd=self._target.here)
                mine = True
            except FileExistsError:
                mine = False
            self._source.down(name)
            self._target.down(name)
        except OSError as error:
            raise failure(self._source.where(name), error) from None
        return mine

    def _visit(self, *, mine: bool) -> list[str]:
        """Copy the files of this directory if it is `mine`; return the names of its subdirectories."""
        source, target, directories = self._source.here, self._target.here, []
        name = ""
        try:
            with os.scandir(source) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(name)
                    elif mine:
                        if entry.is_file(follow_symlinks=False):
                            self._copier.copy_file(source, target, name)
                        else:
                            self._copier.copy_other(source, target, name)
        except OSError as error:
            raise failure(self._source.where(name), error) from None
        except IDNotMapped as error:
            raise error.at(self._source.where(name)) from None
        if self._worker == 1:
            directories.reverse()
        elif self._worker:
            middle = len(directories) * (self._worker - 1) // (self._workers - 1)
            directories = directories[middle:] + directories[:middle]
        return directories


class Copier:
    """Copies one entry at a time. All methods raise OSError."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._data = DataCopier()
        self._first_names = _FirstNames(plan.target_fd) if plan.links_fd < 0 else None
        self._read_flags = _READ | os.O_NOATIME
        self.copied = 0  # bytes in files
        self._owners: dict[tuple[int, int], tuple[int, int] | None] = {}

    def copy_file(self, source: int, target: int, name: str) -> None:
        """Copy the regular file `name` from one open directory to another."""
        try:
            fd = os.open(name, self._read_flags, dir_fd=source)
        except PermissionError as error:
            if error.errno != errno.EPERM or self._read_flags == _READ:
                raise
            self._read_flags = _READ  # only the owner may read without an update of the access time
            fd = os.open(name, self._read_flags, dir_fd=source)
        try:
            status = os.fstat(fd)
            _expect(stat.S_ISREG(status.st_mode))
            if status.st_nlink > 1:
                self._make_linked(target, name, status, lambda at, anchor: self._make_file(fd, status, at, anchor))
            else:
                self._make_file(fd, status, target, name)
        finally:
            os.close(fd)

    def copy_other(self, source: int, target: int, name: str) -> None:
        """Copy the link, device or pipe `name`. Sockets are left out: they are useless without their process."""
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISSOCK(status.st_mode):
            return
        _expect(not stat.S_ISDIR(status.st_mode) and not stat.S_ISREG(status.st_mode))

        def make(at: int, new: str) -> None:
            if stat.S_ISLNK(status.st_mode):
                os.symlink(os.readlink(name, dir_fd=source), new, dir_fd=at)
                self._dress(source, name, status, at, new)
            else:
                self._make_node(source, name, status, at, new)

        if status.st_nlink > 1:
            self._make_linked(target, name, status, make)
        else:
            make(target, name)

    def finish(self, source: int, target: int, status: os.stat_result) -> None:
        """Copy the metadata of the directory `source` to `target`. Nothing may be created in `target` later."""
        # The root existed before, so its owner may not be that of a new directory.
        is_now = os.fstat(target)
        wanted = self._wanted_owner(status)
        if not _same_owner(wanted, (is_now.st_uid, is_now.st_gid)):
            os.fchown(target, *wanted)
        os.fchmod(target, stat.S_IMODE(status.st_mode))
        self._take_attributes(source, target)
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _fill(self, source: int, target: int, status: os.stat_result) -> None:
        """Fill the empty file `target` with the contents of `source`."""
        self._data.copy(source, target, status)

    def _take_attributes(self, source: int | str, target: int | str) -> None:
        xattr.copy_all(source, target, forgiving=self._plan.confined)

    def _make_linked(self, target: int, name: str, status: os.stat_result, make: Callable[[int, str], None]) -> None:
        room, anchor = self._plan.links_fd, f"{status.st_dev:x}-{status.st_ino:x}"
        if self._first_names is not None:
            if not self._first_names.link(anchor, target, name):
                make(target, name)
                self._first_names.note(anchor, target, name)
            return
        with suppress(FileExistsError):  # another worker has created it, or is filling it
            make(room, anchor)
        try:
            os.link(anchor, name, src_dir_fd=room, dst_dir_fd=target, follow_symlinks=False)
        except FileNotFoundError:
            if stat.S_ISREG(status.st_mode) or not self._plan.confined:
                raise
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            # The file has as many names as the file system allows: use the anchor itself as this name. A further name,
            # if possible, starts a new file.
            os.rename(anchor, name, src_dir_fd=room, dst_dir_fd=target)

    def _make_file(self, source: int, status: os.stat_result, at: int, name: str) -> None:
        fd = os.open(name, _MAKE, status.st_mode & 0o777, dir_fd=at)
        try:
            self._fill_file(source, status, fd)
        finally:
            os.close(fd)
        self.copied += status.st_size

    def _fill_file(self, source: int, status: os.stat_result, fd: int) -> None:
        mode = stat.S_IMODE(status.st_mode)
        self._fill(source, fd, status)
        owner = self._new_owner(status)
        if owner:
            os.fchown(fd, *owner)
        if mode & _SPECIAL_BITS:
            os.fchmod(fd, mode)  # last, because chown and write clear the set-user-ID bit
        self._take_attributes(source, fd)
        os.utime(fd, ns=(status.st_atime_ns, status.st_mtime_ns))

    def _make_node(self, source: int, name: str, status: os.stat_result, at: int, new: str) -> None:
        try:
            os.mknod(new, status.st_mode, status.st_rdev, dir_fd=at)
        except PermissionError:
            if self._plan.confined and not stat.S_ISFIFO(status.st_mode):
                return  # devices cannot be created in a user namespace
            raise
        self._dress(source, name, status, at, new)

    def _dress(self, source: int, name: str, status: os.stat_result, at: int, new: str) -> None:
        """Set owner, mode, attributes and times of a file that cannot be opened."""
        owner = self._new_owner(status)
        if owner:
            os.chown(new, *owner, dir_fd=at, follow_symlinks=False)
        if status.st_mode & _SPECIAL_BITS and not stat.S_ISLNK(status.st_mode):
            fd = os.open(new, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            try:
                if not stat.S_ISLNK(os.fstat(fd).st_mode):  # else it was replaced
                    os.chmod(f"/proc/self/fd/{fd}", stat.S_IMODE(status.st_mode))
            finally:
                os.close(fd)
        self._take_attributes(xattr.entry(source, name), xattr.entry(at, new))
        os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=at, follow_symlinks=False)

    def _new_owner(self, status: os.stat_result) -> tuple[int, int] | None:
        """Return the owner to set; None if a new file has it already, which is usual."""
        key = status.st_uid, status.st_gid
        if key not in self._owners:
            wanted = self._wanted_owner(status)
            self._owners[key] = None if _same_owner(wanted, self._plan.born) else wanted
        return self._owners[key]

    def _wanted_owner(self, status: os.stat_result) -> tuple[int, int]:
        return self._plan.owner(status.st_uid, status.st_gid) if self._plan.owner else (status.st_uid, status.st_gid)


class _FirstNames:
    """The first names of files with several names, for a copy without a link room. Methods raise OSError.

    A link room would remain after a kill, in a directory that others use and nobody sweeps.
    """

    def __init__(self, root_fd: int) -> None:
        self._root = root_fd
        self._found: dict[str, tuple[bytes, str, tuple[int, int]]] = {}

    def note(self, file: str, folder_fd: int, name: str) -> None:
        """Record the name that a file of the source got."""
        try:
            status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        except FileNotFoundError:
            return  # a device, which cannot be created in a user namespace
        root, folder = (os.readlink(f"/proc/self/fd/{fd}") for fd in (self._root, folder_fd))
        below = os.path.relpath(folder, root)
        self._found[file] = os.fsencode(below), name, (status.st_dev, status.st_ino)

    def link(self, file: str, folder_fd: int, name: str) -> bool:
        """Give a copied file another name; False if it was not copied, or its first name no longer exists."""
        if file not in self._found:
            return False
        below, first, identity = self._found[file]
        try:
            fd = open_beneath(self._root, below, os.O_PATH | os.O_DIRECTORY)
            try:
                status = os.stat(first, dir_fd=fd, follow_symlinks=False)
                if (status.st_dev, status.st_ino) != identity:
                    return False
                os.link(first, name, src_dir_fd=fd, dst_dir_fd=folder_fd, follow_symlinks=False)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno in _LOST:
                return False
            raise
        return True


def _same_owner(wanted: tuple[int, int], present: tuple[int, int]) -> bool:
    return all(new in {-1, old} for new, old in zip(wanted, present, strict=True))
