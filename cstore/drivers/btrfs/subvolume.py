"""Trees that are subvolumes: create them, copy them by snapshot, and delete them with the subvolumes inside."""

from __future__ import annotations

import errno
import os

from cstore.contexts import contextmanager, suppress
from cstore.drivers.whole_trees import TreeMaker, make_root
from cstore.errors import DriverError
from cstore.fs.tree import remove_tree
from cstore.fs.tree.trail import Trail, open_root
from cstore.kernel import btrfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.drivers.whole_trees import Owners

NAME = "btrfs"


class Subvolumes:
    """Trees that are subvolumes."""

    def make(self, tree: str, layer_root: tuple[int, int]) -> None:
        """See `TreeMaker.make`."""
        _create(tree)
        make_root(tree, layer_root)

    def copy(self, source: str, tree: str, layer: str, owner: Owners) -> bool:
        """See `TreeMaker.copy`: a snapshot; with other owners, a copy that shares the contents of files."""
        if owner is not None:
            from cstore.fs.tree import copy_tree

            _create(tree)
            copy_tree(source, tree, owner=owner)
            return True
        folder, name = os.path.split(tree)
        with opened(source) as source_fd, opened(folder) as folder_fd:
            try:
                btrfs.snapshot(source_fd, folder_fd, name)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                raise DriverError(
                    NAME,
                    f"layer {layer} is an ordinary directory, not a subvolume, so no snapshot can be made of it",
                    hint=f"cstore repair converts {source} to a subvolume",
                    go_text="failed to create btrfs snapshot: invalid argument",
                ) from None
        return False

    def destroy(self, path: str) -> None:
        """See `TreeMaker.destroy`.

        Delete whole subvolumes as far as the kernel allows it; ordinary users need a mount option for that. Remove the
        rest file by file; an emptied subvolume can be removed like a directory.
        """
        with suppress(OSError), opened(path) as fd:
            for name in os.listdir(fd):
                if btrfs.is_subvolume(os.stat(name, dir_fd=fd, follow_symlinks=False)):
                    with suppress(OSError):
                        _destroy(path, fd, name)
        remove_tree(path, detach_mounts=True)


if TYPE_CHECKING:
    _: type[TreeMaker] = Subvolumes


def _create(tree: str) -> None:
    folder, name = os.path.split(tree)
    with opened(folder) as folder_fd:
        btrfs.create_subvolume(folder_fd, name)


def _destroy(path: str, folder_fd: int, name: str) -> None:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError):  # newer kernels delete its quota group themselves at some time, older ones never
        root = os.open(name, flags, dir_fd=folder_fd)
        try:
            btrfs.forget_quota(root, btrfs.subvolume_id(root))
        finally:
            os.close(root)
    try:
        btrfs.destroy_subvolume(folder_fd, name)
    except OSError as error:
        # Without the right to delete a subvolume, one can still empty it once it and those inside are writable.
        if error.errno not in {errno.ENOTEMPTY, errno.EPERM, errno.EROFS}:
            raise
        root = os.open(name, flags, dir_fd=folder_fd)
        with Trail(os.path.join(path, name), root) as trail:
            _destroy_inner(trail)
        btrfs.destroy_subvolume(folder_fd, name)


def _destroy_inner(trail: Trail) -> None:
    """Delete the subvolumes inside one, innermost first, without entering mounts."""
    btrfs.make_writable(trail.here)
    pending = [_directories(trail.here)]
    while pending:
        if pending[-1]:
            try:
                trail.down(pending[-1].pop())
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                continue
            if btrfs.is_subvolume(os.fstat(trail.here)):
                btrfs.make_writable(trail.here)
            pending.append(_directories(trail.here))
            continue
        pending.pop()
        if pending:
            inner = btrfs.is_subvolume(os.fstat(trail.here))
            name = trail.up()
            if inner:
                with suppress(OSError):  # deleting the outer subvolume then fails and reports it
                    btrfs.destroy_subvolume(trail.here, name)


def _directories(fd: int) -> list[str]:
    with os.scandir(fd) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


@contextmanager
def opened(path: str) -> Iterator[int]:
    """Open a directory. Raises OSError."""
    fd = open_root(path)
    try:
        yield fd
    finally:
        os.close(fd)
