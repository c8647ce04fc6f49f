"""Making equal files in several trees share their blocks (drivers 14).

        scan the trees ──► files of equal size ──► where are they on disk? ──► hash ──► ask the kernel to share

This needs no lock: before the kernel shares blocks, it compares the bytes again with both files locked. Files that
disappear meanwhile are skipped. If an earlier run, a snapshot or a reflink copy has made files share blocks already,
their extents show it, and nothing is read.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from cstore.errors import InvalidOption
from cstore.fs.scoped import open_beneath
from cstore.fs.tree.trail import Trail, open_root
from cstore.kernel import ioctl, mountinfo
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

METHODS = ("crc", "size", "sha256")
"""How equal files are found. With `size`, the kernel compares all files of equal size, which may take long."""

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_HERE = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.EROFS})
_GONE = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.ELOOP})
_AT_ONCE = 16 << 20  # what btrfs shares in one step
_BLOCK = 1 << 20
_NO_PLACE = ioctl.EXTENT_UNKNOWN | ioctl.EXTENT_DELAYED | ioctl.EXTENT_ENCODED
"""Flags of an extent whose physical position does not identify it."""


class Sharing(Value):
    """The result of a search.

    Attributes:
        shared: bytes of files that share their blocks with an equal file, including those that did so before.
        saved: bytes freed, or in a dry run to be freed, unless something else still uses the blocks.
        files: number of files that were, or would be, made to share.
        failures: what could not be read, one sentence each.
    """

    shared: int = 0
    saved: int = 0
    files: int = 0
    failures: tuple[str, ...] = ()


class _File:
    """A file found in a tree. Of an original, with which others share, `place` is where its blocks are."""

    __slots__ = ("blocks", "disk", "identity", "origin", "path", "place", "root")

    def __init__(self, root: str, path: str, disk: int, status: os.stat_result) -> None:
        self.root, self.path, self.disk, self.place = root, path, disk, b""
        self.blocks = status.st_blocks * 512
        self.identity = (status.st_dev, status.st_ino)
        self.origin = (status.st_ino, status.st_ctime_ns)  # equal in all snapshots that left the file unchanged

    def open(self) -> int:
        """Open the file if it is still the one that was found. Raises OSError."""
        root = open_root(self.root)
        try:
            fd = open_beneath(root, os.fsencode(self.path), _READ)
        finally:
            os.close(root)
        status = os.fstat(fd)
        if (status.st_dev, status.st_ino) != self.identity:
            os.close(fd)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return fd


class Duplicates:
    """One search for equal files. `add` the trees, then `share`."""

    def __init__(
        self, method: str = "crc", *, dry_run: bool = False, progress: Callable[[int], None] | None = None
    ) -> None:
        """Prepare a search.

        Args:
            method: one of METHODS.
            dry_run: change nothing; files with equal hashes count as equal.
            progress: called with the number of bytes processed so far.

        Raises:
            InvalidOption: the method is unknown.
        """
        if method not in METHODS:
            raise InvalidOption(f"invalid hash method: {method}", hint=f"choose one of: {', '.join(METHODS)}")
        self._method = "sha256" if dry_run and method == "size" else method
        self._dry_run = dry_run
        self._progress = progress
        self._mounts: list[mountinfo.MountInfo] = []
        self._unable: set[int] = set()
        self._seen: set[tuple[int, int]] = set()
        self._by_size: dict[int, list[_File]] = {}
        self._failures: list[str] = []
        self._shared = self._saved = self._files = self._done = 0

    def add(self, root: str) -> bool:
        """Scan a tree if its file system can share blocks. Return whether it can, as far as this is known."""
        try:
            self._mounts = self._mounts or mountinfo.read_mounts()
            inside = os.path.realpath(root) + "/"
            above = [each for each in self._mounts if inside.startswith(each.mount_point.rstrip("/") + "/")]
            # Unlike st_dev, the device of the mount is the same for all subvolumes.
            disk = max(above, key=lambda each: len(each.mount_point)).device if above else os.stat(root).st_dev
            root_fd = -1 if disk in self._unable else open_root(root)
        except OSError as error:
            self._note(root, error)
            return True
        if root_fd < 0:
            return False
        with Trail("", root_fd, quiet=True) as trail:
            try:
                self._look(root, disk, trail)
            except OSError as error:
                self._note(os.path.join(root, trail.where()), error)
        return disk not in self._unable

    def _look(self, root: str, disk: int, trail: Trail) -> None:
        asked = False
        for name, status in _files(trail, lambda path, error: self._note(os.path.join(root, path), error)):
            if not asked and not _can_share(trail.here, name, status):
                self._unable.add(disk)
                return
            asked = True
            file = _File(root, trail.where(name), disk, status)
            if file.identity not in self._seen:
                self._seen.add(file.identity)
                self._by_size.setdefault(status.st_size, []).append(file)

    def _note(self, path: str, error: OSError) -> None:
        if error.errno not in _GONE:
            self._failures.append(f"cannot read {path}: {error.strerror}")

    def share(self) -> Sharing:
        """Make equal files share their blocks, the largest first."""
        for size in sorted(self._by_size, reverse=True):
            group = self._by_size.pop(size)
            at: dict[bytes, _File] = {}
            alike: dict[bytes, list[_File]] = {}
            for file in group if len(group) > 1 else ():
                try:
                    fd = file.open()
                except OSError as error:
                    self._note(os.path.join(file.root, file.path), error)
                    continue
                try:
                    self._place(file, fd, size, at, alike)
                except OSError as error:
                    self._note(os.path.join(file.root, file.path), error)
                finally:
                    os.close(fd)
                self._done += size
                if self._progress is not None:
                    self._progress(self._done)
        return Sharing(self._shared, self._saved, self._files, tuple(self._failures))

    def _place(self, file: _File, fd: int, size: int, at: dict[bytes, _File], alike: dict[bytes, list[_File]]) -> None:
        """Find an original for a file, or record it as one. `at`: by position on disk; `alike`: by hash."""
        place = _place_of(fd, file.disk, size)
        if place is None:
            return
        known = at.get(place) if place else None
        if known is not None and known.place == place:
            self._shared += 0 if known.origin == file.origin else size
            return
        if known is not None and self._joins(known, file, fd, size):
            return  # its blocks were counted with the first file that left them
        key = _key_of(fd, self._method)
        for original in alike.setdefault(key, []):
            if self._joins(original, file, fd, size):
                self._saved += file.blocks
                at[place] = original
                return
        file.place = place
        alike[key].append(file)
        at[place] = file

    def _joins(self, original: _File, file: _File, fd: int, size: int) -> bool:
        """Make the file `fd` share the blocks of an original; return whether it does, or in a dry run would."""
        if original.disk != file.disk:
            return False
        shared = size if self._dry_run else _share(original, fd, size)
        self._shared += shared
        self._files += shared == size
        return shared == size


def _files(trail: Trail, note: Callable[[str, OSError], None]) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the nonempty regular files of a tree; each is in the directory that the trail has reached.

    Directories that cannot be read are noted and skipped.
    """
    pending = [(yield from _files_here(trail.here))]
    while pending:
        if not pending[-1]:
            pending.pop()
            if pending:
                trail.up()
            continue
        name = pending[-1].pop()
        try:
            trail.down(name)
        except OSError as error:
            if error.errno != errno.EXDEV:  # a mount point is not part of the tree
                note(trail.where(name), error)
            continue
        pending.append((yield from _files_here(trail.here)))


