"""Renaming directories that their owner may not write to.

For anybody but root the kernel wants write permission on a directory that gets another parent, and the root of a layer
often has none (0555). It is given for the moment of the rename, and taken back. So is a read-only subvolume of btrfs
(snapshots that were received, say), which not even root can rename.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack, contextmanager, suppress

from cstore.kernel.files import rename_exchange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def rename_tree(old: str, new: str) -> None:
    """Rename a file or directory to a path in the same file system.

    Raises:
        OSError: as `os.rename`.
    """
    _with_permission(os.rename, old, new, ((old, new),))


def rename_within(root: str, old: str, new: str) -> None:
    """Rename a file or directory to a path in the same file system, both below `root`, whatever is mounted between.

    The kernel renames within one mount only, and container engines mount a driver's home onto itself. A copy of the
    mount at `root`, which nobody else sees, has nothing mounted in it.

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
    """Let two directories below `root` take each other's place, in one step, whatever is mounted between.

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
    """Whether things can be renamed from the directory `root` into the directory `path` below it.

    They can within one mount, and below a copy of it if what is mounted between is the same directory again. A `path`
    that is not there yet will be made in `root`.
    """
    try:
        if os.stat(root).st_dev != os.stat(path).st_dev:
            return False
        if _mount_of(root) == _mount_of(path):
            return True
    except FileNotFoundError:
        return not os.path.lexists(path)
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
        os.close(fd)


def _same_beneath(fd: int, root: str, path: str) -> bool:
    """Whether `path` is the same directory in a copy of the mount at `root`, open as `fd`, as it is for everybody."""
    try:
        return os.path.samestat(os.stat(os.path.relpath(path, root), dir_fd=fd), os.stat(path))
    except OSError:
        return False


def _mount_of(path: str) -> str:
    """The number of the mount that a directory is on."""
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
            return next((line for line in file if line.startswith("mnt_id:")), path)
    finally:
        os.close(fd)


def _beneath_mounts(root: str, old: str, new: str, refusal: OSError, *, exchange: bool) -> None:
    from cstore.kernel.fsmount import clone_mount

    try:
        fd = clone_mount(root)
    except OSError:
        raise refusal from None
    try:
        if not all(_same_beneath(fd, root, os.path.dirname(path)) for path in (old, new)):
            raise refusal  # something else is mounted there, and beneath it is not what is meant
        paths = os.path.relpath(old, root), os.path.relpath(new, root)
        if exchange:
            rename_exchange(*paths, dir_fd=fd)
        else:
            os.rename(*paths, src_dir_fd=fd, dst_dir_fd=fd)
    finally:
        os.close(fd)


def exchange_trees(one: str, other: str) -> None:
    """Let two directories take each other's place, in one step.

    Raises:
        OSError: as renameat2(2) with RENAME_EXCHANGE.
    """
    _with_permission(rename_exchange, one, other, ((one, other), (other, one)))


def _with_permission(
    rename: Callable[[str, str], None], old: str, new: str, moves: tuple[tuple[str, str], ...]
) -> None:
    """Rename, if need be with write permission lent to what moves: pairs of its path before and after."""
    try:
        rename(old, new)
    except PermissionError:
        if not all(stat.S_ISDIR(os.lstat(before).st_mode) for before, _ in moves):
            raise  # it is not this, and chmod(2) would follow a link
        with _lent(moves):
            rename(old, new)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        with _unlocked([before for before, _ in moves]) as any_locked:
            if not any_locked:
                raise
            _with_permission(rename, old, new, moves)


@contextmanager
def _unlocked(trees: list[str]) -> Iterator[bool]:
    """Let read-only subvolumes be renamed for as long as the context lasts; give whether there is one."""
    from cstore.kernel import btrfs

    with ExitStack() as opened:
        locked = []
        for tree in trees:
            with suppress(OSError):
                fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                opened.callback(os.close, fd)
                if btrfs.is_subvolume(os.fstat(fd)) and btrfs.make_writable(fd):
                    locked.append(fd)
        try:
            yield bool(locked)
        finally:
            for fd in locked:
                btrfs.make_read_only(fd)


@contextmanager
def _lent(moves: tuple[tuple[str, str], ...]) -> Iterator[None]:
    modes = [(before, after, os.lstat(before).st_mode & 0o7777) for before, after in moves]
    for before, _, mode in modes:
        os.chmod(before, mode | 0o200)
    try:
        yield
    except BaseException:
        for before, _, mode in modes:
            os.chmod(before, mode)
        raise
    for _, after, mode in modes:
        os.chmod(after, mode)
