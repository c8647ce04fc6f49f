"""Determine how layers were written, from the layers themselves. All other code relies on this.

    composefs-data/, diff/xx/<62 digits>         a composefs layer; without its image, it cannot be read
    additionallayer                              a link into an additional layer store, see far.py
    user.containers.override_stat                owners and modes are in attributes; a mount program shows them
    trusted.overlay.*                            the marks of root's mounts
    user.overlay.*                               marks of mounts in a user namespace, which need `userxattr`
    redirect, metacopy                           a renamed directory, or a file without its contents: both are lower
    .wh.NAME, user.fuseoverlayfs.opaque          marks of a mount program

Current options and the current user do not matter. In the lowest directory of a chain, no mark hides anything.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors, presence
from cstore.archive.override import is_masked
from cstore.archive.whiteout import OPAQUE_VALUE, WHITEOUT_PREFIX, WhiteoutForm
from cstore.contexts import contextmanager
from cstore.drivers.overlay.options import NAME
from cstore.fs import within
from cstore.layout import COMPOSEFS_IMAGE, is_blob
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cstore.archive.directories import Directories
    from cstore.drivers.overlay.lower import Place

TRUSTED, USERS, PROGRAMS = "trusted.overlay.", "user.overlay.", "user.fuseoverlayfs."
OPAQUE, REDIRECT, METACOPY, WHITEOUT = "opaque", "redirect", "metacopy", "whiteout"
ELSEWHERE = frozenset({REDIRECT, METACOPY})
"""Marks of contents that are under another name, or in another layer."""
_MEANT = frozenset({OPAQUE, *ELSEWHERE, WHITEOUT})
_HOLDS_WHITEOUTS = b"x"
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
_HIDDEN = frozenset({errno.EACCES, errno.EPERM})
_HEX = frozenset("0123456789abcdef")


class Marks(Value):
    """The marks in one or several layers.

    Attributes:
        trusted: marks of root's mounts.
        users: marks of mounts in user namespaces.
        program: whether there are marks of a mount program.
        masked: whether owners and modes are in attributes.
        image: whether a layer is a composefs layer.
    """

    trusted: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    program: bool = False
    masked: bool = False
    image: bool = False

    def __or__(self, other: Marks) -> Marks:
        return Marks(
            self.trusted | other.trusted,
            self.users | other.users,
            self.program or other.program,
            self.masked or other.masked,
            self.image or other.image,
        )

    @property
    def all(self) -> frozenset[str]:
        """Root's marks and those of user namespaces."""
        return self.trusted | self.users

    @property
    def needs_program(self) -> bool:
        """Whether the kernel would show the layer incorrectly."""
        return self.program or self.masked

    def form(self, usual: WhiteoutForm) -> WhiteoutForm:
        """Return the form of whiteouts; `usual` if there are none."""
        if self.program:
            return WhiteoutForm.FILES
        if self.users:
            return WhiteoutForm.OVERLAY_USER
        return WhiteoutForm.OVERLAY if self.trusted else usual


# ── forms that are not read ──


def form_not_read(place: Place) -> str:
    """Return a layer's form in words if cstore cannot read it; "" if it can."""
    if place.is_additional:
        from cstore.drivers.overlay.far import far_problem

        problem = far_problem(place.far)
        return f"a layer of an additional layer store, and {problem}" if problem else ""
    if place.is_composefs:
        return ""
    if presence.is_there(os.path.join(place.path, "composefs-data")) or holds_contents(place):
        return f"a composefs layer without its image {COMPOSEFS_IMAGE}"
    return ""


def holds_contents(place: Place) -> bool:
    """Return whether a layer's directory contains only content files named by digest: `xx/<62 digits>`."""
    try:
        folders = within.list_directory(place.home, f"{place.layer}/diff")
        if not folders or not all(_is_hex(name, 2) for name in folders):
            return False
        names = within.list_directory(place.home, f"{place.layer}/diff/{folders[0]}")
    except (OSError, errors.CstoreError):
        return False
    return bool(names) and all(_is_hex(name, 62) for name in names)


def _is_hex(name: str, length: int) -> bool:
    return len(name) == length and _HEX.issuperset(name)


def refuse_not_read(place: Place) -> None:
    """Check that cstore can read a layer's form.

    Raises:
        DriverError: it cannot.
        ForeignThing: the layer's `diff` is not a directory.
    """
    form = form_not_read(place)
    if form:
        reason = f"layer {place.layer} is {form}"
        if not place.is_additional:
            raise errors.DriverError(
                NAME, reason, hint="cstore repair --from ARCHIVE rebuilds it, or pull the image again"
            )
        raise errors.DriverError(NAME, reason, hint="mount that store, or pull the image again without it")
    if not place.is_additional:
        place.require_diff()


# ── marks ──


def marks_beneath(place: Place, ancestors: Sequence[Place]) -> Marks:
    """Read the marks that decide how a layer and its ancestors, nearest first, can be mounted.

    Raises:
        DriverError: one of them has a form that cannot be read.
        SystemFailure: a directory cannot be read.
    """
    places = (place, *ancestors)
    for each in places:
        refuse_not_read(each)
    found = [(each, path) for each in places for path in (each.tree, *each.rotated())]
    images = [path for _, path in found if is_blob(path)]
    found = [(each, path) for each, path in found if not is_blob(path)]
    marks = joined(marks_of(each, path) for each, path in (found if images else found[:-1]))
    if images:
        marks |= Marks(trusted=frozenset({METACOPY, REDIRECT}), image=True)  # an image finds its contents by these
    return marks | Marks(masked=any(is_masked(path) for _, path in found))


