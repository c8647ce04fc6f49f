"""Remove files of lower layers, but none of the layer itself (archive 5.1, last column)."""

from __future__ import annotations

import errno
import os
import stat

from cstore.archive.names import join_name
from cstore.archive.unpacking.paths import GONE, Missing
from cstore.archive.whiteout import (
    WHITEOUT_PREFIX,
    WhiteoutForm,
    is_whiteout_name,
    make_mark,
    make_opaque,
    whiteout_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.unpacking.displaced import Displaced
    from cstore.archive.unpacking.lowers import Below
    from cstore.archive.unpacking.orders import Order, Terms
    from cstore.archive.unpacking.paths import Folder, Paths

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Removal:
    """Executes whiteouts and opaque markers. They affect only files of other layers, wherever in the archive they are.

    In a tree that is one layer of a union, marks are created only for visible files below, because a mark that hides
    nothing appears in listings as a broken device.
    """

    def __init__(self, terms: Terms, paths: Paths, displaced: Displaced, below: Below) -> None:
        self._terms = terms
        self._paths = paths
        self._displaced = displaced
        self._below = below
        self._seen = paths.seen
        self._files = terms.form is WhiteoutForm.FILES
        self._times = (0, 0)  # of the current entry
        self._marked: list[tuple[bytes, bytes]] = []  # pairs of a directory and a name that a mark in it hides
        if self._files and os.listdir(paths.root.fd):
            self._marked += [
                (os.fsencode(folder)[2:], name[len(WHITEOUT_PREFIX) :])
                for folder, _, names, _ in os.fwalk(b".", dir_fd=paths.root.fd)
                for name in map(os.fsencode, names)
                if is_whiteout_name(name) and not name.startswith(WHITEOUT_PREFIX + b".")
            ]

    # ── whiteouts ──

    def whiteout(self, order: Order) -> None:
        """Remove one name, and create a mark if the tree is one layer of a union."""
        _, folder_path, victim, uid, gid, self._times = order
        folder = self._folder(folder_path)
        if folder is not None:
            self._hide(folder, victim, (uid, gid))

    def _folder(self, path: bytes) -> Folder | None:
        """Return the directory of a whiteout; None if it does not exist."""
        try:
            return self._paths.folder(path, Missing.SHOWN, revive=False)
        except OSError as error:
            if error.errno in GONE:
                return None
            raise

    def _hide(self, folder: Folder, victim: bytes, owner: tuple[int, int]) -> None:
        path = join_name(folder.path, victim)
        left = self._remove(folder.fd, victim, path)
        if self._terms.form is WhiteoutForm.PLAIN:
            return
        if self._below.look(path) is None:
            return
        if left is not None:
            if stat.S_ISDIR(left):
                make_opaque(self._paths.folder(path).fd, self._terms.form, self._times)
            return
        mark = whiteout_name(victim) if self._files else victim
        if self._files:
            make_mark(mark, folder.fd, self._times)
            self._marked.append((folder.path, victim))
        else:
            os.mknod(mark, stat.S_IFCHR, 0, dir_fd=folder.fd)
        try:
            os.chown(mark, *owner, dir_fd=folder.fd, follow_symlinks=False)
        except OSError:
            if not self._terms.ignore_chown_errors:
                raise

    # ── opaque directories ──

    def opaque(self, order: Order) -> None:
        """Remove the lower contents of a directory, and hide them if the tree is one layer of a union."""
        _, folder_path, self._times = order
        folder = self._folder(folder_path)
        if folder is None:
            return
        self._remove_contents(folder.fd, folder.path)
        if self._terms.form is WhiteoutForm.PLAIN:
            return
        if folder.path:
            make_opaque(folder.fd, self._terms.form, self._times)
            return
        # The kernel ignores the attribute of the root, so each name is hidden separately.
        owner = self._terms.missing_owner or (0, 0)
        for name in self._below.names():
            self._hide(self._paths.root, name, owner)

    # ── marks that are files ──

    def settle(self) -> None:
        """Remove the marks that would hide the layer's own files; a directory with such a mark becomes opaque.

        A mount program hides a file if a mark beside it names it; with the kernel, only one of the two can exist.
        """
        for path, victim in self._marked:
            try:
                folder = self._paths.folder(path, Missing.REFUSED)
                left = os.stat(victim, dir_fd=folder.fd, follow_symlinks=False).st_mode
                status = os.stat(folder.fd)
                os.unlink(whiteout_name(victim), dir_fd=folder.fd)
            except OSError as error:
                if error.errno in GONE:
                    continue
                raise
            os.utime(folder.fd, ns=(status.st_atime_ns, status.st_mtime_ns))
            if stat.S_ISDIR(left):
                inside = self._paths.folder(join_name(path, victim))
                status = os.stat(inside.fd)
                make_opaque(inside.fd, self._terms.form, self._times)
                os.utime(inside.fd, ns=(status.st_atime_ns, status.st_mtime_ns))

    # ── removing ──

    def _remove(self, fd: int, base: bytes, path: bytes) -> int | None:
        """Remove a file or a directory tree, except unpacked files.

        Returns:
            The mode of the remaining file; None if it was removed.
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
        if unpacked:
            return mode
        try:
            os.rmdir(base, dir_fd=fd)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            self._paths.renew(path)  # unpacked files are left in it
            return mode
        self._paths.forget(path)
        return None

    def _remove_contents(self, fd: int, path: bytes) -> None:
        for name in os.listdir(fd):
            base = os.fsencode(name)
            if path or base != self._displaced.report.name:
                self._remove(fd, base, join_name(path, base))
