"""What other layers hold beneath a tree that is a part of a union: for hard links to files that this archive lacks.

A union file system copies a file up before it gets another name, and so do we: the file, with all that belongs to it,
and the directories that lead to it. (archive 5.1)
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from cstore.archive.names import join_name
from cstore.archive.unpacking.paths import MOST_LINKS, link_text
from cstore.archive.whiteout import OPAQUE_VALUE, is_whiteout_device

if TYPE_CHECKING:
    from cstore.archive.unpacking.orders import Terms
    from cstore.archive.unpacking.paths import Paths

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_HIDDEN = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_RESERVED = ("trusted.overlay.", "user.overlay.")
_MOST_AT_ONCE = 1 << 24


class Beneath:
    """The layers beneath a tree, nearest first."""

    def __init__(self, terms: Terms, paths: Paths) -> None:
        self._lowers = terms.lowers
        self._mark = terms.form.opaque_xattr
        self._paths = paths

    def copy_up(self, folder: bytes, base: bytes) -> bytes | None:
        """Bring a file up into the tree, under the same name.

        Args:
            folder: a plain path; links in it are followed as in a mount of all layers.
            base: the name in there. In the tree it must not exist.

        Returns:
            The folder by its path without links, or None if there is no such file.

        Raises:
            OSError: it cannot be copied.
        """
        if not self._lowers:
            return None
        folder = self._without_links(folder)
        if not self._is_open(folder):
            return None
        with contextlib.ExitStack() as opened:
            trail = self._find(folder, base, opened)
            if trail is None:
                return None
            target = self._make_way(folder, trail)
            _copy(trail[-1], target, base)
        return folder

    def _without_links(self, folder: bytes) -> bytes:
        """Follow the links in a path through the tree and all layers beneath; after too many it is as good as none."""
        done: list[bytes] = []
        pending = _parts(folder)[::-1]
        links = 0
        while pending:
            part = pending.pop()
            text = self._link_text(done, part) if links < MOST_LINKS else None
            if text is not None:
                links += 1
                if text.startswith(b"/"):
                    done.clear()
                pending.extend(text.split(b"/")[::-1])
            elif part == b"..":
                del done[-1:]
            elif part not in {b"", b"."}:
                done.append(part)
        return b"/".join(done)

    def _link_text(self, above: list[bytes], part: bytes) -> bytes | None:
        """What the link of that name says, in the nearest layer that has the name; None if it is no link."""
        if part in {b"", b".", b".."}:
            return None
        with contextlib.ExitStack() as opened:
            for layer in (self._paths.root.fd, *self._lowers):
                trail, hides = _descend(layer, above, self._mark, opened)
                if len(trail) == len(above) + 1:
                    with contextlib.suppress(FileNotFoundError):
                        return link_text(trail[-1], part)
                if hides:
                    return None
        return None

    def _is_open(self, folder: bytes) -> bool:
        """Whether nothing in the tree itself hides what lies beneath: no file, whiteout or mark on the way."""
        fd = os.dup(self._paths.root.fd)
        try:
            for part in _parts(folder):
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
                if _is_opaque(fd, self._mark):
                    return False
            return True
        finally:
            os.close(fd)

    def _find(self, folder: bytes, base: bytes, opened: contextlib.ExitStack) -> list[int] | None:
        """The nearest layer that has the file: its directories on the way, the last of them the one with the file."""
        parts = _parts(folder)
        for lower in self._lowers:
            trail, hides = _descend(lower, parts, self._mark, opened)
            if len(trail) == len(parts) + 1:
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(base, dir_fd=trail[-1], follow_symlinks=False)
                    found = not stat.S_ISDIR(status.st_mode) and not is_whiteout_device(status)
                    return trail if found else None
            if hides:
                return None
        return None

    def _make_way(self, folder: bytes, trail: list[int]) -> int:
        """Make the directories that are missing in the tree as they are beneath; return the last."""
        path = b""
        for part, lower in zip(_parts(folder), trail[1:], strict=True):
            above = self._paths.folder(path)
            path = join_name(path, part)
            if not _exists(part, above.fd):
                made = self._paths.folder(path)
                _dress_directory(lower, made.fd)
                self._paths.refresh(path)
        return self._paths.folder(folder).fd


def _parts(folder: bytes) -> list[bytes]:
    return folder.split(b"/") if folder else []


def _exists(name: bytes, dir_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _descend(lower: int, parts: list[bytes], mark: str, opened: contextlib.ExitStack) -> tuple[list[int], bool]:
    """Open the directories on a way as far as they are there, and say whether this layer hides deeper ones."""
    trail, hides = [lower], False
    for part in parts:
        try:
            fd = os.open(part, _OPEN, dir_fd=trail[-1])
        except FileNotFoundError:
            break
        except OSError as error:
            if error.errno not in _HIDDEN:
                raise
            return trail, True
        opened.callback(os.close, fd)
        trail.append(fd)
        hides = hides or _is_opaque(fd, mark)
    return trail, hides


def _is_opaque(fd: int, mark: str) -> bool:
    try:
        return os.getxattr(fd, mark) == OPAQUE_VALUE
    except OSError:
        return False


def _copy(source: int, target: int, base: bytes) -> None:
    """Copy one file that is no directory from one directory to another."""
    status = os.stat(base, dir_fd=source, follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):
        _copy_regular(source, target, base)
        return
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(base, dir_fd=source), base, dir_fd=target)
    else:
        os.mknod(base, status.st_mode, status.st_rdev, dir_fd=target)
    os.chown(base, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(base, stat.S_IMODE(status.st_mode), dir_fd=target)
    os.utime(base, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)


def _copy_regular(source: int, target: int, base: bytes) -> None:
    read = os.open(base, _READ, dir_fd=source)
    try:
        write = os.open(base, _CREATE, 0o600, dir_fd=target)
        try:
            while os.sendfile(write, read, None, _MOST_AT_ONCE):
                pass
            status = os.fstat(read)
            _dress(read, write, status)
            os.utime(write, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(write)
    finally:
        os.close(read)


def _dress_directory(source: int, target: int) -> None:
    _dress(source, target, os.fstat(source))


def _dress(source: int, target: int, status: os.stat_result) -> None:
    """Owner, mode and attributes, in the order in which none of them takes another away."""
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(source):
        if not name.startswith(_RESERVED):
            os.setxattr(target, name, os.getxattr(source, name))
