"""List a layer's changes from its own directory without a mount (archive 7.2, 8.3).

The directory holds added and modified files, and marks for removed ones. The lower layers decide between added and
modified, and whether a mark has an effect. Order and rules are those of the Go tool, except that names are looked up
as in the kernel: a file, a whiteout or an opaque directory hides everything deeper.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.archive.changes import Change, ChangeKind
from cstore.archive.composefs import open_tree, opened
from cstore.archive.names import join_name, split_name
from cstore.archive.override import is_masked
from cstore.archive.union import Lower, Union
from cstore.archive.whiteout import OPAQUE_VALUE, WhiteoutForm, is_whiteout_device
from cstore.contexts import contextmanager
from cstore.drivers.overlay.marks import ELSEWHERE, REDIRECT, WHITEOUT, Marks, by_kernel, read_marks
from cstore.layout import is_blob
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.composefs import Tree
    from cstore.archive.streams import Sink
    from cstore.drivers.overlay.lower import Place
    from cstore.idmap import IDMap

_SECOND = 1_000_000_000


Below = tuple[str, str]
"""A lower directory, and the attribute that marks its subdirectories as opaque."""


@contextmanager
def open_lowers(lowers: Sequence[Below]) -> Iterator[Union]:
    """Open the lower directories."""
    with opened([path for path, _ in lowers], os.O_PATH) as trees:
        yield Union([Lower(tree, (mark,)) for tree, (_, mark) in zip(trees, lowers, strict=True)])


def own_changes(place: Place, ancestors: Sequence[Place], usual: WhiteoutForm) -> OwnChanges | None:
    """Read a layer's changes from its own directory; None if they can only be seen in a mount.

    The directory lacks renamed directories and files without contents, and only a mount program can read its own marks.
    `usual` is the form of layers without any marks.

    Raises:
        SystemFailure: a directory cannot be read.
    """
    lowers = [path for each in (place, *ancestors) for path in (each.tree, *each.rotated())][1:]
    named = not all(by_kernel(home) for home in {each.home for each in (place, *ancestors)})
    return changes_in(place.tree, lowers, usual if usual.opaque_xattr else WhiteoutForm.OVERLAY, named=named)


def changes_in(
    diff: str, below: Sequence[str], usual: WhiteoutForm = WhiteoutForm.OVERLAY, *, named: bool = False
) -> OwnChanges | None:
    """Do the same for directories: `diff`, and lower ones, nearest first. `named`: as in `read_marks`."""
    own = Marks() if is_blob(diff) else read_marks(diff, named=named)  # the reader of images resolves their marks
    masked = any(is_masked(path) for path in (diff, *below) if not is_blob(path))
    if masked or own.needs_program or own.all & {*ELSEWHERE, WHITEOUT}:
        return None
    form = own.form(usual)
    lowers: list[Below] = []
    for path in below:
        marks = Marks() if is_blob(path) else read_marks(path, files=False, named=named)
        if marks.program or marks.all & {REDIRECT, WHITEOUT}:
            return None
        lowers.append((path, marks.form(form).opaque_xattr))
    return OwnChanges(diff, tuple(lowers), form)


class OwnChanges(Value):
    """The changes in a directory or image `diff`, with marks of the form `form`, above `lowers`, nearest first."""

    diff: str
    lowers: tuple[Below, ...]
    form: WhiteoutForm

    def list(self) -> list[Change]:
        """Return the changes, in the order of a walk through the directory.

        Raises:
            SystemFailure: something cannot be read.
        """
        with open_lowers(self.lowers) as below, open_tree(self.diff) as tree:
            return _Scan(tree, below, self.form.opaque_xattr).run()

    def write(self, sink: Sink, id_map: IDMap, *, gone_at: float | None = None) -> None:
        """Write the changes as an uncompressed tar.

        Raises:
            SystemFailure: something cannot be read, or changed while it was read.
        """
        from cstore.archive.pack import pack_tree

        with open_lowers(self.lowers) as below:
            hides = lambda path: below.find(path) is not None  # noqa: E731
            pack_tree(self.diff, sink, id_map, form=self.form, hides=hides, gone_at=gone_at)


class _Scan:
    """One walk through a layer's own directory."""

    def __init__(self, tree: Tree, below: Union, opaque_xattr: str) -> None:
        self._tree = tree
        self._below = below
        self._opaque_xattr = opaque_xattr
        self._changes: list[Change] = []
        self._listed: set[bytes] = {b""}

    def run(self) -> list[Change]:
        """Visit everything, and return the changes."""
        stack = [self._names(b"")]
        while stack:
            for path in stack[-1]:
                if self._visit(path):
                    stack.append(self._names(path))
                    break
            else:
                stack.pop()
        return self._changes

    def _names(self, folder: bytes) -> Iterator[bytes]:
        try:
            return iter([join_name(folder, name) for name, _ in self._tree.names(folder)])
        except OSError as error:
            raise errors.SystemFailure("read", self._tree.shown(folder), error) from error

    def _visit(self, path: bytes) -> bool:
        """List one path if it is a change; return whether it is a directory.

        The parent directories of an added or deleted path, if they are not listed yet, come first, outermost first.
        """
        folder, name = split_name(path)
        try:
            status = self._tree.status(folder, name)
        except OSError as error:
            raise errors.SystemFailure("read", self._tree.shown(path), error) from error
        is_directory = stat.S_ISDIR(status.st_mode)
        kind = self._judge(path, status)
        if kind is not None:
            if is_directory:
                self._listed.add(path)
            if kind is not ChangeKind.MODIFY:
                above = []
                while folder:
                    if folder not in self._listed:
                        above.append(folder)
                    folder = split_name(folder)[0]
                self._listed.update(above)
                self._changes += [Change(b"/" + each, ChangeKind.MODIFY) for each in reversed(above)]
            self._changes.append(Change(b"/" + path, kind))
        return is_directory

    def _judge(self, path: bytes, status: os.stat_result) -> ChangeKind | None:
        if is_whiteout_device(status):
            return ChangeKind.DELETE
        below = self._below.find(path)
        if below is None:
            return ChangeKind.ADD
        if stat.S_ISDIR(status.st_mode):
            try:
                if self._tree.attribute(path, self._opaque_xattr) == OPAQUE_VALUE:
                    return ChangeKind.DELETE
            except OSError as error:
                if error.errno not in {errno.ENODATA, errno.ENOTSUP}:
                    raise errors.SystemFailure("read", self._tree.shown(path), error) from error
            if stat.S_ISDIR(below.st_mode) and _same_directory(status, below):
                return None
        return ChangeKind.MODIFY


def _same_directory(one: os.stat_result, other: os.stat_result) -> bool:
    """Compare two directories; times as for trees, to the nanosecond, unless one side has only whole seconds."""
    if (one.st_size, one.st_mode) != (other.st_size, other.st_mode):
        return False
    before, after = one.st_mtime_ns, other.st_mtime_ns
    return before == after or (before // _SECOND == after // _SECOND and not (before % _SECOND and after % _SECOND))
