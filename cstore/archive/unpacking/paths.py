"""The directories of a tree that is being filled: opened by name from the root, and created if missing.

What stands in the way of a name, by one rule for every driver:

    a directory, of whatever layer        is entered; if no entry lists it, it stays as it is, in owner, mode, time
    nothing                               becomes a directory, 0755 and root's
    a link that the archive itself made   is followed, as if the tree were the whole file system
    a link or a file of a layer below   gives way to a directory

Links are resolved here and not by the kernel, so the path that comes out is known. Every directory is opened by one
plain name in another open directory, links excluded, so even without a changed root no path can lead out.
"""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.archive.names import join_name, show_name
from cstore.archive.override import ATTRIBUTE, Override
from cstore.archive.unpacking.attributes import to_set
from cstore.archive.unpacking.seen import PathList, SeenPaths
from cstore.archive.whiteout import WhiteoutForm, is_whiteout_device, make_opaque
from cstore.contexts import suppress
from cstore.values import IntChoice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.unpacking.lowers import Below
    from cstore.archive.unpacking.orders import Terms
    from cstore.archive.unpacking.times import Times

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
ACCESS_ACL, _DEFAULT_ACL = "system.posix_acl_access", "system.posix_acl_default"
_MOST_OPEN = 256
_MOST_ALIASES = 4096
MOST_LINKS = 40  # in one path, as the kernel has it
_MISSING_MODE = 0o755
GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""The reasons why a directory is gone: removed, replaced by a file, or by a link that forms a loop."""


class Missing(IntChoice):
    """The treatment of missing directories in a path."""

    REFUSED = 0
    SHOWN = 1
    """They are made if they can be seen below the tree."""
    MADE = 2


class Folder:
    """An open directory.

    Attributes:
        fd: its descriptor; -1 after it was closed to free descriptors.
        path: its plain path, free of links.
        times: access and modification time when it was opened.
        faithful: whether files created in it get the requested owner and mode.
        default_acl: whether it gets an ACL that nobody asked for.
    """

    __slots__ = ("default_acl", "faithful", "fd", "path", "times")

    def __init__(self, fd: int, path: bytes, own_group: int) -> None:
        self.fd = fd
        self.path = path
        status = os.fstat(fd)
        self.times = status.st_atime_ns, status.st_mtime_ns
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
        seen: the plain paths of all that was unpacked.
        implied: directories that were made for what is in them, or became as if they were; some may be listed later.
        found: directories that were there, as they were.
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
        """Open a directory. It stays open at least until the next call of this.

        Args:
            path: a plain path; links in it that this archive made are followed.
            missing: the treatment of directories that are missing, or replaced by something else of a lower layer.
                Where a link leads, no more is made than what is `SHOWN`.
            revive: make a directory where an overlay whiteout stands.
            links: follow those of other layers, too.

        Raises:
            FileNotFoundError: it is missing and not to be made, or a link in it leads nowhere.
            NotADirectoryError: something in it is neither a directory nor a link to one.
            OSError: anything else; ELOOP for too many links.
            EntryFailed: the ID map has no owner for what is missing.
        """
        found = self.open_folders.get(path) or self.open_folders.get(self._aliases.get(path, path))
        if found is not None:
            return found
        return self._walk(path, missing, revive=revive, links=links)

    def is_first_listing(self, path: bytes) -> bool:
        """Whether a directory was made only for what was to be in it, and is listed now. True only once for each."""
        if path not in self._made or path in self._listed:
            return False
        self._listed.add(path)
        return True

    def is_ours(self, path: bytes) -> bool:
        """Whether a path was unpacked from this archive."""
        return not self._terms.tracks or path in self.seen

    def is_new(self, path: bytes) -> bool:
        """Whether a directory that no entry lists owes nothing to what was there before."""
        return path in self._made or path in self._renewed

    def is_foreign(self, path: bytes) -> bool:
        """Whether a directory that is there, and what belongs to it, came from another layer."""
        return not (self.is_ours(path) or self.is_new(path))

    def takes_after(self, path: bytes) -> bool:
        """Whether a directory created for its contents copies the attributes of the lower one, if there is one."""
        return path not in self._listed and path not in self._renewed

    def renew(self, path: bytes) -> None:
        """The directory below has gone, or what it was: it is as if it were made now, for what is in it."""
        folder = self.folder(path)
        self._renewed.add(path)
        if path in self._made:
            return
        strip_attributes(folder.fd)
        self._dress(folder.fd, self._owner_of_missing(path), folder, always=True)
        self.refresh(path)

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
        """Examine a directory again after a change of its owner, mode or ACL."""
        if path in self.open_folders:
            if path:
                self._close(path)
            else:
                self.root = self.open_folders[b""] = Folder(self.root.fd, b"", self._own_group)

    # ── walking ──

    def _walk(self, path: bytes, missing: Missing, *, revive: bool, links: bool) -> Folder:
        current, rest = self._nearest(path)
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

    def _enter(
        self, current: Folder, part: bytes, inside: bytes, missing: Missing, *, revive: bool, links: bool
    ) -> Folder | bytes:
        """Go one name further: into a directory, or to the text of a link."""
        try:
            folder = self._admit(os.open(part, _OPEN, dir_fd=current.fd), inside)
        except FileNotFoundError:
            if missing is Missing.REFUSED or (missing is Missing.SHOWN and not self._is_shown(inside)):
                raise
        except OSError as error:
            if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
                raise
            return self._pass(current, part, inside, missing, revive=revive, links=links)
        else:
            self._note_found(folder)
            return folder
        return self._make(current, part, inside, opaque=False)

    def _pass(
        self, current: Folder, part: bytes, inside: bytes, missing: Missing, *, revive: bool, links: bool
    ) -> Folder | bytes:
        """Follow a link, or make a directory of what is in the way."""
        target, ours = link_text(current.fd, part), self.is_ours(inside)
        if target is not None and (ours or links):
            return target
        whiteout = bool(self._terms.form.opaque_xattr) and _is_whiteout(current.fd, part)
        if missing is not Missing.MADE or (not revive if whiteout else ours):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), inside)
        os.unlink(part, dir_fd=current.fd)
        self.forget_links()
        return self._make(current, part, inside, opaque=self._terms.hides)

    def _is_shown(self, path: bytes) -> bool:
        below = self._below.look(path)
        return below is not None and stat.S_ISDIR(below.st_mode)

    def _note_found(self, folder: Folder) -> None:
        """Remember a directory of another layer as it was: what is put into it changes its time."""
        path = folder.path
        if self._terms.tracks and not (path in self._found or path in self._made or path in self.seen):
            self._found.add(path)
            self.found.add(path, folder.times)

    def _owner_of_missing(self, path: bytes) -> tuple[int, int]:
        owner = self._terms.missing_owner
        if owner is None and self._is_shown(path):
            return os.geteuid(), self._own_group  # until it gets that of the one below
        if owner is None:
            reason = "it is missing in the archive, and the ID map has no owner for it: no range covers 0:0"
            raise errors.EntryFailed(show_name(path), reason)
        return owner

    def _make(self, current: Folder, part: bytes, inside: bytes, *, opaque: bool) -> Folder:
        """Make a directory that the archive needs and does not list."""
        owner = self._owner_of_missing(inside)
        os.mkdir(part, _MISSING_MODE, dir_fd=current.fd)
        fd = os.open(part, _OPEN, dir_fd=current.fd)
        self._dress(fd, owner, current, always=False)
        if opaque:
            make_opaque(fd, self._terms.form)
            self._renewed.add(inside)
        elif self._terms.form is not WhiteoutForm.PLAIN:
            self.implied.add(inside, None)
        self._made.add(inside)
        return self._admit(fd, inside)

    def _dress(self, fd: int, owner: tuple[int, int], parent: Folder, *, always: bool) -> None:
        """Set the owner and mode of a directory that no entry lists; a new one usually has them already."""
        ours = os.geteuid(), self._own_group
        if self._terms.force_mask >= 0:
            self._settle(fd, ours, parent, self._terms.force_mask)
            os.setxattr(fd, ATTRIBUTE, Override(*owner, _MISSING_MODE, stat.S_IFDIR).text())
        elif always or owner != ours or not parent.faithful:
            self._settle(fd, owner, parent, _MISSING_MODE)

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
    """Return the target of a symbolic link; None if the name is not a link."""
    try:
        return os.readlink(name, dir_fd=fd)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _is_whiteout(fd: int, name: bytes) -> bool:
    return is_whiteout_device(os.stat(name, dir_fd=fd, follow_symlinks=False))


def strip_attributes(fd: int) -> None:
    """Take from a directory of another layer the attributes that an archive could give it."""
    for name, _ in to_set([(os.fsencode(name), b"") for name in os.listxattr(fd)]):
        with suppress(OSError):  # what the system keeps for itself
            os.removexattr(fd, name)


def strip_acls(fd: int) -> None:
    """Take away ACLs that a new file or directory inherited."""
    for name in (ACCESS_ACL, _DEFAULT_ACL):
        try:
            os.removexattr(fd, name)
        except OSError as error:
            if error.errno not in {errno.ENODATA, errno.ENOTSUP, errno.EACCES}:
                raise
