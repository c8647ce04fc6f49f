"""Copying a tree as exactly as the system permits, with two worker processes."""

from __future__ import annotations

import errno
import os
from functools import partial

from cstore.errors import IDNotMapped, InvalidOption
from cstore.fs import xattr
from cstore.fs.tree.copy_entries import Copier, Plan, copy_entries, failure
from cstore.fs.tree.remove import remove_tree
from cstore.fs.tree.trail import Trail, open_root
from cstore.fs.worker import run_workers
from cstore.kernel.namespaces import in_user_namespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_WORKERS = 2  # more did not help in measurements: all share the file system's journal
_INHERITED = ("system.posix_acl_default", "system.posix_acl_access")


def copy_tree(
    source: str,
    destination: str,
    *,
    owner: Callable[[int, int], tuple[int, int]] | None = None,
    workers: int | None = None,
) -> None:
    """Copy the contents and metadata of the directory `source` into the empty directory `destination`.

    Kept: content (sharing blocks with the source if possible), holes, types, modes, owners, times in nanoseconds, hard
    links within the tree, also of symbolic links and devices, and all extended attributes that this process can see,
    except those that belong to a place (`cstore.fs.xattr`). Not kept: change times, chattr(1) flags, quota projects.
    Sockets are left out; in a user namespace, so are device nodes and privileged attributes that cannot be created
    there.

    The source must not change meanwhile. Nothing is synced; the caller does that once. After an error, `destination`
    contains an unusable partial copy.

    Args:
        source: a directory. Nothing in it is changed, not even access times if possible.
        destination: an empty directory that nobody else uses.
        owner: maps user and group of a source file to those of its copy; -1 keeps those of a new file. A CstoreError
            that it raises is passed on. It runs in the workers, so it cannot keep state.
        workers: the number of processes.

    Raises:
        SystemFailure: names the first thing that could not be copied; also if something is mounted inside the source.
        InvalidOption: one of the two directories is inside the other.
    """
    inner, outer = os.path.realpath(destination), os.path.realpath(source)
    if os.path.commonpath([inner, outer]) in {inner, outer}:
        raise InvalidOption(f"cannot copy {source} to {destination}: one is inside the other")
    try:
        source_fd = open_root(source)
    except OSError as error:
        raise failure(source, error) from None
    try:
        target_fd = _open_empty(destination)
        try:
            workers = workers or min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
            _copy(source, source_fd, destination, target_fd, owner, workers)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


def _copy(
    source: str,
    source_fd: int,
    destination: str,
    target_fd: int,
    owner: Callable[[int, int], tuple[int, int]] | None,
    workers: int,
) -> None:
    room = f".links-{os.urandom(8).hex()}"
    status = os.fstat(source_fd)  # before reading changes it
    try:
        os.mkdir(room, 0o700, dir_fd=target_fd)
        links_fd = os.open(room, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=target_fd)
    except OSError as error:
        raise failure(destination, error) from None
    try:
        born = os.fstat(links_fd)
        plan = Plan(
            source, source_fd, target_fd, links_fd, (born.st_uid, born.st_gid), owner, confined=in_user_namespace()
        )
        jobs = [partial(copy_entries, plan, number, workers) for number in range(workers)]
        directories, *_ = run_workers(jobs, keep={source_fd, target_fd, links_fd})
    finally:
        os.close(links_fd)
    remove_tree(os.path.join(destination, room))
    _finish_directories(plan, directories, status)


def _finish_directories(plan: Plan, directories: list[tuple[int, str]], root: os.stat_result) -> None:
    """Set the metadata of the directories, deepest first: creating files in them changed their times."""
    copier = Copier(plan)
    with (
        Trail(plan.source, os.dup(plan.source_fd), quiet=True) as source,
        Trail("", os.dup(plan.target_fd)) as target,
    ):

        def leave() -> None:
            target.secure_way_up()  # the new mode may bar it
            copier.finish(source.here, target.here, os.fstat(source.here))
            source.up()
            target.up()

        try:
            for depth, name in directories:
                while source.depth >= depth:
                    leave()
                source.down(name)
                target.down(name)
            while source.depth:
                leave()
            copier.finish(source.here, target.here, root)
        except OSError as error:
            raise failure(source.where(), error) from None
        except IDNotMapped as error:
            raise error.at(source.where()) from None


def _open_empty(path: str) -> int:
    """Open the destination and remove what its files would inherit; the final metadata is set at the end."""
    try:
        fd = open_root(path)
    except OSError as error:
        raise failure(path, error) from None
    try:
        _prepare(fd)
    except OSError as error:
        os.close(fd)
        raise failure(path, error) from None
    return fd


def _prepare(fd: int) -> None:
    with os.scandir(fd) as entries:
        if any(True for _ in entries):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
    for name in _INHERITED:
        xattr.drop(fd, name)
    os.fchmod(fd, 0o700)
