"""Open or create the directories of a tree that is being filled, name by name from its root.

Each part of a path is treated by the same rule for every driver:

    a directory, of any layer                 is entered; if no entry lists it, its owner, mode and times are kept
    nothing                                   becomes a directory with mode 0755 and owner root
    a link that the archive itself created    is followed, as if the tree were the whole file system
    a link or a file of a layer below         is replaced by a directory

Links are resolved here and not by the kernel, so the resulting path is known. Every directory is opened by one plain
name in another open directory, without following links, so no path leads out of the tree, even without a chroot.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.archive.names import join_name, show_name
from cstore.archive.override import ATTRIBUTE, Override
from cstore.archive.unpacking.seen import PathList, SeenPaths
from cstore.archive.whiteout import WhiteoutForm, is_whiteout_device, make_opaque
from cstore.archive.xattrs import to_set
from cstore.contexts import suppress
from cstore.values import IntChoice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.unpacking.entries import Times
    from cstore.archive.unpacking.lowers import Below
    from cstore.archive.unpacking.orders import Terms

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ACCESS_ACL, _DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"
_MOST_OPEN = 256
_MOST_ALIASES = 4096
MOST_LINKS = 40  # in one path, as the kernel has it
_MISSING_MODE = 0o755
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors for a directory that was removed later, or replaced by a file or by a cyclic link."""


class Missing(IntChoice):
    """The treatment of directories in a path that are missing in the tree."""

    REFUSED = 0
    SHOWN = 1
    """They are created if they are visible below the tree."""
    MADE = 2


class Folder:
    """An open directory.

    Attributes:
        fd: its descriptor; -1 after it was closed to limit the number of descriptors.
        path: its plain path, without links.
        times: access and modification time when it was opened.
        faithful: whether new files in it get the requested owner and mode.
        default_acl: whether new files in it inherit an ACL.
    """

    __slots__ = ("default_acl", "faithful", "fd", "path", "times")

    def __init__(self, fd: int, path: bytes, own_group: int) -> None:
        self.fd = fd
        self.path = path
        status = os.fstat(fd)
        self.times = status.st_atime_ns, status.st_mtime_ns
        try:
            os.getxattr(fd, _DEFAULT_ACL)
            self.default_acl = True
        except OSError:
            self.default_acl = False
        # With set-group-ID, or a mount option with the same effect, new files inherit the directory's group.
        self.faithful = status.st_gid == own_group and not status.st_mode & stat.S_ISGID and not self.default_acl