def joined(marks: Iterable[Marks]) -> Marks:
    """Return the union of several marks."""
    found = Marks()
    for each in marks:
        found |= each
    return found


def marks_of(place: Place, path: str = "") -> Marks:
    """Read the marks in a layer's own directory: its `diff`, or `path`. Unreadable directories count as having none.

    Raises:
        SystemFailure: reading fails for another reason.
    """
    return read_marks(path or place.diff, named=not by_kernel(place.home))


def read_marks(path: str, *, files: bool = True, named: bool) -> Marks:
    """Read the marks in a directory.

    Without `files`, only those of directories, which suffice to look up names. `named`: files with names such as
    `.wh.NAME` are a mount program's whiteouts; if only the kernel has written layers, they are ordinary files.

    Raises:
        SystemFailure: it cannot be read.
    """
    from cstore.archive.directories import Directories

    try:
        with Directories(path) as tree:
            return _Walk(tree, files=files, named=named).run()
    except errors.SystemFailure as error:
        if error.errno in _GONE:
            return Marks()  # mounting or reading it reports the error
        raise


def mask_of(path: str) -> int:
    """Return the mode that all files in a masked directory have on disk; -1 if it is not masked."""
    return stat.S_IMODE(os.stat(path).st_mode) if is_masked(path) else -1


class _Walk:
    """One walk over all directories of a tree and, if wanted, its files."""

    def __init__(self, tree: Directories, *, files: bool, named: bool) -> None:
        self._tree, self._files, self._named = tree, files, named
        self._names: set[str] = set()
        self._meant: dict[str, set[str]] = {TRUSTED: set(), USERS: set(), PROGRAMS: set()}
        self._program = False

    def run(self) -> Marks:
        from cstore.archive.directories import Kind, names_in
        from cstore.archive.names import join_name

        pending = [b""]
        while pending:
            folder = pending.pop()
            try:
                fd = self._tree.descriptor(folder)
                self._note(fd)
                for name, kind in names_in(fd):
                    if kind is Kind.DIRECTORY:
                        pending.append(join_name(folder, name))
                    elif self._files and kind is Kind.REGULAR:
                        self._note(b"/proc/self/fd/%d/%b" % (fd, name))
                    self._program |= self._named and name.startswith(WHITEOUT_PREFIX)
            except OSError as error:
                if error.errno not in _HIDDEN | _GONE:
                    raise errors.SystemFailure("read", self._tree.shown(folder), error) from error
        # With root's marks, a user's marks are contents: those of a store inside a container.
        users = self._meant[USERS] if TRUSTED not in self._names else set()
        program = self._program or OPAQUE in self._meant[PROGRAMS]
        return Marks(frozenset(self._meant[TRUSTED]), frozenset(users), program)

    def _note(self, file: int | bytes) -> None:
        try:
            names = os.listxattr(file) if isinstance(file, int) else os.listxattr(file, follow_symlinks=False)
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                return
            raise
        for name in names:
            for prefix, found in self._meant.items():
                if name.startswith(prefix):
                    self._names.add(prefix)
                    mark = name.removeprefix(prefix)
                    if mark in _MEANT and mark not in found:
                        found.update(_meaning(file, name, mark))


def _meaning(file: int | bytes, name: str, mark: str) -> set[str]:
    """Return what an attribute marks; on a directory, `opaque` can also mean that it contains whiteouts."""
    if mark != OPAQUE:
        return {mark}
    value = os.getxattr(file, name) if isinstance(file, int) else os.getxattr(file, name, follow_symlinks=False)
    return {OPAQUE} if value == OPAQUE_VALUE else {WHITEOUT} if value == _HOLDS_WHITEOUTS else set()


# ── the writer of a home's layers ──
#
# The file `.has-mount-program` tells all programs whether a mount program writes the layers (drivers 7.3).

_NAME = ".has-mount-program"


def by_program(home: str) -> bool:
    """Return whether a mount program has written layers here, which the kernel may misread.

    Raises:
        SystemFailure: the file cannot be read.
    """
    return _said(home) == "true"


def by_kernel(home: str) -> bool:
    """Return whether only the kernel has ever written layers here.

    Raises:
        SystemFailure: the file cannot be read.
    """
    return _said(home) == "false"


def leave_word(home: str, *, program: bool) -> None:
    """Record who writes the layers here from now on. A mount program stays recorded.

    Raises:
        SystemFailure: the file cannot be written.
    """
    word = "true" if program else "false"
    if _said(home) not in {word, "true"}:
        _write(home, word)


@contextmanager
def word_left(home: str, *, program: bool) -> Iterator[None]:
    """Record the writer before layers are written, and restore the old file on failure.

    Raises:
        SystemFailure: the file cannot be written.
    """
    before = _said(home)
    leave_word(home, program=program)
    try:
        yield
    except BaseException:
        if not before:
            within.unlink(os.path.join(home, _NAME))
        elif _said(home) != before:
            _write(home, before)
        raise


def _said(home: str) -> str:
    """Return the contents of the file; "" if there is none."""
    path = os.path.join(home, _NAME)
    try:
        return within.read_small(home, _NAME).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise errors.SystemFailure("read", path, error) from error


def _write(home: str, word: str) -> None:
    from cstore.fs.atomic import write_file

    os.makedirs(home, 0o700, exist_ok=True)
    write_file(os.path.join(home, _NAME), word.encode(), sync=False)
