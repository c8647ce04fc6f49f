"""The merged view of the layers below a layer: the directories of its ancestors, nearest first, without a mount.

Names are looked up as in an overlay mount: a file, a whiteout or an opaque directory hides everything in lower layers,
and a renamed directory continues there under its old name. Marks of a user's mounts count like those of root's, because
a chain has marks of only one kind; marks of a mount program count if one shows the chain.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors, presence
from cstore.archive.composefs import BlobTree
from cstore.archive.directories import Kind
from cstore.archive.names import join_name, split_name
from cstore.archive.whiteout import OPAQUE_NAME, OPAQUE_VALUE, WHITEOUT_PREFIX, is_whiteout_device, whiteout_name
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from typing import TypeVar

    from cstore.archive.composefs import Tree

    _T = TypeVar("_T")
    _S = TypeVar("_S")

_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})
_NO_ATTRIBUTE = frozenset({errno.ENODATA, errno.ENOTSUP, errno.EPERM})
OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_USERS = "user.overlay."
_METACOPY = ("trusted.overlay.metacopy", "user.overlay.metacopy")
_REDIRECT = ("trusted.overlay.redirect", "user.overlay.redirect")
_PROGRAMS_OPAQUE = "user.fuseoverlayfs.opaque"
PROGRAMS_MARKERS = (OPAQUE_NAME, b".wh..opq")


class Lower(NamedTuple):
    """A directory below a layer; `opaque` lists the attributes that make a directory in it opaque."""

    tree: Tree
    opaque: Sequence[str] = OPAQUE


class _LowerPath(NamedTuple):
    """A folder in the lower directory with this number."""

    number: int
    folder: bytes


class Found(NamedTuple):
    """The file visible at a path: a name in a folder of the lower directory with this number; the root is named b""."""

    number: int
    folder: bytes
    name: bytes
    status: os.stat_result


class OutOfSight(Exception):
    """The requested file may be in a layer that is not read; the message describes the layer."""


class Union:
    """The merged view of lower directories, nearest first.

    `files`: a mount program shows them, so its names and attributes are marks. `unseen` describes the layer below the
    last one that is not read; "" for none. `plain`: the only directory is a whole tree, without marks. `users` returns
    whether marks of a user's mount count; in root's store they may be ordinary attributes.
    """

    def __init__(
        self,
        lowers: Sequence[Lower],
        *,
        files: bool = False,
        unseen: str = "",
        plain: bool = False,
        users: Callable[[], bool] = lambda: True,
    ) -> None:
        self._lowers, self._files, self._unseen, self._plain = lowers, files, unseen, plain
        self._users = users
        # For the last folder looked up, and those above it: the lower directories where it is not hidden.
        self._end = len(lowers) + bool(unseen)
        self._open: dict[bytes, list[_LowerPath]] = {b"": [_LowerPath(number, b"") for number in range(self._end)]}

    def find(self, path: bytes) -> os.stat_result | None:
        """Return the status of `path`; None if it does not exist or was removed by a layer.

        Raises:
            OutOfSight: the answer depends on a layer that is not read.
            SystemFailure: a directory cannot be read.
        """
        found = self._nearest(path)
        return found[1] if found is not None else None

    def holder(self, path: bytes) -> tuple[Tree, bytes]:
        """Return the tree with the file that `find` finds at `path`, and the directory in that tree.

        Raises:
            FileNotFoundError: it does not exist.
        """
        found = self._nearest(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        where, _ = found
        return self._lowers[where.number].tree, where.folder

    def directory(self, path: bytes) -> tuple[Tree, bytes]:
        """Return the nearest directory at `path`, which may be the root: its tree, and its path there.

        Raises:
            FileNotFoundError: it does not exist.
        """
        for number, folder in self._holding(path):
            return self._tree(number), folder
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def names(self, folder: bytes) -> list[bytes]:
        """Return the visible names in a directory, sorted.

        Raises:
            OutOfSight: the answer depends on a layer that is not read.
            SystemFailure: a directory cannot be read.
        """
        return [name for name, _ in self.kinds(folder)]

    def namesakes(self, path: bytes) -> Iterator[bytes]:
        """Yield the other visible names of the file at `path`. This walks the whole tree that has the file.

        Raises:
            FileNotFoundError: it does not exist.
            OSError: a directory cannot be read.
        """
        found = self._nearest(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        where, status = found
        tree, pending, left = self._tree(where.number), [b""], status.st_nlink - 1
        while pending and left:
            folder = pending.pop()
            for name, each in tree.statuses(folder):
                other = join_name(folder, name)
                if stat.S_ISDIR(each.st_mode):
                    pending.append(other)
                elif each.st_ino == status.st_ino and other != path:
                    left -= 1
                    seen = self.find(other)
                    if seen is not None and os.path.samestat(seen, status):
                        yield other

    def locate(self, path: bytes) -> Found | None:
        """Return the file that `find` finds, with its location; the root is in the nearest directory.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        if not path:
            return Found(0, b"", b"", self._tree(0).root_status())
        found = self._nearest(path)
        return None if found is None else Found(*found[0], split_name(path)[1], found[1])

    def entries(self, folder: bytes) -> list[Found]:
        """Return the visible files in a directory, sorted by name; read each merged directory once.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        return self._merged(
            folder,
            lambda tree, place: tree.statuses(place),
            lambda where, name, status: None if self._removes(status) else Found(*where, name, status),
        )

    def kinds(self, folder: bytes) -> list[tuple[bytes, Kind]]:
        """Return the visible names in a directory, sorted, and their kinds. Few of them need a stat(2) call.

        Raises:
            SystemFailure: a directory cannot be read.
        """

        def seen(where: _LowerPath, name: bytes, kind: Kind) -> tuple[bytes, Kind] | None:
            if kind is Kind.OTHER and not self._plain:
                status = self._status(where, name)
                if status is None or is_whiteout_device(status):
                    return None
            return name, kind

        return self._merged(folder, lambda tree, place: tree.names(place), seen)

    def _merged(
        self,
        folder: bytes,
        read: Callable[[Tree, bytes], list[tuple[bytes, _T]]],
        seen: Callable[[_LowerPath, bytes, _T], _S | None],
    ) -> list[_S]:
        """Merge the directories at `folder`: `read` lists each, `seen` returns an item or None. Sort by name."""
        found: dict[bytes, _S | None] = {}
        for where in self._holding(folder):
            tree = self._tree(where.number)
            try:
                listed = read(tree, where.folder)
            except OSError as error:
                raise errors.SystemFailure("read", tree.shown(where.folder), error) from error
            gone = []
            for name, value in listed:
                if self._files and name.startswith(WHITEOUT_PREFIX):
                    gone.append(name[len(WHITEOUT_PREFIX) :])
                elif name not in found:
                    found[name] = seen(where, name, value)
            for name in gone:
                found.setdefault(name, None)
        return [each for _, each in sorted(found.items()) if each is not None]

    def shown_in(self, folder: bytes) -> list[tuple[Tree, bytes]]:
        """Return the directories merged at `folder`, nearest first. Views with equal ones show the same there."""
        return [(self._tree(number), place) for number, place in self._holding(folder)]

    def copies(self, path: bytes) -> Iterator[tuple[Tree, Found]]:
        """Yield the file at `path`, then the lower files that may have its contents, if it has only metadata.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        folder, name = split_name(path)
        pending = list(self._holding(folder))
        while pending:
            where = pending.pop(0)
            status = self._status(where, name)
            if status is None:
                continue
            if not stat.S_ISREG(status.st_mode):
                return
            tree = self._tree(where.number)
            yield tree, Found(*where, name, status)
            renamed = _renamed(tree, where.folder, name)
            if renamed is None:
                return
            if renamed.startswith(b"/"):
                folder, name = split_name(renamed.strip(b"/"))
                pending = [_LowerPath(number, folder) for number in range(where.number + 1, len(self._lowers))]
            elif renamed:
                name = renamed

    def _removes(self, status: os.stat_result) -> bool:
        return not self._plain and is_whiteout_device(status)

    def _nearest(self, path: bytes) -> tuple[_LowerPath, os.stat_result] | None:
        folder, name = split_name(path)
        for where in self._holding(folder):
            status = self._status(where, name)
            if status is not None:
                return None if self._removes(status) else (where, status)
        return None

    def _tree(self, number: int) -> Tree:
        if number == len(self._lowers):
            raise OutOfSight(self._unseen)
        return self._lowers[number].tree

    # ── which directories ──

    def _holding(self, folder: bytes) -> list[_LowerPath]:
        """Return the directories whose files may be visible in `folder`."""
        path, further = folder, []
        while path not in self._open:
            path, name = split_name(path)
            further.append(name)
        found = self._open[path]
        for name in reversed(further):
            found = self._narrow(found, name)
            # Forget all other folders but the ancestors: a walk does not return to their siblings.
            for other in [known for known in self._open if known and not (path + b"/").startswith(known + b"/")]:
                del self._open[other]
            path = join_name(path, name)
            self._open[path] = found
        return found

    def _narrow(self, places: Sequence[_LowerPath], name: bytes) -> list[_LowerPath]:
        """Descend into `name` in each of `places`, until one of them hides the rest."""
        found: list[_LowerPath] = []
        pending = list(places)[::-1]
        while pending:
            where = pending.pop()
            if where.number == len(self._lowers):
                found.append(where)
                break
            status = self._status(where, name)
            if status is None:
                continue
            if not stat.S_ISDIR(status.st_mode):
                break
            inside = _LowerPath(where.number, join_name(where.folder, name))
            found.append(inside)
            if self._plain:
                break
            attrs = self._present_attributes(inside)
            if self._hides(where, name, inside, attrs):
                break
            renamed = self._attribute(inside, _REDIRECT, attrs)
            if renamed.startswith(b"/"):
                folder, name = split_name(renamed.strip(b"/"))
                pending = [_LowerPath(number, folder) for number in range(where.number + 1, self._end)][::-1]
            elif renamed:
                name = renamed
        return found

    def _status(self, where: _LowerPath, name: bytes) -> os.stat_result | None:
        """Return a name's status in one directory, None if it is absent. Every whiteout is shown as a device 0:0."""
        tree = self._tree(where.number)
        try:
            return tree.status(where.folder, name)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise errors.SystemFailure("read", tree.shown(join_name(where.folder, name)), error) from error
        if self._files and self._has(where, whiteout_name(name)):
            return os.stat_result((stat.S_IFCHR, *[0] * 9), {"st_rdev": 0})
        return None

    def _has(self, where: _LowerPath, name: bytes) -> bool:
        try:
            self._tree(where.number).status(where.folder, name)
        except OSError as error:
            return presence.mode_despite(error, name) != 0
        return True

    def _hides(self, where: _LowerPath, name: bytes, inside: _LowerPath, attrs: Collection[str]) -> bool:
        """Return whether a directory hides the directories below it."""
        if self._attribute(inside, self._lowers[inside.number].opaque, attrs) == OPAQUE_VALUE:
            return True
        if not self._files:
            return False
        if self._attribute(inside, (_PROGRAMS_OPAQUE,), attrs) == OPAQUE_VALUE or self._has(where, whiteout_name(name)):
            return True
        return any(self._has(inside, marker) for marker in PROGRAMS_MARKERS)

    def _present_attributes(self, where: _LowerPath) -> Collection[str]:
        """Return the names of a directory's attributes: one system call, and nearly all directories have none."""
        tree = self._tree(where.number)
        try:
            return tree.attribute_names(where.folder)
        except OSError as error:
            if error.errno in _NO_ATTRIBUTE:
                return ()
            raise errors.SystemFailure("read", tree.shown(where.folder), error) from error

    def _attribute(self, where: _LowerPath, names: Sequence[str], attrs: Collection[str]) -> bytes:
        """Return the value of the first of these attributes that a directory has; b"" if it has none."""
        tree = self._tree(where.number)
        try:
            for name in names:
                value = _value(tree, where.folder, name) if name in attrs else b""
                if value and (not name.startswith(_USERS) or self._users()):
                    return value
        except OSError as error:
            raise errors.SystemFailure("read", tree.shown(where.folder), error) from error
        return b""


def _renamed(tree: Tree, folder: bytes, name: bytes) -> bytes | None:
    """Return the lower name of a file without contents, b"" if it is the same; None if the file has contents."""
    if isinstance(tree, BlobTree):
        return None
    try:
        attributes = tree.attributes(join_name(folder, name))
    except OSError as error:
        if error.errno not in _NO_ATTRIBUTE:
            presence.mode_despite(error, tree.shown(join_name(folder, name)))
        return None
    if attributes.keys().isdisjoint(map(os.fsencode, _METACOPY)):
        return None
    return next((attributes[key] for key in map(os.fsencode, _REDIRECT) if key in attributes), b"")


def is_opaque(target: int | str) -> bool:
    """Return whether a directory is opaque by the kernel's marks. Raises OSError."""
    for name in OPAQUE:
        try:
            if os.getxattr(target, name) == OPAQUE_VALUE:
                return True
        except OSError as error:
            if error.errno not in _NO_ATTRIBUTE:
                raise
    return False


def _value(tree: Tree, folder: bytes, name: str) -> bytes:
    try:
        return tree.attribute(folder, name)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTE:
            return b""
        raise
