"""Copy files and trees out of layers with a composefs image, which are read by name, without a mount."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from contextlib import ExitStack

from cstore.archive.composefs import BlobTree, opened
from cstore.archive.names import join_name, split_name
from cstore.archive.union import Lower, Union
from cstore.fs import xattr
from cstore.fs.closing import Closing
from cstore.fs.tree.copy_entries import Copier, Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_MOST_LINKS = 40
"""The kernel's limit of symbolic links in one path."""
_MARKS = (b"trusted.overlay.", b"user.overlay.")


class ShownTree(Closing):
    """The merged view of directories and images, nearest first, as a mount would show it.

    Paths are relative; the root is b"".
    """

    def __init__(self, roots: Sequence[str]) -> None:
        """Open the directories and images.

        Raises:
            SystemFailure: a directory cannot be opened.
        """
        self._stack = ExitStack()
        trees = self._stack.enter_context(opened(roots, os.O_PATH))
        self._union = Union([Lower(tree) for tree in trees])

    def resolve(self, path: bytes) -> bytes:
        """Resolve a path as in a chroot: links and `..` stop at the root, and a link at the end is followed.

        Raises:
            OSError: as open(2).
        """
        pending, here, links = deque(path.split(b"/")), b"", 0
        while pending:
            part = pending.popleft()
            status = self.status(here)
            if not stat.S_ISDIR(status.st_mode):
                raise _failure(errno.ENOTDIR)
            if part in {b"", b"."}:
                continue
            if part == b"..":
                here = split_name(here)[0]
                continue
            there = join_name(here, part)
            if not stat.S_ISLNK(self.status(there).st_mode):
                here = there
                continue
            links += 1
            if links > _MOST_LINKS:
                raise _failure(errno.ELOOP)
            text = self.link(there)
            here = b"" if text.startswith(b"/") else here
            pending.extendleft(reversed(text.split(b"/")))
        return here

    def status(self, path: bytes) -> os.stat_result:
        """Return the status of a path, without following a link.

        Raises:
            OSError: it does not exist.
        """
        if not path:
            return self._union.directory(path)[0].root_status()
        found = self._union.find(path)
        if found is None:
            raise _failure(errno.ENOENT)
        return found

    def names(self, folder: bytes) -> list[bytes]:
        """Return the visible names in a directory, sorted."""
        return self._union.names(folder)

    def link(self, path: bytes) -> bytes:
        """Return the target of a symbolic link."""
        tree, folder = self._union.holder(path)
        return tree.link(folder, split_name(path)[1])

    def open(self, path: bytes) -> int:
        """Open a regular file to read it; the caller closes it.

        Raises:
            OSError: as open(2), or the length of its contents is not the recorded one.
        """
        tree, folder = self._union.holder(path)
        fd = tree.open_file(folder, split_name(path)[1])
        if os.fstat(fd).st_size != self.status(path).st_size:
            os.close(fd)
            raise OSError("the lengths of its contents and its tar-split differ: see cstore check")
        return fd

    def attributes(self, path: bytes) -> dict[str, bytes]:
        """Return the extended attributes of a path, without overlay's own marks."""
        tree, folder = self._union.holder(path) if path else self._union.directory(path)
        where = join_name(folder, split_name(path)[1]) if path else b""
        if isinstance(tree, BlobTree):
            found = tree.attributes(where)
        else:
            above, name = split_name(where)
            target = xattr.entry(tree.descriptor(above), os.fsdecode(name) or ".")
            found = {os.fsencode(key): value for key, value in xattr.read_all(target).items()}
        return {os.fsdecode(key): value for key, value in found.items() if not key.startswith(_MARKS)}

    def close(self) -> None:
        """Close all directories and images."""
        self._stack.close()


class ShownSource(Copier):
    """A walk through a `ShownTree` that copies its files; see `cstore.fs.tree.merge.Source`."""

    def __init__(self, plan: Plan, roots: Sequence[str], top: bytes) -> None:
        super().__init__(plan)
        self._tree = ShownTree(roots)
        self._name, self._top = plan.source, top
        self._below = b""
        self._path = top  # of the file being copied

    def where(self, name: str = "") -> str:
        """See `Source.where`."""
        return os.path.join(self._name, *filter(None, (os.fsdecode(self._below), name)))

    @property
    def _here(self) -> bytes:
        return join_name(self._top, self._below) if self._below else self._top

    def listed(self) -> list[tuple[str, bool]]:
        """See `Source.listed`."""
        names = self._tree.names(self._here)
        return [(os.fsdecode(name), stat.S_ISDIR(self.mode(os.fsdecode(name)))) for name in names]

    def mode(self, name: str) -> int:
        """See `Source.mode`."""
        return self._tree.status(join_name(self._here, os.fsencode(name))).st_mode

    def copy(self, name: str, target: int) -> None:
        """See `Source.copy`."""
        path = join_name(self._here, os.fsencode(name))
        status = self._tree.status(path)
        if stat.S_ISSOCK(status.st_mode):
            return
        if status.st_nlink > 1:
            self._make_linked(target, name, status, lambda at, new: self.make(path, at, new))
        else:
            self.make(path, target, name)

    def make(self, path: bytes, at: int, new: str) -> None:
        """Copy the file at a path, which is not a directory."""
        self._path, status = path, self._tree.status(path)
        if stat.S_ISREG(status.st_mode):
            fd = self._tree.open(path)
            try:
                self._make_file(fd, status, at, new)
            finally:
                os.close(fd)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(self._tree.link(path), os.fsencode(new), dir_fd=at)
            self._dress(-1, "", status, at, new)
        else:
            self._make_node(-1, "", status, at, new)

    def _fill(self, source: int, target: int, status: os.stat_result) -> None:
        del status  # the entry's; its contents may be in a separate file
        self._data.copy(source, target, os.fstat(source))

    def _take_attributes(self, source: int | str, target: int | str) -> None:
        del source
        found = self._tree.attributes(self._path)
        wanted = {name: value for name, value in found.items() if name not in xattr.BOUND_TO_PLACE}
        xattr.put_all(target, wanted, forgiving=self._plan.confined)

    def finish_here(self, target: int) -> None:
        """Copy the metadata of the current directory to an open one."""
        self._path = self._here
        self.finish(-1, target, self._tree.status(self._here))

    def down(self, name: str) -> None:
        """See `Source.down`."""
        self._below = join_name(self._below, os.fsencode(name))

    def up(self) -> None:
        """See `Source.up`."""
        self._below = split_name(self._below)[0]


def _failure(number: int) -> OSError:
    return OSError(number, os.strerror(number))
