"""Removing what lies beneath a layer, and nothing of what the layer itself brings (archive 5.1, last column)."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from cstore.archive.names import join_name
from cstore.archive.whiteout import OPAQUE_VALUE, WhiteoutForm

if TYPE_CHECKING:
    from cstore.archive.unpacking.attic import Attic
    from cstore.archive.unpacking.orders import Order, Terms
    from cstore.archive.unpacking.paths import Folder, Paths
    from cstore.archive.unpacking.seen import SeenPaths

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Removal:
    """Carries out whiteouts and opaque markers. `seen` are the paths that this archive has unpacked so far."""

    def __init__(self, terms: Terms, paths: Paths, attic: Attic, seen: SeenPaths) -> None:
        self._terms = terms
        self._paths = paths
        self._attic = attic
        self._seen = seen

    # ── whiteouts ──

    def whiteout(self, order: Order) -> None:
        """Remove one name; where the tree is a part of a union, leave a mark."""
        _, folder_path, victim, uid, gid = order
        folder = self._folder(folder_path)
        if folder is None:
            return
        path = join_name(folder.path, victim)
        left = self._remove(folder.fd, victim, path)
        if self._terms.form is WhiteoutForm.PLAIN:
            return
        if left is None:
            self._mark(folder, victim, uid, gid)
        elif stat.S_ISDIR(left):
            self._make_opaque(self._paths.folder(path))

    def _folder(self, path: bytes) -> Folder | None:
        """The directory of a whiteout, None if nothing is to be removed there."""
        try:
            return self._paths.folder(path, create=self._terms.form is not WhiteoutForm.PLAIN, revive=False)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _mark(self, folder: Folder, victim: bytes, uid: int, gid: int) -> None:
        os.mknod(victim, stat.S_IFCHR, 0, dir_fd=folder.fd)
        try:
            os.chown(victim, uid, gid, dir_fd=folder.fd, follow_symlinks=False)
        except OSError:
            if not self._terms.ignore_chown_errors:
                raise

    # ── opaque directories ──

    def opaque(self, order: Order) -> None:
        """Remove what lies beneath a directory; where the tree is a part of a union, hide it."""
        _, folder_path = order
        if self._terms.form is not WhiteoutForm.PLAIN:
            self._make_opaque(self._paths.folder(folder_path))
            return
        folder = self._folder(folder_path)
        if folder is not None:
            self._remove_contents(folder.fd, folder.path)

    def _make_opaque(self, folder: Folder) -> None:
        os.setxattr(folder.fd, self._terms.form.opaque_xattr, OPAQUE_VALUE)

    # ── removing ──

    def _remove(self, fd: int, base: bytes, path: bytes) -> int | None:
        """Remove a name with all below it, except what was unpacked.

        Returns:
            The mode of what is left, None if nothing is.
        """
        try:
            mode = os.stat(base, dir_fd=fd, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return None
        unpacked = path in self._seen
        if not stat.S_ISDIR(mode):
            if unpacked:
                return mode
            os.unlink(base, dir_fd=fd)
            self._paths.forget_links()
            return None
        inside = os.open(base, _OPEN, dir_fd=fd)
        try:
            self._remove_contents(inside, path)
        finally:
            os.close(inside)
        return mode if unpacked or not self._remove_directory(fd, base, path) else None

    def _remove_contents(self, fd: int, path: bytes) -> None:
        for name in os.listdir(fd):
            base = os.fsencode(name)
            if path or base != self._attic.report.name:
                self._remove(fd, base, join_name(path, base))

    def _remove_directory(self, fd: int, base: bytes, path: bytes) -> bool:
        """Remove a directory unless something that was unpacked is left in it."""
        try:
            os.rmdir(base, dir_fd=fd)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return False
            raise
        self._paths.forget(path)
        return True
