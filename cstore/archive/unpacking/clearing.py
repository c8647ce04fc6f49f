"""Clear the path of a new entry, and set owners and attributes."""

from __future__ import annotations

import errno
import os
import stat

from cstore import errors
from cstore.archive.names import join_name, show_name
from cstore.archive.unpacking.displaced import Displaced
from cstore.archive.unpacking.owners import subordinate_hint
from cstore.archive.unpacking.paths import ACCESS_ACL
from cstore.contexts import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.unpacking.orders import Terms
    from cstore.archive.unpacking.paths import Folder, Paths

_PATH_ERRORS = {
    errno.ENOENT: "leads nowhere in this layer",
    errno.ENOTDIR: "is not a directory",
    errno.ELOOP: "is a loop of symbolic links",
}


class Clearing:
    """Opens parent directories, and removes what is in the way of a new entry.

    Attributes:
        displaced: the displaced entries.
    """

    def __init__(self, root_fd: int, terms: Terms, paths: Paths) -> None:
        self.displaced = Displaced(root_fd)
        self._terms = terms
        self._paths = paths

    def folder(self, path: bytes, base: bytes) -> Folder:
        """Open the directory for the new name `base`, creating missing directories.

        Raises:
            EntryFailed: the directory cannot exist.
        """
        try:
            return self._paths.folder(path)
        except OSError as error:
            if error.errno not in _PATH_ERRORS:
                raise
            reason = f"its parent {show_name(path)} {_PATH_ERRORS[error.errno]}"
            raise errors.EntryFailed(show_name(join_name(path, base)), reason) from None

    # ── room ──

    def clear(self, folder: Folder, base: bytes, position: int) -> bool:
        """Remove or displace the existing file with a new entry's name.

        Returns:
            Whether it hid files of lower layers, so that a directory in its place must be opaque.
        """
        status = os.stat(base, dir_fd=folder.fd, follow_symlinks=False)
        path = join_name(folder.path, base)
        ours = self._paths.is_ours(path)
        if stat.S_ISDIR(status.st_mode):
            # It may contain unpacked files even if it was not unpacked itself.
            self.displaced.displace(folder.fd, base, path, position)
            self._paths.forget(path)
            return False
        if ours and stat.S_ISREG(status.st_mode) and status.st_size:
            self.displaced.displace(folder.fd, base, path, position)
            return self._terms.hides
        os.unlink(base, dir_fd=folder.fd)
        if ours:
            self.displaced.supersede(path, position)
        if stat.S_ISLNK(status.st_mode):
            self._paths.forget_links()
        return self._terms.hides

    def keeps_directory(self, folder: Folder, base: bytes, position: int, *, first_listing: bool) -> bool:
        """Return whether a directory exists that an entry lists again, and supersede its earlier line."""
        status = os.stat(base, dir_fd=folder.fd, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            return False
        path = join_name(folder.path, base)
        if self._paths.is_ours(path) and not first_listing:
            self.displaced.supersede(path, position)
        return True

    # ── owner and attributes ──

    def own(self, fd: int, path: bytes, uid: int, gid: int) -> None:
        """Set the owner of an open file."""
        try:
            os.fchown(fd, uid, gid)
        except OSError as error:
            self._check_owner_error(path, uid, gid, error)

    def own_name(self, folder: Folder, base: bytes, path: bytes, uid: int, gid: int) -> None:
        """Set the owner of a file, without following a link."""
        try:
            os.chown(base, uid, gid, dir_fd=folder.fd, follow_symlinks=False)
        except OSError as error:
            self._check_owner_error(path, uid, gid, error)

    def _check_owner_error(self, path: bytes, uid: int, gid: int, error: OSError) -> None:
        if self._terms.ignore_chown_errors:
            return
        if error.errno not in {errno.EINVAL, errno.EPERM}:
            raise error
        if error.errno == errno.EINVAL:
            reason = f"its owner {uid}:{gid} has no meaning in this user namespace"
            hint = subordinate_hint(uid, gid)
            raise errors.EntryFailed(
                show_name(path), reason, hint=hint, owner=(uid, gid), needs="the user namespace"
            ) from None
        reason = f"this process may not give it to its owner {uid}:{gid}"
        hint = "run the program as root or with cstore unshare PROGRAM, or let it call cstore.enter_user_namespace()"
        raise errors.EntryFailed(show_name(path), reason, hint=hint) from None

    def set_xattrs(self, fd: int, path: bytes, xattrs: tuple[tuple[bytes, bytes], ...]) -> None:
        """Set attributes of an open file."""
        for name, value in xattrs:
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                self._check_xattr_error(path, name, error)

    def set_xattrs_of_name(
        self, folder: Folder, base: bytes, path: bytes, xattrs: tuple[tuple[bytes, bytes], ...]
    ) -> None:
        """Set attributes of a link, device or fifo, which cannot be opened."""
        if not xattrs:
            return
        os.fchdir(folder.fd)  # setxattr(2) takes no directory descriptor
        for name, value in xattrs:
            try:
                os.setxattr(base, name, value, follow_symlinks=False)
            except OSError as error:
                self._check_xattr_error(path, name, error)

    @staticmethod
    def strip_acl_of_name(folder: Folder, base: bytes) -> None:
        """Remove the ACL that a new node inherited."""
        if folder.default_acl:
            os.fchdir(folder.fd)
            with suppress(OSError):  # it may have none
                os.removexattr(base, ACCESS_ACL, follow_symlinks=False)

    def _check_xattr_error(self, path: bytes, name: bytes, error: OSError) -> None:
        if error.errno == errno.ENOTSUP or (error.errno == errno.EPERM and self._terms.in_user_namespace):
            return
        reason = f"its attribute {show_name(name)} cannot be set: {os.strerror(error.errno or 0).lower()}"
        raise errors.EntryFailed(show_name(path), reason) from None
