"""Look up files of the layers below a tree that is one layer of a union, unless the tree hides them."""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.archive.names import join_name, show_name, split_name
from cstore.archive.union import OPAQUE, PROGRAMS_MARKERS, Lower, OutOfSight, Union, is_opaque
from cstore.archive.unpacking.paths import MOST_LINKS, Missing, link_text
from cstore.archive.whiteout import WhiteoutForm, whiteout_name
from cstore.archive.xattrs import has_contents
from cstore.contexts import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.composefs import Tree
    from cstore.archive.unpacking.orders import Terms
    from cstore.archive.unpacking.paths import Paths

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ABSENT = frozenset({errno.ENOENT, errno.ENAMETOOLONG})
_HIDDEN = frozenset({errno.ENOTDIR, errno.ELOOP})


class Below:
    """The layers below the tree `root_fd`, nearest first. There may be none."""

    def __init__(self, root_fd: int, terms: Terms) -> None:
        self._root = root_fd
        self._files = terms.form is WhiteoutForm.FILES
        self._any = bool(terms.lowers or terms.unseen)
        self._union = Union([Lower(tree) for tree in terms.lowers], files=self._files, unseen=terms.unseen)

    def look(self, path: bytes) -> os.stat_result | None:
        """Return the status that `path` would have if the tree had no such file; None if there is none below.

        Raises:
            EntryFailed: the answer depends on a layer that is not read.
            SystemFailure: a directory below cannot be read.
        """
        folder, name = split_name(path)
        if not self._any or not self._is_open(folder, name):
            return None
        try:
            return self._union.find(path)
        except OutOfSight as error:
            raise errors.EntryFailed(show_name(path), f"what lies below it is in {error}") from None

    def holder(self, path: bytes) -> tuple[Tree, bytes]:
        """Return the tree with the file that `look` finds, and the directory in that tree."""
        return self._union.holder(path)

    def namesakes(self, path: bytes) -> list[bytes]:
        """Return the other names of the file at `path` that the tree does not hide."""
        return [other for other in self._union.namesakes(path) if self.look(other) is not None]

    def directory(self, path: bytes) -> tuple[Tree, bytes]:
        """Return the nearest directory at `path`, which may be the root: its tree, and its path there."""
        return self._union.directory(path)

    def names(self) -> list[bytes]:
        """Return the names that are visible in the root."""
        try:
            return self._union.names(b"") if self._any else []
        except OutOfSight as error:
            raise errors.EntryFailed("/", f"what lies below it is in {error}") from None

    def _is_open(self, folder: bytes, name: bytes) -> bool:
        """Return whether no file, whiteout or opaque directory of the tree hides a name of the layers below.

        A whiteout file of the name itself counts, but a whiteout device does not, because it has the name itself.
        """
        fd = os.dup(self._root)
        try:
            if self._files and self._is_opaque(fd):  # the kernel ignores marks of the root
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
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        return False
    return True


# ── links to files of other layers ──
#
# Hard links to files of other layers, in a tree that is one layer of a union.
#
# A union file system copies a file up before it creates another name of it. cstore does the same: it copies the file
# with its metadata, and the directories that contain it. (archive 5.1)

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RESERVED = tuple(os.fsencode(mark.removesuffix("opaque")) for mark in OPAQUE)
_MOST_AT_ONCE = 1 << 24


class CopyUp:
    """Copies files of the layers below up into the tree."""

    def __init__(self, paths: Paths, below: Below) -> None:
        self._paths, self._below = paths, below

    def copy_up(self, folder: bytes, base: bytes) -> bytes | None:
        """Copy a file up into the tree, with its name.

        Args:
            folder: a plain path; links in it are followed as in a mount of all layers.
            base: the file's name in that folder, which must not exist in the tree.

        Returns:
            The folder's path without links, or None if there is no such file.

        Raises:
            EntryFailed: its contents are in another file (metacopy).
            OSError: it cannot be copied.
        """
        folder = self._without_links(folder)
        path = join_name(folder, base)
        found = self._below.look(path)
        if found is None or stat.S_ISDIR(found.st_mode):
            return None
        target = self._paths.folder(folder).fd
        tree, above = self._below.holder(path)
        status = tree.status(above, base)
        if stat.S_ISREG(status.st_mode):
            _copy_regular(tree, above, target, base, status)
        else:
            if stat.S_ISLNK(status.st_mode):
                os.symlink(tree.link(above, base), base, dir_fd=target)
            else:
                os.mknod(base, status.st_mode, status.st_rdev, dir_fd=target)
            os.chown(base, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
            if not stat.S_ISLNK(status.st_mode):
                os.chmod(base, stat.S_IMODE(status.st_mode), dir_fd=target)
            os.utime(base, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)
        if found.st_nlink > 1:
            self._link_namesakes(path, target, base)
        return folder

    def _link_namesakes(self, path: bytes, folder: int, base: bytes) -> None:
        """Copy the other names of a file up as well, so that hard links stay hard links."""
        others = self._below.namesakes(path)
        source = os.dup(folder)
        try:
            for other in others:
                other_folder, other_base = split_name(other)
                target = self._paths.folder(other_folder, Missing.SHOWN).fd
                with suppress(FileExistsError):  # the archive has another file with this name
                    os.link(base, other_base, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
        finally:
            os.close(source)

    def _without_links(self, folder: bytes) -> bytes:
        """Resolve the links in a path through the tree and all layers below; ignore them after too many."""
        done: list[bytes] = []
        pending = folder.split(b"/")[::-1]
        links = 0
        while pending:
            part = pending.pop()
            if part == b"..":
                del done[-1:]
            elif part not in {b"", b"."}:
                text = self._link_text(b"/".join(done), part) if links < MOST_LINKS else None
                if text is None:
                    done.append(part)
                    continue
                links += 1
                if text.startswith(b"/"):
                    done.clear()
                pending.extend(text.split(b"/")[::-1])
        return b"/".join(done)

    def _link_text(self, folder: bytes, part: bytes) -> bytes | None:
        """Return the target of a link in the nearest layer that has its name; None if it is not a link."""
        try:
            return link_text(self._paths.folder(folder, Missing.REFUSED).fd, part)
        except (FileNotFoundError, NotADirectoryError):
            path = join_name(folder, part)
            found = self._below.look(path)
            if found is None or not stat.S_ISLNK(found.st_mode):
                return None
            tree, above = self._below.holder(path)
            return tree.link(above, part)


def _copy_regular(tree: Tree, folder: bytes, target: int, base: bytes, status: os.stat_result) -> None:
    """Copy a file with its contents and attributes from a tree's directory to another directory."""
    path = join_name(folder, base)
    read = tree.open_file(folder, base)
    try:
        if not has_contents(read):
            reason = "its contents are in a lower layer, under another name (metacopy)"
            raise errors.EntryFailed(show_name(path), reason, hint="import the layer on top of one that cstore created")
        write = os.open(base, _CREATE, 0o600, dir_fd=target)
        try:
            while os.sendfile(write, read, None, _MOST_AT_ONCE):
                pass
            os.fchown(write, status.st_uid, status.st_gid)
            os.fchmod(write, stat.S_IMODE(status.st_mode))
            for name, value in tree.attributes(path).items():
                if not name.startswith(_RESERVED):
                    os.setxattr(write, name, value)
            os.utime(write, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(write)
    finally:
        os.close(read)