def _files_here(fd: int) -> Generator[tuple[str, os.stat_result], None, list[str]]:
    """Yield the files of a directory; return the names of its subdirectories in reverse order."""
    with os.scandir(fd) as entries:
        kinds = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_directory in kinds:
        if not is_directory:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and status.st_size:
                yield name, status
    return [name for name, is_directory in reversed(kinds) if is_directory]


def _can_share(folder_fd: int, name: str, status: os.stat_result) -> bool:
    """Return whether the file system can share blocks, by an invalid request: only one that can will examine it."""
    try:
        fd = os.open(name, _READ, dir_fd=folder_fd)
    except OSError:
        return True
    try:
        ioctl.share_range(fd, fd, 0, status.st_size)
    except OSError as error:
        return error.errno not in _NOT_HERE
    finally:
        os.close(fd)
    return True


def _place_of(fd: int, disk: int, size: int) -> bytes | None:
    """Return an identifier of a file's extents; b"" if unknown, None if it has none that could be shared."""
    from hashlib import blake2b

    try:
        found = [extent for extent in ioctl.extents(fd) if extent.logical < size]  # blocks may follow the end
    except OSError:
        return b""
    if not found or any(extent.flags & ioctl.EXTENT_INLINE for extent in found):
        return None
    if any(extent.flags & _NO_PLACE for extent in found):
        return b""
    places = ";".join(f"{each.logical},{each.physical},{min(each.length, size - each.logical)}" for each in found)
    return blake2b(f"{disk}:{places}".encode(), digest_size=16).digest()


def _share(original: _File, target_fd: int, size: int) -> int:
    """Make a file share the blocks of an original; return how many bytes it now shares."""
    try:
        source_fd = original.open()
    except OSError:
        return 0
    done = 0
    try:
        while done < size:
            step = ioctl.share_range(source_fd, target_fd, done, min(_AT_ONCE, size - done))
            if not step:
                break
            done += step
    except OSError as error:
        if error.errno not in {errno.EXDEV, errno.EINVAL, errno.ETXTBSY, *_NOT_HERE}:
            raise
    finally:
        os.close(source_fd)
    return done


def _key_of(fd: int, method: str) -> bytes:
    """Compute the key by which a file is compared with others of its size."""
    if method == "sha256":
        import hashlib

        found = hashlib.sha256()
        while block := os.read(fd, _BLOCK):
            found.update(block)
        return found.digest()
    if method == "crc":
        from fastcrc import crc64

        crc = 0
        while block := os.read(fd, _BLOCK):
            crc = crc64.xz(block, crc)
        return crc.to_bytes(8, "big")
    return b""  # all files in the group have this size
