"""What lies beneath a tree that is a part of a union, as far as the tree itself does not hide it."""

from __future__ import annotations

import errno
import os

from cstore.archive.names import show_name, split_name
from cstore.archive.union import PROGRAMS_MARKERS, Lower, OutOfSight, Union, is_opaque
from cstore.archive.whiteout import WhiteoutForm, whiteout_name
from cstore.errors import EntryFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.composefs import Tree
    from cstore.archive.unpacking.orders import Terms

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_HIDDEN = frozenset({errno.ENOTDIR, errno.ELOOP})


class Below:
    """The layers beneath the tree `root_fd`, nearest first. There may be none: then nothing is ever found."""

    def __init__(self, root_fd: int, terms: Terms) -> None:
        self._root = root_fd
        self._files = terms.form is WhiteoutForm.FILES
        self._any = bool(terms.lowers or terms.unseen)
        self._union = Union([Lower(tree) for tree in terms.lowers], files=self._files, unseen=terms.unseen)

    def look(self, path: bytes) -> os.stat_result | None:
        """What would be seen at `path` if the tree had nothing there.

        Raises:
            EntryFailed: that cannot be known.
            SystemFailure: a directory beneath cannot be read.
        """
        folder, name = split_name(path)
        if not self._any or not self._is_open(folder, name):
            return None
        try:
            return self._union.find(path)
        except OutOfSight as error:
            raise EntryFailed(show_name(path), f"what lies beneath it is in {error}") from None

    def holder(self, path: bytes) -> tuple[Tree, bytes]:
        """The tree in which that is, and the directory in it."""
        return self._union.holder(path)

    def namesakes(self, path: bytes) -> list[bytes]:
        """The other names that the file there has, and that would be seen if the tree had nothing there."""
        return [other for other in self._union.namesakes(path) if self.look(other) is not None]

    def directory(self, path: bytes) -> tuple[Tree, bytes]:
        """The nearest directory at `path`, of which the root is one: its tree, and its path there."""
        return self._union.directory(path)

    def names(self) -> list[bytes]:
        """What can be seen at the top."""
        try:
            return self._union.names(b"") if self._any else []
        except OutOfSight as error:
            raise EntryFailed("/", f"what lies beneath it is in {error}") from None

    def _is_open(self, folder: bytes, name: bytes) -> bool:
        """Whether nothing in the tree itself hides what lies beneath: no file, whiteout or mark on the way to a name.

        A whiteout that is a file counts for the name itself as well: one that is a device is what has the name.
        """
        fd = os.dup(self._root)
        try:
            if self._files and self._is_opaque(fd):  # the kernel knows no such mark at the top
                return False
            for part in folder.split(b"/") if folder else ():
                if self._files and _has(fd, whiteout_name(part)):
                    return False
                try:
                    inside = os.open(part, _OPEN, dir_fd=fd)
                except FileNotFoundError:
                    return True
                except OSError as error:
                    if error.errno in _HIDDEN:
                        return False
                    raise
                os.close(fd)
                fd = inside
                if self._is_opaque(fd):
                    return False
            return not (self._files and _has(fd, whiteout_name(name)))
        finally:
            os.close(fd)

    def _is_opaque(self, fd: int) -> bool:
        if self._files:
            return any(_has(fd, marker) for marker in PROGRAMS_MARKERS)
        return is_opaque(fd)


def _has(fd: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return False
    return True
