"""Create a layer whose owners differ from its parent's, by copying up everything with new owners (drivers 7.14).

    diff1    the copied-up files: the parent's tree with the new owners
    diff     empty: the layer's own changes

So the layer has no change compared with its parent, but its own owners.
"""

from __future__ import annotations

import os
import stat

from cstore.drivers.overlay.making import make_root
from cstore.drivers.overlay.mount import Stack, mount_nowhere
from cstore.drivers.overlay.options import NAME
from cstore.errors import DriverUnusable, IDNotMapped, SystemFailure
from cstore.fs import within
from cstore.fs.tree import remove_tree
from cstore.fs.xattr import value_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.drivers.contract import StagedTree

_CAPABILITY = "security.capability"
_SET_ID = stat.S_ISUID | stat.S_ISGID


def rewrite_owners(
    staged: StagedTree,
    lowers: Sequence[str],
    options: Sequence[str],
    owner: Callable[[int, int], tuple[int, int]],
    root_owner: tuple[int, int],
) -> None:
    """Copy up the tree of a staged layer's ancestors with other owners.

    Raises:
        IDNotMapped: an owner is not in a map.
        DriverError: the tree cannot be mounted.
        SystemFailure: an owner cannot be set.
    """
    folder = os.path.dirname(staged.tree)
    work = os.path.join(folder, "work")
    fd = mount_nowhere(Stack(os.path.basename(folder), lowers, staged.tree, work, options))
    if fd is None:
        raise DriverUnusable(NAME, "this kernel cannot change the owners of a layer", hint="Linux 6.5 can")
    try:
        _change(fd, owner)
    except OSError as error:
        raise SystemFailure("change owners in", staged.tree, error) from error
    finally:
        os.close(fd)
    try:
        mode = stat.S_IMODE(os.stat(staged.tree).st_mode)
        within.rename(staged.tree, staged.tree + "1")
        remove_tree(work)
        within.mkdir(work, 0o700)
        make_root(folder, mode, root_owner)
    except OSError as error:
        raise SystemFailure("create a layer in", folder, error) from error


def _change(root_fd: int, owner: Callable[[int, int], tuple[int, int]]) -> None:
    """Change all owners in a mounted tree except that of the root, which `diff` will cover.

    Copying up breaks hard links, so each later name is replaced by a link to the first.
    """
    root = f"/proc/self/fd/{root_fd}/."  # the dot, because the walk would not follow the link
    first: dict[int, str] = {}
    for folder, directories, files, fd in os.fwalk(root, follow_symlinks=False):
        before = os.fstat(fd)
        for name in (*directories, *files):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            path = os.path.join(folder, name)
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                known = first.setdefault(status.st_ino, path)
                if known != path:
                    os.unlink(name, dir_fd=fd)
                    os.link(known, name, dst_dir_fd=fd, follow_symlinks=False)
                    continue
            try:
                _own(status, name, fd, path, owner)
            except IDNotMapped as error:
                raise error.at(path.removeprefix(root)) from None
        if os.stat(folder).st_mtime_ns != before.st_mtime_ns:  # links in it were recreated
            os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def _own(status: os.stat_result, name: str, fd: int, path: str, owner: Callable[[int, int], tuple[int, int]]) -> None:
    """Change one owner, and restore the mode bits and capability that this clears."""
    wanted = owner(status.st_uid, status.st_gid)
    if wanted == (status.st_uid, status.st_gid):
        return
    capability = value_of(path, _CAPABILITY) if stat.S_ISREG(status.st_mode) else None
    os.chown(name, *wanted, dir_fd=fd, follow_symlinks=False)
    if status.st_mode & _SET_ID and not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=fd)
    if capability is not None:
        os.setxattr(path, _CAPABILITY, capability, follow_symlinks=False)
