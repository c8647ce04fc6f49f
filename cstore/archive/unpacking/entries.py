"""Create files, directories, links and nodes with their metadata (archive 3), the times of directories last."""

from __future__ import annotations

import os
import stat

from cstore import errors
from cstore.archive.names import join_name, show_name, split_name
from cstore.archive.unpacking.paths import GONE, Missing, strip_acls, strip_attributes
from cstore.archive.unpacking.seen import PathList
from cstore.archive.whiteout import is_whiteout_device, make_opaque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    from cstore.archive.unpacking.clearing import Clearing
    from cstore.archive.unpacking.lowers import CopyUp
    from cstore.archive.unpacking.orders import Order, Terms
    from cstore.archive.unpacking.paths import Folder, Paths

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NOT_AT_CREATION = 0o7000
"""Mode bits that creating, writing or changing the owner may clear."""


class Entries:
    """Executes the orders that create something; the hot paths are `file` and a plain new `directory`.

    Attributes:
        times: the times of listed directories, in the order of the archive, to be set at the end.
        root_listed: whether an entry listed the root.
        unfinished: the order that began the current file, until its contents are complete.
    """

    def __init__(self, terms: Terms, paths: Paths, clearing: Clearing, ring: memoryview, lower: CopyUp) -> None:
        self.times: PathList[Times] = PathList()
        self.unfinished: Order | None = None
        self._terms = terms
        self._paths = paths
        self._open_folders = paths.open_folders
        self._clearing = clearing
        self._lower = lower
        self._ring = ring
        self._uid, self._gid = os.geteuid(), os.getegid()
        self._tracks = terms.tracks
        self.root_listed = False
        self._fd = -1
        self._donor = terms.donor
        self._shared = False

    def _folder(self, order: Order) -> Folder:
        return self._open_folders.get(order[1]) or self._clearing.folder(order[1], order[2])

    def _remember(self, folder: Folder, order: Order) -> None:
        """Record that an entry without contents was created."""
        if self._tracks:
            self._paths.seen.add(join_name(folder.path, order[2]))
        if folder.path != order[1]:
            self._clearing.displaced.drop(order[8])

    # ── files ──

    def file(self, order: Order) -> None:
        """Create a file whose contents are in the ring."""
        folder = self._open_folders.get(order[1]) or self._clearing.folder(order[1], order[2])
        size = order[10]
        fd = self._create(folder, order, size)
        if size:
            self._write(fd, order[9], size)
        if self._shared:
            self._cut(fd)
        if folder.path != order[1]:
            self._record_behind_link(folder, order, has_line=size > 0)
        self._complete(fd, folder, order)

    def begin(self, order: Order) -> None:
        """Create a file whose contents follow in other orders."""
        self._fd = self._create(self._folder(order), order)
        self.unfinished = order

    def data(self, order: Order) -> None:
        """Append contents."""
        self._write(self._fd, order[1], order[2])

    def seek(self, order: Order) -> None:
        """Continue at another offset of the file."""
        if self._shared:  # the gap must become a hole, whatever the clone contains there
            self._cut(self._fd)
        os.lseek(self._fd, order[1], os.SEEK_SET)

    def end(self, order: Order) -> None:
        """Complete the file. If the order has a size, it is sparse, and its contents are in the tar-split."""
        size, begun = order[1], self.unfinished
        assert begun is not None  # noqa: S101  - the other process never sends END without BEGIN
        folder = self._folder(begun)
        if self._shared:
            self._cut(self._fd)
        if size >= 0:
            os.ftruncate(self._fd, size)
        if folder.path != begun[1]:
            self._record_behind_link(folder, begun, has_line=size < 0)
        self._complete(self._fd, folder, begun)
        self.unfinished = None

    def _record_behind_link(self, folder: Folder, order: Order, *, has_line: bool) -> None:
        """Record a file whose name leads through links; `has_line`: its line has contents, which must be found."""
        if has_line:
            self._clearing.displaced.carry(folder.fd, order[2], order[8])
        else:
            self._clearing.displaced.drop(order[8])

    def _create(self, folder: Folder, order: Order, size: int = -1) -> int:
        base, mode, donor = order[2], order[3], self._donor
        how = _CREATE if donor is None else _CREATE & ~os.O_WRONLY | os.O_RDWR
        try:
            fd = os.open(base, how, mode, dir_fd=folder.fd)
        except FileExistsError:
            self._clearing.clear(folder, base, order[8])
            fd = os.open(base, how, mode, dir_fd=folder.fd)
        if donor is not None:
            self._shared = donor.wants(size) and donor.give(join_name(folder.path, base), fd)
        if self._tracks:
            self._paths.seen.add(join_name(folder.path, base))
        return fd

    def _write(self, fd: int, start: int, size: int) -> None:
        end = start + size
        if self._shared and self._donor is not None and self._donor.pass_equal(fd, self._ring[start:end]):
            return
        while start < end:
            start += os.write(fd, self._ring[start:end])

    def _cut(self, fd: int) -> None:
        """Truncate a clone to the end of the contents so far, if it is longer: truncating may unshare a block."""
        end = os.lseek(fd, 0, os.SEEK_CUR)
        if os.fstat(fd).st_size != end:
            os.ftruncate(fd, end)
        self._shared = False

    def _complete(self, fd: int, folder: Folder, order: Order) -> None:
        """Set a file's metadata and close it. The owner comes first: setting it resets modes and capabilities."""
        _, folder_path, base, mode, uid, gid, times, xattrs, *_ = order
        faithful = folder.faithful
        if uid != self._uid or gid != self._gid or not faithful:
            self._clearing.own(fd, join_name(folder_path, base), uid, gid)
        if mode & _NOT_AT_CREATION or not faithful:
            if folder.default_acl:
                strip_acls(fd)
            os.fchmod(fd, mode)
        if xattrs:
            self._clearing.set_xattrs(fd, join_name(folder_path, base), xattrs)
        os.utime(fd, ns=times)
        os.close(fd)

    # ── directories ──

    def directory(self, order: Order) -> None:
        """Create a directory, or update an existing one."""
        _, folder_path, base, mode, uid, gid, times, xattrs, position = order
        if not base:
            self._root(order)
            return
        folder = self._open_folders.get(folder_path) or self._clearing.folder(folder_path, base)
        path = join_name(folder.path, base)
        first_listing = self._paths.is_first_listing(path)
        fresh, opaque = True, False
        try:
            os.mkdir(base, mode, dir_fd=folder.fd)
        except FileExistsError:
            fresh = not self._clearing.keeps_directory(folder, base, position, first_listing=first_listing)
            if fresh:
                opaque = self._clearing.clear(folder, base, position)
                os.mkdir(base, mode, dir_fd=folder.fd)
        foreign = not fresh and self._paths.is_foreign(path)
        self._remember(folder, order)
        self.times.add(path, times)
        # A plain new directory needs no more system calls.
        plain = fresh and folder.faithful and not (opaque or xattrs or mode & _NOT_AT_CREATION)
        if plain and uid == self._uid and gid == self._gid:
            return
        named = join_name(folder_path, base)
        fd = os.open(base, _OPEN_DIRECTORY, dir_fd=folder.fd)
        try:
            if foreign:
                strip_attributes(fd)
            if fresh and folder.default_acl:
                strip_acls(fd)
            self._clearing.own(fd, named, uid, gid)
            os.fchmod(fd, mode)
            self._clearing.set_xattrs(fd, named, xattrs)
            if opaque:
                make_opaque(fd, self._terms.form)
        finally:
            os.close(fd)
        self._paths.refresh(path)

    def _root(self, order: Order) -> None:
        """Set the root's metadata."""
        _, _, _, mode, uid, gid, times, xattrs, position = order
        fd = self._paths.root.fd
        if self.root_listed:
            self._clearing.displaced.supersede(b"", position)
        elif self._paths.is_foreign(b""):
            strip_attributes(fd)
        self.root_listed = True
        self._clearing.own(fd, b"/", uid, gid)
        os.fchmod(fd, mode)
        self._clearing.set_xattrs(fd, b"/", xattrs)
        self._paths.refresh(b"")
        self.times.add(b"", times)

    # ── links and nodes ──

    def symlink(self, order: Order) -> None:
        """Create a symbolic link, with any target."""
        folder = self._folder(order)
        self._make(folder, order, lambda: os.symlink(order[9], order[2], dir_fd=folder.fd))
        self._set_metadata(folder, order, chmod=False)

    def node(self, order: Order) -> None:
        """Create a device or a fifo."""
        folder = self._folder(order)
        mode = order[3] | order[9]
        self._make(folder, order, lambda: os.mknod(order[2], mode, order[10], dir_fd=folder.fd))
        self._set_metadata(folder, order, chmod=True)

    def _make(self, folder: Folder, order: Order, create: Callable[[], None]) -> None:
        try:
            create()
        except FileExistsError:
            self._clearing.clear(folder, order[2], order[8])
            create()
        self._remember(folder, order)

    def _set_metadata(self, folder: Folder, order: Order, *, chmod: bool) -> None:
        """Set the metadata of a link, device or fifo, which cannot be opened."""
        _, folder_path, base, mode, uid, gid, times, xattrs, *_ = order
        path = join_name(folder_path, base)
        if uid != self._uid or gid != self._gid or not folder.faithful:
            self._clearing.own_name(folder, base, path, uid, gid)
        if chmod and (mode & _NOT_AT_CREATION or not folder.faithful):
            self._clearing.strip_acl_of_name(folder, base)
            os.chmod(base, mode, dir_fd=folder.fd)
        self._clearing.set_xattrs_of_name(folder, base, path, xattrs)
        os.utime(base, ns=times, dir_fd=folder.fd, follow_symlinks=False)

    # ── hard links ──

    def hard_link(self, order: Order) -> None:
        """Create another name of an existing file, and apply the entry's metadata."""
        base, target_base = order[2], order[10]
        try:
            folder, target = self._both_ends(order)
            found = os.stat(target_base, dir_fd=target.fd, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            plain = self._lower.copy_up(order[9], target_base)
            if plain is None:
                self._refuse_target(order, "does not exist in this layer")
            order = (*order[:9], plain, *order[10:])
            folder, target = self._both_ends(order)
            found = os.stat(target_base, dir_fd=target.fd, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            self._refuse_target(order, "is a directory")
        if self._terms.form.opaque_xattr and is_whiteout_device(found):
            self._refuse_target(order, "was removed by this layer")
        try:
            linked = os.path.samestat(os.stat(base, dir_fd=folder.fd, follow_symlinks=False), found)
        except FileNotFoundError:
            linked = False
        if linked:
            self._clearing.displaced.drop(order[8])
        else:
            ends = {"src_dir_fd": target.fd, "dst_dir_fd": folder.fd}
            self._make(folder, order, lambda: os.link(target_base, base, follow_symlinks=False, **ends))
        self._set_link_metadata(folder, order, found)

    def _both_ends(self, order: Order) -> tuple[Folder, Folder]:
        """Return the directories of a hard link and of its target, both open at the same time."""
        folder = self._folder(order)
        target = self._paths.folder(order[9], Missing.REFUSED, links=True)
        if folder.fd < 0:  # closed to make room for the other
            folder = self._folder(order)
        return folder, target

    @staticmethod
    def _refuse_target(order: Order, reason: str) -> NoReturn:
        target = show_name(join_name(order[9], order[10]))
        raise errors.EntryFailed(show_name(join_name(order[1], order[2])), f"its target {target} {reason}")

    def _set_link_metadata(self, folder: Folder, order: Order, found: os.stat_result) -> None:
        """Set only metadata that differs: an unnecessary chown would remove capabilities."""
        _, folder_path, base, mode, uid, gid, times, xattrs, *_ = order
        if self._terms.force_mask >= 0:
            if stat.S_ISREG(found.st_mode):
                os.utime(base, ns=times, dir_fd=folder.fd, follow_symlinks=False)
            return
        path = join_name(folder_path, base)
        moved = (found.st_uid, found.st_gid) != (uid, gid)
        if moved:
            self._clearing.own_name(folder, base, path, uid, gid)
        if not stat.S_ISLNK(found.st_mode):
            if moved or stat.S_IMODE(found.st_mode) != mode:
                os.chmod(base, mode, dir_fd=folder.fd)
            os.utime(base, ns=times, dir_fd=folder.fd, follow_symlinks=False)
        self._clearing.set_xattrs_of_name(folder, base, path, xattrs)


# ── times of directories ──
#
# They are set after the last change in the directories.

Times = tuple[int, int]
"""Access and modification time, in nanoseconds."""


def set_times(paths: Paths, listed: Iterable[tuple[bytes, Times]], *, sure: bool) -> None:
    """Set the times of directories by plain path. `sure`: all paths that exist are still directories."""
    for path, times in listed:
        if not path:
            os.utime(paths.root.fd, ns=times)
            continue
        folder_path, base = split_name(path)
        try:
            folder = paths.folder(folder_path, Missing.REFUSED)
            if folder.path == folder_path and (
                sure or stat.S_ISDIR(os.stat(base, dir_fd=folder.fd, follow_symlinks=False).st_mode)
            ):
                os.utime(base, ns=times, dir_fd=folder.fd, follow_symlinks=False)
        except OSError as error:
            if error.errno not in GONE:
                raise
