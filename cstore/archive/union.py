"""The merged tree below a layer: the directories of its ancestors, nearest first, without a mount.

A name is looked up as in a mount of the layers: a file, a whiteout or an opaque directory hides everything deeper, and
a renamed directory goes on under its old name. What a user's mounts wrote counts as root's does, because a chain holds
marks of one of them only; a mount program's marks count where one shows the chain.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.archive.composefs import BlobTree
from cstore.archive.directories import Kind
from cstore.archive.names import join_name, split_name
from cstore.archive.whiteout import OPAQUE_NAME, OPAQUE_VALUE, WHITEOUT_PREFIX, is_whiteout_device, whiteout_name
from cstore.values import NamedTuple

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
    """A directory below a layer; `opaque` are the attributes that make a directory in it hide what is deeper."""

    tree: Tree
    opaque: Sequence[str] = OPAQUE


class _LowerPath(NamedTuple):
    """Where something may be seen: a folder in one of the directories, of that number."""

    number: int
    folder: bytes


class Found(NamedTuple):
    """The visible file at a path: a name in a folder of the directory with that number; the root is named b""."""

    number: int
    folder: bytes
    name: bytes
    status: os.stat_result


class OutOfSight(Exception):
    """The requested file may be in a layer that is not read; the text names the layer."""


class Union:
    """Directories, nearest first, merged.

    `files`: a mount program shows them, so names and attributes of its own are marks. `unseen` says what lies below
    the last of them and is not read; "" for nothing. `plain`: there is one, a whole tree, in which nothing is a mark.
    `users` says, if a mark of a user's mount is met, whether it counts; in a store of root's it may be mere contents.
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
        # For the last folder and its parents: the directories in which it is not hidden.
        self._end = len(lowers) + bool(unseen)
        self._open: dict[bytes, list[_LowerPath]] = {b"": [_LowerPath(number, b"") for number in range(self._end)]}

    def find(self, path: bytes) -> os.stat_result | None:
        """Return the file at `path`; None if there is none, or a layer removed it.

        Raises:
            OutOfSight: it may be in a layer that is not read.
            SystemFailure: a directory cannot be read.
        """
        found = self._nearest(path)
        return found[1] if found is not None else None

    def holder(self, path: bytes) -> tuple[Tree, bytes]:
        """The tree that holds what `find` found at `path`, and the directory in it.

        Raises:
            FileNotFoundError: nothing is there.
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
            OutOfSight: it may be in a layer that is not read.
            SystemFailure: a directory cannot be read.
        """
        return [name for name, _ in self.kinds(folder)]

    def namesakes(self, path: bytes) -> Iterator[bytes]:
        """The other names of the file at `path` that can be seen. Reads all of the directory that has it.

        Raises:
            FileNotFoundError: nothing is there.
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
        """Return the result of `find` and its location; the root is in the nearest directory.

        Raises:
            SystemFailure: a directory cannot be read.
        """
        if not path:
            return Found(0, b"", b"", self._tree(0).root_status())
        found = self._nearest(path)
        return None if found is None else Found(*found[0], split_name(path)[1], found[1])

    def entries(self, folder: bytes) -> list[Found]:
        """All that is seen in a directory, sorted by name; reads each directory that shows there once.

        Raises:
            SystemFailure: one cannot be read.
        """
        return self._merged(
            folder,
            lambda tree, place: tree.statuses(place),
            lambda where, name, status: None if self._removes(status) else Found(*where, name, status),
        )

    def kinds(self, folder: bytes) -> list[tuple[bytes, Kind]]:
        """The names of all that is seen in a directory, sorted, and their kinds. Of hardly any a status is read.

        Raises:
            SystemFailure: one cannot be read.
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
        """Yield the visible entries of the merged directories, sorted by name."""
        found: dict[bytes, _S | None] = {}
        for where in self._holding(folder):
            tree = self._tree(where.number)
            try:
                listed = read(tree, where.folder)
            except OSError as error:
                raise errors.SystemFailure("read", tree.shown(where.folder), error) from error
            gone = []
            for name, told in listed:
                if self._files and name.startswith(WHITEOUT_PREFIX):
                    gone.append(name[len(WHITEOUT_PREFIX) :])
                elif name not in found:
                    found[name] = seen(where, name, told)
            for name in gone:
                found.setdefault(name, None)
        return [each for _, each in sorted(found.items()) if each is not None]

    def shown_in(self, folder: bytes) -> list[tuple[Tree, bytes]]:
        """The directories that show in one, nearest first: two views that have the same show the same there."""
        return [(self._tree(number), place) for number, place in self._holding(folder)]

    def copies(self, path: bytes) -> Iterator[tuple[Tree, Found]]:
        """The file at `path`, then those below that may have its contents: a layer may hold nothing but its status.

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
        """The directories in which something in `folder` may be seen."""
        path, further = folder, []
        while path not in self._open:
            path, name = split_name(path)
            further.append(name)
        found = self._open[path]
        for name in reversed(further):
            found = self._narrow(found, name)
            self._forget_aside(path)
            path = join_name(path, name)
            self._open[path] = found
        return found

    def _forget_aside(self, above: bytes) -> None:
        """Keep only what leads to a folder: a walk does not come back to its neighbours."""
        for path in [path for path in self._open if path and path != above and not above.startswith(path + b"/")]:
            del self._open[path]

    def _narrow(self, spots: Sequence[_LowerPath], name: bytes) -> list[_LowerPath]:
        """Go one name further in each of `spots`, as far as nothing is hidden."""
        found: list[_LowerPath] = []
        pending = list(spots)[::-1]
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
            borne = self._borne(inside)
            if self._hides(where, name, inside, borne):
                break
            renamed = self._attribute(inside, _REDIRECT, borne)
            if renamed.startswith(b"/"):
                folder, name = split_name(renamed.strip(b"/"))
                pending = [_LowerPath(number, folder) for number in range(where.number + 1, self._end)][::-1]
            elif renamed:
                name = renamed
        return found

    def _status(self, where: _LowerPath, name: bytes) -> os.stat_result | None:
        """Return one directory's entry for a name; None if there is none. A whiteout is a device 0:0, in any form."""
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
        except OSError:
            return False
        return True

    def _hides(self, where: _LowerPath, name: bytes, inside: _LowerPath, borne: Collection[str]) -> bool:
        """Whether a directory hides what is deeper."""
        if self._attribute(inside, self._lowers[inside.number].opaque, borne) == OPAQUE_VALUE:
            return True
        if not self._files:
            return False
        if self._attribute(inside, (_PROGRAMS_OPAQUE,), borne) == OPAQUE_VALUE or self._has(where, whiteout_name(name)):
            return True
        return any(self._has(inside, marker) for marker in PROGRAMS_MARKERS)

    def _borne(self, where: _LowerPath) -> Collection[str]:
        """The names of a directory's attributes: nearly all have none, and one question tells."""
        tree = self._tree(where.number)
        try:
            return tree.attribute_names(where.folder)
        except OSError as error:
            if error.errno in _NO_ATTRIBUTE:
                return ()
            raise errors.SystemFailure("read", tree.shown(where.folder), error) from error

    def _attribute(self, where: _LowerPath, names: Sequence[str], borne: Collection[str]) -> bytes:
        """The first of these attributes that a directory has; b"" if it has none."""
        tree = self._tree(where.number)
        try:
            for name in names:
                value = _value(tree, where.folder, name) if name in borne else b""
                if value and (not name.startswith(_USERS) or self._users()):
                    return value
        except OSError as error:
            raise errors.SystemFailure("read", tree.shown(where.folder), error) from error
        return b""


def _renamed(tree: Tree, folder: bytes, name: bytes) -> bytes | None:
    """Return the name of a metacopy file in a lower layer, b"" if it is the same; None for a file with contents."""
    if isinstance(tree, BlobTree):
        return None
    try:
        attributes = tree.attributes(join_name(folder, name))
    except OSError:
        return None
    if attributes.keys().isdisjoint(map(os.fsencode, _METACOPY)):
        return None
    return next((attributes[key] for key in map(os.fsencode, _REDIRECT) if key in attributes), b"")


def is_opaque(target: int | str) -> bool:
    """Whether a directory hides what is deeper, by the kernel's marks. Raises OSError."""
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
