"""Comparison of two items: the files that were added, removed or changed, and their changed properties."""

from __future__ import annotations

import os
import stat
from heapq import merge
from itertools import groupby

from cstore.archive.names import join_name, split_name
from cstore.errors import CstoreError
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.contents.files import Contents, File

ADDED, REMOVED, CHANGED = "added", "removed", "changed"
_PIECE = 1 << 20
LARGEST_TEXT = 1 << 20
"""Maximum size in bytes of a file whose differences are shown line by line."""


class Difference(Value):
    """A path at which two items differ.

    Attributes:
        path: relative to the compared path; b"" for that path itself.
        change: ADDED, REMOVED or CHANGED.
        old, new: the file; None if it does not exist.
        what: for a changed file, some of: type, mode, owner, size, time, link, device, xattrs, content.
    """

    path: bytes
    change: str
    old: File | None = None
    new: File | None = None
    what: tuple[str, ...] = ()


class Comparison:
    """A comparison of two items, or of two paths in them: `old_top` and `new_top` are plain paths.

    Attributes:
        times: whether a different modification time counts as a change.
        problems: data that could not be read, as sentences.
    """

    def __init__(
        self, old: Contents, new: Contents, old_top: bytes = b"", new_top: bytes = b"", *, times: bool = False
    ) -> None:
        self._old, self._new, self._tops, self._times = old, new, (old_top, new_top), times
        self.problems: list[str] = []

    def run(self) -> Iterator[Difference]:
        """Yield all differences, depth-first, sorted in each directory. Directories that both share are not read."""
        # Without recursion: directories may be deep.
        stack = [iter([(b"", self._old.find(self._tops[0]), self._new.find(self._tops[1]))])]
        while stack:
            each = next(stack[-1], None)
            if each is None:
                stack.pop()
                continue
            path, old, new = each
            found = self.judge(path, old, new)
            if found is not None:
                yield found
            folders = [file is not None and file.format == stat.S_IFDIR for file in (old, new)]
            if any(folders) and not (all(folders) and self._shared(path)):
                stack.append(self._children(path, *folders))
        for contents in (self._old, self._new):
            self.problems += [problem for problem in contents.problems if problem not in self.problems]

    def _paths(self, path: bytes) -> tuple[bytes, bytes]:
        old, new = self._tops
        return (_below(old, path), _below(new, path))

    def _children(self, path: bytes, in_old: bool, in_new: bool) -> Iterator[tuple[bytes, File | None, File | None]]:
        old_path, new_path = self._paths(path)
        sides = (
            ((split_name(file.path)[1], 0, file) for file in (self._old.list(old_path) if in_old else ())),
            ((split_name(file.path)[1], 1, file) for file in (self._new.list(new_path) if in_new else ())),
        )
        for name, group in groupby(merge(*sides, key=lambda one: one[:2]), key=lambda one: one[0]):
            found: list[File | None] = [None, None]
            for _, side, file in group:
                found[side] = file
            yield join_name(path, name), found[0], found[1]

    def _shared(self, path: bytes) -> bool:
        """Return whether both items show the same directories of the same layers at a path, and so the same files."""
        old_path, new_path = self._paths(path)
        try:
            old = [(tree.root, place) for tree, place in self._old.view.union.shown_in(old_path)]
            return old == [(tree.root, place) for tree, place in self._new.view.union.shown_in(new_path)]
        except CstoreError:
            return False  # reading it will report the error

    def judge(self, path: bytes, old: File | None, new: File | None) -> Difference | None:
        """Return the difference at a path; None if there is none or it is unknown. One of the files may be missing."""
        if old is None or new is None:
            change = ADDED if old is None else REMOVED
            return None if old is new else Difference(path, change, old, new)
        roots = self._old.chain.roots[old.number].path, self._new.chain.roots[new.number].path
        if roots[0] == roots[1] and old.found[1:3] == new.found[1:3]:
            return None  # the same file of the same layer
        try:
            what = tuple(self._changes(old, new))
        except CstoreError as error:
            self.problems.append(error.message)
            return None
        return Difference(path, CHANGED, old, new, what) if what else None

    def _changes(self, old: File, new: File) -> Iterator[str]:
        """Yield the properties in which two files differ."""
        if old.format != new.format:
            yield "type"
            return
        if old.mode != new.mode and old.format != stat.S_IFLNK:
            yield "mode"
        if (old.uid, old.gid) != (new.uid, new.gid):
            yield "owner"
        regular = old.format == stat.S_IFREG
        if regular and old.size != new.size:
            yield "size"
        if self._times and old.mtime != new.mtime:
            yield "time"
        if self._old.target(old) != self._new.target(new):
            yield "link"
        if old.device != new.device:
            yield "device"
        if self._old.attributes(old) != self._new.attributes(new):
            yield "xattrs"
        if regular and (old.size != new.size or not self._same_contents(old, new)):
            yield "content"

    def _same_contents(self, old: File, new: File) -> bool:
        with self._old.opened(old) as one, self._new.opened(new) as other:
            if os.path.sameopenfile(one, other):
                return True
            while True:
                left, right = _read(one), _read(other)
                if left != right:
                    return False
                if not left:
                    return True

    def texts(self, difference: Difference) -> tuple[list[str], list[str]] | None:
        """Return the lines of both files of a difference; None if one is not text, or too large.

        Raises:
            CstoreError: one cannot be read.
        """
        old = self._text(self._old, difference.old)
        new = self._text(self._new, difference.new)
        return None if old is None or new is None else (old, new)

    @staticmethod
    def _text(contents: Contents, file: File | None) -> list[str] | None:
        if file is None:
            return []
        if file.format != stat.S_IFREG or file.size > LARGEST_TEXT:
            return None
        data = b""
        with contents.opened(file) as descriptor:
            while len(data) <= LARGEST_TEXT and (piece := os.read(descriptor, _PIECE)):
                data += piece
        try:
            return None if b"\0" in data else data.decode().splitlines(keepends=True)
        except UnicodeDecodeError:
            return None


def _read(descriptor: int) -> bytes:
    """Read a full piece, or the rest of the file, so that two files are cut at the same positions."""
    data = os.read(descriptor, _PIECE)
    while data and len(data) < _PIECE and (more := os.read(descriptor, _PIECE - len(data))):
        data += more
    return data


def _below(top: bytes, path: bytes) -> bytes:
    return join_name(top, path) if path else top
