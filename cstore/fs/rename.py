"""Renaming directories that their owner may not write to.

To move a directory to another parent, everybody except root needs write permission on it, and the root of a layer often
has none (0555). This module grants it for the rename and then revokes it. It does the same for read-only btrfs
subvolumes (such as received snapshots), which even root cannot rename.

Both parents are held open during the rename, and no symbolic link inside the store leads to them.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import presence
from cstore.contexts import ExitStack, contextmanager, suppress
from cstore.fs import within
from cstore.kernel.files import AT_FDCWD, rename_exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Entry = tuple[int | None, str]
    """A name in an open directory, or a path."""

_TREE = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def rename_tree(old: str, new: str) -> None:
    """Rename a file or directory to a path in the same file system.

    Raises:
        OSError: as `os.rename`.
    """
    with within.holder(old) as source, within.holder(new) as target:
        _with_permission(source, target, exchange=False)


def rename_within(root: str, old: str, new: str) -> None:
    """Rename a file or directory within a file system and below `root`, even across mount points in between.

    The kernel renames only within one mount, but container engines mount a driver's home on itself. A private copy of
    the mount at `root` has no such mount inside.

    Raises:
        OSError: as `os.rename`.
    """
    try:
        rename_tree(old, new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _beneath_mounts(root, old, new, error, exchange=False)


def exchange_within(root: str, one: str, other: str) -> None:
    """Exchange two directories below `root` in one step, even across mount points in between.

    Raises:
        OSError: as `exchange_trees`.
    """
    try:
        exchange_trees(one, other)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _beneath_mounts(root, one, other, error, exchange=True)


def reaches(root: str, path: str) -> bool:
    """Return whether files can be renamed from the directory `root` into the directory `path` below it.

    They can within one mount, and in a copy of that mount if it shows the same directory at `path`. A `path` that does
    not exist yet will be created in `root`.
    """
    try:
        if os.stat(root).st_dev != os.stat(path).st_dev:
            return False
        if _mount_of(root) == _mount_of(path):
            return True
    except FileNotFoundError:
        return not presence.is_there(path)
    except OSError:
        return False
    from cstore.kernel.fsmount import clone_mount

    try:
        fd = clone_mount(root)
    except OSError:
        return False
    try:
        return _same_beneath(fd, root, path)
    finally:
        within.leave(fd)


def _same_beneath(fd: int, root: str, path: str) -> bool:
    """Return whether `path` is the same directory in `fd`, a copy of the mount at `root`, as in the visible tree."""
    try:
        return os.path.samestat(os.stat(os.path.relpath(path, root), dir_fd=fd), os.stat(path))
    except OSError:
        return False


def _mount_of(path: str) -> str:
    """Return the ID of the mount that a directory is on."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as file:
            return next((line for line in file if line.startswith("mnt_id:")), path)
    finally:
        within.leave(fd)


def _beneath_mounts(root: str, old: str, new: str, refusal: OSError, *, exchange: bool) -> None:
    from cstore.kernel.fsmount import clone_mount

    try:
        fd = clone_mount(root)
    except OSError:
        raise refusal from None
    try:
        if not all(_same_beneath(fd, root, os.path.dirname(path)) for path in (old, new)):
            raise refusal  # another file system is mounted there; the directory below it is not the intended one
        paths = os.path.relpath(old, root), os.path.relpath(new, root)
        if exchange:
            rename_exchange(*paths, dir_fd=fd)
        else:
            os.rename(*paths, src_dir_fd=fd, dst_dir_fd=fd)
    finally:
        within.leave(fd)


def exchange_trees(one: str, other: str) -> None:
    """Exchange two directories in one step.

    Raises:
        OSError: as renameat2(2) with RENAME_EXCHANGE.
    """
    with within.holder(one) as first, within.holder(other) as second:
        _with_permission(first, second, exchange=True)


def _rename(old: Entry, new: Entry, *, exchange: bool) -> None:
    if exchange:
        rename_exchange(old[1], new[1], *(AT_FDCWD if at is None else at for at in (old[0], new[0])))
    else:
        os.rename(old[1], new[1], src_dir_fd=old[0], dst_dir_fd=new[0])


def _with_permission(old: Entry, new: Entry, *, exchange: bool) -> None:
    """Rename; if necessary, make the moved directories writable meanwhile."""
    movers = [old, new] if exchange else [old]
    try:
        _rename(old, new, exchange=exchange)
    except PermissionError:
        if not all(stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode) for at, name in movers):
            raise  # permission on a directory is not the cause
        with _made_writable(movers):
            _rename(old, new, exchange=exchange)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        with _unlocked(movers) as any_locked:
            if not any_locked:
                raise
            _with_permission(old, new, exchange=exchange)


@contextmanager
def _unlocked(trees: list[Entry]) -> Iterator[bool]:
    """Make read-only subvolumes writable while the context lasts; yield whether there is one."""
    from cstore.kernel import btrfs

    with ExitStack() as opened:
        locked = []
        for at, name in trees:
            with suppress(OSError):
                fd = os.open(name, os.O_RDONLY | _TREE, dir_fd=at)
                opened.callback(within.leave, fd)
                if btrfs.is_subvolume(os.fstat(fd)) and btrfs.make_writable(fd):
                    locked.append(fd)
        try:
            yield bool(locked)
        finally:
            for fd in locked:
                btrfs.make_read_only(fd)


@contextmanager
def _made_writable(trees: list[Entry]) -> Iterator[None]:
    """Make directories writable for their owner while the context lasts, wherever they move."""
    with ExitStack() as opened:
        for at, name in trees:
            fd = os.open(name, os.O_PATH | _TREE, dir_fd=at)
            opened.callback(within.leave, fd)
            path, mode = f"/proc/self/fd/{fd}", os.fstat(fd).st_mode & 0o7777  # fchmod(2) does not accept O_PATH
            os.chmod(path, mode | 0o200)
            opened.callback(os.chmod, path, mode)
        yield
