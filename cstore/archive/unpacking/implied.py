"""Directories that an archive needs and does not list: as they are beneath the tree, where it is a part of a union.

A directory in a union's upper part covers what is seen of the one beneath: its owner, mode, attributes and times. What
an archive says nothing of must stay as it is, so those are copied, once all is known that the archive removes.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore.archive.names import split_name
from cstore.archive.override import ATTRIBUTE, Override, override_in
from cstore.archive.unpacking.attributes import to_set
from cstore.archive.unpacking.paths import GONE, Missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.composefs import Tree
    from cstore.archive.unpacking.below import Below
    from cstore.archive.unpacking.ground import Ground
    from cstore.archive.unpacking.orders import Terms
    from cstore.archive.unpacking.paths import Paths

_NO_SUCH_OWNER = frozenset({errno.EINVAL, errno.EPERM})


class Likeness:
    """Makes directories of the tree like those beneath."""

    def __init__(self, terms: Terms, paths: Paths, ground: Ground, below: Below) -> None:
        self._terms, self._paths, self._ground, self._below = terms, paths, ground, below
        self._root_is_new = bool(terms.lowers) and not terms.again and not os.listdir(paths.root.fd)

    def give(self, *, root_listed: bool) -> None:
        """Make all like those beneath that no entry lists.

        Raises:
            EntryFailed: what is beneath cannot be known, or not be had here.
        """
        for path, _ in reversed(self._paths.implied):
            if self._paths.takes_after(path):
                self._give(path)
        if self._root_is_new and not root_listed:
            root = self._paths.root.fd
            tree, folder = self._below.directory(b"")
            self._ground.set_xattrs(root, b"/", _attributes(tree, folder))  # the driver gave it owner and mode
            _set_times(root, _status(tree, folder))

    def _give(self, path: bytes) -> None:
        below = self._below.look(path)
        if below is None or not stat.S_ISDIR(below.st_mode):
            return
        try:
            target = self._paths.folder(path, Missing.REFUSED)
        except OSError as error:
            if error.errno not in GONE:
                raise
            return
        if target.path == path:
            self._dress(path, target.fd, *self._below.directory(path))

    def _dress(self, path: bytes, target: int, tree: Tree, folder: bytes) -> None:
        status = _status(tree, folder)
        meant = override_in(tree.attributes(folder))
        meant = meant or Override(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
        if self._terms.force_mask >= 0:
            os.setxattr(target, ATTRIBUTE, Override(meant.uid, meant.gid, meant.mode, stat.S_IFDIR).text())
        else:
            try:
                os.fchown(target, meant.uid, meant.gid)
            except OSError as error:
                if error.errno not in _NO_SUCH_OWNER:  # of a store of somebody else's, seen from a user namespace
                    raise
            os.fchmod(target, meant.mode)
        self._ground.set_xattrs(target, path, _attributes(tree, folder))
        _set_times(target, status)


def _attributes(tree: Tree, folder: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return to_set(tuple(tree.attributes(folder).items()))


def _status(tree: Tree, folder: bytes) -> os.stat_result:
    return tree.status(*split_name(folder)) if folder else tree.root_status()


def _set_times(target: int, status: os.stat_result) -> None:
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
