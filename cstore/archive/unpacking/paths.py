"""The directories of a tree that is being filled: opened by name from the root, never left, made where missing.

Symbolic links in a path are resolved here and not by the kernel: as if the tree were the whole file system, and with
the path that comes out known. Every directory is opened by one plain name in another open directory, links excluded, so
even without a changed root no path can lead out.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from cstore.archive.names import join_name, show_name
from cstore.archive.override import ATTRIBUTE, Override
from cstore.archive.unpacking.seen import SeenPaths
from cstore.archive.whiteout import OPAQUE_VALUE, is_whiteout_device
from cstore.errors import EntryFailed

if TYPE_CHECKING:
    from cstore.archive.unpacking.orders import Terms

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ACCESS_ACL, _DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"
_MOST_OPEN = 256
_MOST_ALIASES = 4096
MOST_LINKS = 40  # in one path, as the kernel has it
_MISSING_MODE = 0o755


class Folder:
    """An open directory.

    Attributes:
        fd: its descriptor; -1 after it was closed to make room for others.
        path: its plain path, free of links.
        faithful: whether what is made in here gets the owner and mode that are asked for.
        default_acl: whether it gets an ACL that nobody asked for.
    """

    __slots__ = ("default_acl", "faithful", "fd", "path")

    def __init__(self, fd: int, path: bytes, own_group: int) -> None:
        self.fd = fd
        self.path = path
        status = os.fstat(fd)
        self.default_acl = _has_default_acl(fd)
        # Set-group-ID, or a mount option that acts as if it were set, hands the directory's group down.
        self.faithful = status.st_gid == own_group and not status.st_mode & stat.S_ISGID and not self.default_acl


def _has_default_acl(fd: int) -> bool:
    try:
        os.getxattr(fd, _DEFAULT_ACL)
    except OSError:
        return False
    return True


class Paths:
    """The directories of one tree, by path.

    Attributes:
        root: the tree itself.
        open_folders: those open now, by plain path. To be read in a hurry; `folder` is the way to ask.
    """

    def __init__(self, root_fd: int, terms: Terms) -> None:
        self._terms = terms
        self._own_group = os.getegid()
        self._aliases: dict[bytes, bytes] = {}
        self._implied = SeenPaths()
        self._listed = SeenPaths()
        self.root = Folder(root_fd, b"", self._own_group)
        self.open_folders: dict[bytes, Folder] = {b"": self.root}

    def folder(self, path: bytes, *, create: bool = True, revive: bool = True) -> Folder:
        """Open a directory. It stays open at least until the next call of this.

        Args:
            path: a plain path; links in it are followed.
            create: make what is missing of it.
            revive: make a directory where an overlay whiteout stands.

        Raises:
            FileNotFoundError: it is missing and not to be made, or a link in it leads nowhere.
            NotADirectoryError: something in it is neither a directory nor a link to one.
            OSError: anything else; ELOOP for too many links.
            EntryFailed: the ID map has no owner for what is missing.
        """
        found = self.open_folders.get(path) or self.open_folders.get(self._aliases.get(path, path))
        if found is not None:
            return found
        return self._walk(path, create=create, revive=revive)

    def is_first_listing(self, path: bytes) -> bool:
        """Whether a directory was made only for what was to be in it, and is listed now. True only once for each."""
        if path not in self._implied or path in self._listed:
            return False
        self._listed.add(path)
        return True

    def forget(self, path: bytes) -> None:
        """Close a directory that was moved away, and everything below it."""
        below = path + b"/"
        for known in [known for known in self.open_folders if known == path or known.startswith(below)]:
            self._close(known)
        self._aliases.clear()

    def forget_links(self) -> None:
        """A link has gone: where paths lead is not known any more."""
        self._aliases.clear()

    def refresh(self, path: bytes) -> None:
        """Look anew at a directory whose owner, mode or ACL has changed."""
        if path in self.open_folders:
            if path:
                self._close(path)
            else:
                self.root = self.open_folders[b""] = Folder(self.root.fd, b"", self._own_group)

    # ── walking ──

    def _walk(self, path: bytes, *, create: bool, revive: bool) -> Folder:
        current, rest = self._nearest(path)
        pending = [(part, False) for part in reversed(rest.split(b"/"))]
        links = 0
        while pending:
            part, from_link = pending.pop()
            if part == b"..":
                current = self.folder(current.path.rpartition(b"/")[0])
            elif part and part != b".":
                inside = join_name(current.path, part)
                step = self.open_folders.get(inside) or self._enter(
                    current, part, inside, create=create and not from_link, revive=revive
                )
                if isinstance(step, Folder):
                    current = step
                    continue
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if step.startswith(b"/"):
                    current = self.root
                pending.extend((piece, True) for piece in reversed(step.split(b"/")))
        if current.path != path:
            self._remember_alias(path, current.path)
        return current

    def _nearest(self, path: bytes) -> tuple[Folder, bytes]:
        """The longest beginning of a path that is open, and what remains of it."""
        end = len(path)
        while (end := path.rfind(b"/", 0, end)) > 0:
            found = self.open_folders.get(path[:end])
            if found is not None:
                return found, path[end + 1 :]
        return self.root, path

    def _enter(self, current: Folder, part: bytes, inside: bytes, *, create: bool, revive: bool) -> Folder | bytes:
        """Go one name further: into a directory, or to the text of a link."""
        try:
            return self._admit(os.open(part, _OPEN, dir_fd=current.fd), inside)
        except FileNotFoundError:
            if not create:
                raise
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            target = link_text(current.fd, part)
            if target is not None:
                return target
            whiteout = self._terms.form.opaque_xattr and _is_whiteout(current.fd, part)
            if not (whiteout and create and revive):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), inside) from None
            os.unlink(part, dir_fd=current.fd)
            return self._make(current, part, inside, opaque=True)
        return self._make(current, part, inside, opaque=False)

    def _make(self, current: Folder, part: bytes, inside: bytes, *, opaque: bool) -> Folder:
        """Make a directory that the archive needs and does not list."""
        owner = self._terms.missing_owner
        if owner is None:
            reason = "it is missing in the archive, and the ID map has no owner for it: no range covers 0:0"
            raise EntryFailed(show_name(inside), reason)
        os.mkdir(part, _MISSING_MODE, dir_fd=current.fd)
        fd = os.open(part, _OPEN, dir_fd=current.fd)
        if self._terms.force_mask >= 0:
            self._settle(fd, (os.geteuid(), self._own_group), current, self._terms.force_mask)
            os.setxattr(fd, ATTRIBUTE, Override(*owner, _MISSING_MODE, stat.S_IFDIR).text())
        elif owner != (os.geteuid(), self._own_group) or not current.faithful:
            self._settle(fd, owner, current, _MISSING_MODE)
        if opaque:
            os.setxattr(fd, self._terms.form.opaque_xattr, OPAQUE_VALUE)
        self._implied.add(inside)
        return self._admit(fd, inside)

    def _settle(self, fd: int, owner: tuple[int, int], parent: Folder, mode: int) -> None:
        if parent.default_acl:
            strip_acls(fd)
        try:
            os.fchown(fd, *owner)
        except OSError:
            if not self._terms.ignore_chown_errors:
                raise
        os.fchmod(fd, mode)

    def _admit(self, fd: int, path: bytes) -> Folder:
        """Keep a directory open, and close others if there are many."""
        if len(self.open_folders) >= _MOST_OPEN:
            # The older half; the root is the oldest of all and stays.
            for known in list(self.open_folders)[1 : _MOST_OPEN // 2]:
                self._close(known)
        folder = self.open_folders[path] = Folder(fd, path, self._own_group)
        return folder

    def _close(self, path: bytes) -> None:
        folder = self.open_folders.pop(path)
        os.close(folder.fd)
        folder.fd = -1

    def _remember_alias(self, path: bytes, plain: bytes) -> None:
        if len(self._aliases) >= _MOST_ALIASES:
            self._aliases.clear()
        self._aliases[path] = plain


def link_text(fd: int, name: bytes) -> bytes | None:
    """What a symbolic link says, None if the name is no link."""
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _is_whiteout(fd: int, name: bytes) -> bool:
    return is_whiteout_device(os.stat(name, dir_fd=fd, follow_symlinks=False))


def strip_acls(fd: int) -> None:
    """Take away ACLs that a new file or directory inherited."""
    for name in (ACCESS_ACL, _DEFAULT_ACL):
        try:
            os.removexattr(fd, name)
        except OSError as error:
            if error.errno not in {errno.ENODATA, errno.ENOTSUP, errno.EACCES}:
                raise