class Paths:
    """The directories of one tree, by path.

    Attributes:
        root: the tree itself.
        open_folders: the open directories, by plain path. Hot paths read this first; `folder` opens others.
        seen: the plain paths of all unpacked files.
        implied: directories that were created for their contents; some may be listed later.
        found: directories that existed before, with their times.
    """

    def __init__(self, root_fd: int, terms: Terms, below: Below) -> None:
        self._terms = terms
        self._below = below
        self._own_group = os.getegid()
        self._aliases: dict[bytes, bytes] = {}
        self._made = SeenPaths()
        self._listed = SeenPaths()
        self._found = SeenPaths()
        self._renewed = SeenPaths()
        self.seen = SeenPaths()
        self.implied: PathList[None] = PathList()
        self.found: PathList[Times] = PathList()
        self.root = Folder(root_fd, b"", self._own_group)
        self.open_folders: dict[bytes, Folder] = {b"": self.root}
        self._note_found(self.root)

    def folder(
        self, path: bytes, missing: Missing = Missing.MADE, *, revive: bool = True, links: bool = False
    ) -> Folder:
        """Open a directory. It stays open at least until the next call of this method.

        Args:
            path: a plain path; links in it that this archive created are followed.
            missing: the treatment of directories that are missing, or whose name another file of a layer below has.
                Behind a link, it is `SHOWN` at most.
            revive: replace an overlay whiteout by a directory.
            links: also follow links of other layers.

        Raises:
            FileNotFoundError: it is missing and must not be created, or a link in its path is broken.
            NotADirectoryError: a part of its path is neither a directory nor a link to one.
            OSError: any other error; ELOOP for too many links.
            EntryFailed: the ID map has no owner for a missing directory.
        """
        found = self.open_folders.get(path) or self.open_folders.get(self._aliases.get(path, path))
        if found is not None:
            return found
        return self._walk(path, missing, revive=revive, links=links)

    def is_first_listing(self, path: bytes) -> bool:
        """Return whether an entry lists a directory for the first time that was created only for its contents."""
        if path not in self._made or path in self._listed:
            return False
        self._listed.add(path)
        return True

    def is_ours(self, path: bytes) -> bool:
        """Return whether a path was unpacked from this archive."""
        return not self._terms.tracks or path in self.seen

    def is_new(self, path: bytes) -> bool:
        """Return whether an unlisted directory is independent of the directories that existed before."""
        return path in self._made or path in self._renewed

    def is_foreign(self, path: bytes) -> bool:
        """Return whether an existing directory and its metadata come from another layer."""
        return not (self.is_ours(path) or self.is_new(path))

    def takes_after(self, path: bytes) -> bool:
        """Return whether a directory that was created for its contents takes the metadata of the one below."""
        return path not in self._listed and path not in self._renewed

    def renew(self, path: bytes) -> None:
        """Reset a directory that was removed except for unpacked files, as if it were created for them now."""
        folder = self.folder(path)
        self._renewed.add(path)
        if path in self._made:
            return
        strip_attributes(folder.fd)
        self._set_metadata(folder.fd, self._owner_of_missing(path), folder, always=True)
        self.refresh(path)

    def forget(self, path: bytes) -> None:
        """Close a directory that was moved away, and all directories below it."""
        below = path + b"/"
        for known in [known for known in self.open_folders if known == path or known.startswith(below)]:
            self._close(known)
        self._aliases.clear()

    def forget_links(self) -> None:
        """Forget resolved paths, because a link was removed."""
        self._aliases.clear()

    def refresh(self, path: bytes) -> None:
        """Reload a directory whose owner, mode or ACL has changed."""
        if path in self.open_folders:
            if path:
                self._close(path)
            else:
                self.root = self.open_folders[b""] = Folder(self.root.fd, b"", self._own_group)

    # ── walking ──

    def _walk(self, path: bytes, missing: Missing, *, revive: bool, links: bool) -> Folder:
        current, rest, end = self.root, path, len(path)
        while (end := path.rfind(b"/", 0, end)) > 0:  # from the nearest open ancestor
            if (known := self.open_folders.get(path[:end])) is not None:
                current, rest = known, path[end + 1 :]
                break
        pending = [(part, False) for part in reversed(rest.split(b"/"))]
        passed, foreign = 0, False
        while pending:
            part, from_link = pending.pop()
            if part == b"..":
                current = self.folder(current.path.rpartition(b"/")[0])
            elif part and part != b".":
                inside = join_name(current.path, part)
                wanted = min(missing, Missing.SHOWN) if from_link else missing
                step = self.open_folders.get(inside) or self._enter(
                    current, part, inside, wanted, revive=revive, links=links
                )
                if isinstance(step, Folder):
                    current = step
                    continue
                passed += 1
                foreign |= not self.is_ours(inside)
                if passed > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if step.startswith(b"/"):
                    current = self.root
                pending.extend((piece, True) for piece in reversed(step.split(b"/")))
        if current.path != path and not foreign:
            if len(self._aliases) >= _MOST_ALIASES:
                self._aliases.clear()
            self._aliases[path] = current.path
        return current

    def _enter(
        self, current: Folder, part: bytes, inside: bytes, missing: Missing, *, revive: bool, links: bool
    ) -> Folder | bytes:
        """Resolve one name: return its directory, made in place of another file if need be, or a link's target."""
        try:
            folder = self._add_open(os.open(part, _OPEN, dir_fd=current.fd), inside)
        except FileNotFoundError:
            if missing is Missing.REFUSED or (missing is Missing.SHOWN and not self._is_shown(inside)):
                raise
            return self._make(current, part, inside, opaque=False)
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
        else:
            self._note_found(folder)
            return folder
        target, ours = link_text(current.fd, part), self.is_ours(inside)
        if target is not None and (ours or links):
            return target
        whiteout = bool(self._terms.form.opaque_xattr) and is_whiteout_device(
            os.stat(part, dir_fd=current.fd, follow_symlinks=False)
        )
        if missing is not Missing.MADE or (not revive if whiteout else ours):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), inside)
        os.unlink(part, dir_fd=current.fd)
        self.forget_links()
        return self._make(current, part, inside, opaque=self._terms.hides)

    def _is_shown(self, path: bytes) -> bool:
        below = self._below.look(path)
        return below is not None and stat.S_ISDIR(below.st_mode)

    def _note_found(self, folder: Folder) -> None:
        """Record the times of a directory of another layer, before new files in it change them."""
        path = folder.path
        if self._terms.tracks and not (path in self._found or path in self._made or path in self.seen):
            self._found.add(path)
            self.found.add(path, folder.times)

    def _owner_of_missing(self, path: bytes) -> tuple[int, int]:
        owner = self._terms.missing_owner
        if owner is None and self._is_shown(path):
            return os.geteuid(), self._own_group  # until it gets the owner of the directory below
        if owner is None:
            reason = "it is missing in the archive, and the ID map has no owner for it: no range covers 0:0"
            raise errors.EntryFailed(show_name(path), reason)
        return owner

    def _make(self, current: Folder, part: bytes, inside: bytes, *, opaque: bool) -> Folder:
        """Create a directory that the archive needs but does not list."""
        owner = self._owner_of_missing(inside)
        os.mkdir(part, _MISSING_MODE, dir_fd=current.fd)
        fd = os.open(part, _OPEN, dir_fd=current.fd)
        self._set_metadata(fd, owner, current, always=False)
        if opaque:
            make_opaque(fd, self._terms.form)
            self._renewed.add(inside)
        elif self._terms.form is not WhiteoutForm.PLAIN:
            self.implied.add(inside, None)
        self._made.add(inside)
        return self._add_open(fd, inside)

    def _set_metadata(self, fd: int, owner: tuple[int, int], parent: Folder, *, always: bool) -> None:
        """Set owner and mode of an unlisted directory; a new one usually has the right ones already."""
        ours = os.geteuid(), self._own_group
        if self._terms.force_mask >= 0:
            self._set_owner_and_mode(fd, ours, parent, self._terms.force_mask)
            os.setxattr(fd, ATTRIBUTE, Override(*owner, _MISSING_MODE, stat.S_IFDIR).text())
        elif always or owner != ours or not parent.faithful:
            self._set_owner_and_mode(fd, owner, parent, _MISSING_MODE)

    def _set_owner_and_mode(self, fd: int, owner: tuple[int, int], parent: Folder, mode: int) -> None:
        if parent.default_acl:
            strip_acls(fd)
        try:
            os.fchown(fd, *owner)
        except OSError:
            if not self._terms.ignore_chown_errors:
                raise
        os.fchmod(fd, mode)

    def _add_open(self, fd: int, path: bytes) -> Folder:
        """Add an open directory, and close others if there are too many."""
        if len(self.open_folders) >= _MOST_OPEN:
            # The older half, except the root, which is the oldest.
            for known in list(self.open_folders)[1 : _MOST_OPEN // 2]:
                self._close(known)
        folder = self.open_folders[path] = Folder(fd, path, self._own_group)
        return folder

    def _close(self, path: bytes) -> None:
        folder = self.open_folders.pop(path)
        os.close(folder.fd)
        folder.fd = -1


def link_text(fd: int, name: bytes) -> bytes | None:
    """Return the target of a symbolic link; None if the name is not a link."""
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def strip_attributes(fd: int) -> None:
    """Remove the attributes that an archive can set from a directory of another layer."""
    for name, _ in to_set([(os.fsencode(name), b"") for name in os.listxattr(fd)]):
        with suppress(OSError):  # attributes that the system protects
            os.removexattr(fd, name)


def strip_acls(fd: int) -> None:
    """Remove the ACLs that a new file or directory inherited."""
    for name in (ACCESS_ACL, _DEFAULT_ACL):
        try:
            os.removexattr(fd, name)
        except OSError as error:
            if error.errno not in {errno.ENODATA, errno.ENOTSUP, errno.EACCES}:
                raise
