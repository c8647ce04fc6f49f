"""Whiteouts: how a layer removes lower files.

In an archive a removal is a file `.wh.NAME` beside the NAME it removes, and `.wh..wh..opq` removes everything that
lies below its directory. In a tree it depends on the tree's form: a whole tree simply lacks what was removed; the
tree of a union file system holds a character device 0:0 in its place, or an attribute on the directory that hides what
is below.
"""

from __future__ import annotations

import os
import stat

from cstore.values import Choice

WHITEOUT_PREFIX = b".wh."
METADATA_PREFIX = b".wh..wh."
"""Names that AUFS kept for itself at the top of a layer; only the opaque marker means anything elsewhere."""
OPAQUE_NAME = b".wh..wh..opq"
HARDLINK_DIRECTORY = b".wh..wh.plnk"
"""Where AUFS kept the files that had more than one name."""
OPAQUE_VALUE = b"y"


class WhiteoutForm(Choice):
    """How a tree represents removals."""

    PLAIN = "plain"
    """A whole tree: the removed file is simply absent."""
    OVERLAY = "overlay"
    """A character device 0:0 marks a removed file, `trusted.overlay.opaque` an opaque directory."""
    OVERLAY_USER = "overlay-user"
    """The same for a user namespace: the attribute is `user.overlay.opaque`."""
    FILES = "files"
    """Whiteouts and opaque markers are files, as in the archive; the mount program interprets them."""

    @property
    def opaque_xattr(self) -> str:
        """The attribute that makes a directory opaque; empty for forms that have none."""
        return _OPAQUE_XATTRS[self]


_OPAQUE_XATTRS = {
    WhiteoutForm.PLAIN: "",
    WhiteoutForm.OVERLAY: "trusted.overlay.opaque",
    WhiteoutForm.OVERLAY_USER: "user.overlay.opaque",
    WhiteoutForm.FILES: "",
}


def make_opaque(folder: int, form: WhiteoutForm, times: tuple[int, int] = (0, 0)) -> None:
    """Make an open directory hide lower files, as its form does that; `times` are for a mark's file.

    Raises:
        OSError: the mark cannot be made.
    """
    if form is not WhiteoutForm.FILES:
        os.setxattr(folder, form.opaque_xattr, OPAQUE_VALUE)
        return
    make_mark(OPAQUE_NAME, folder, times)


def make_mark(name: bytes, folder: int, times: tuple[int, int]) -> None:
    """Make the empty file that is a mark, or take the one that is there. Times are in nanoseconds.

    Raises:
        OSError: it cannot be made.
    """
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder))
    os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)


def is_whiteout_name(base: bytes) -> bool:
    """Whether a name without its directory is a whiteout or an opaque marker."""
    return base.startswith(WHITEOUT_PREFIX)


def whiteout_name(victim: bytes) -> bytes:
    """The name of the archive entry that removes `victim` (both without directory)."""
    return WHITEOUT_PREFIX + victim


def victim_of(base: bytes) -> bytes | None:
    """Return the name that a whiteout removes, without directory.

    Returns:
        The removed name; None for names that are not a single name (`.wh.`, `.wh..`, `.wh...`), which would reach the
        directory itself or its parent.
    """
    victim = base[len(WHITEOUT_PREFIX) :]
    return None if victim in {b"", b".", b".."} else victim


def is_whiteout_device(status: os.stat_result) -> bool:
    """Whether a file's status is that of an overlay whiteout: a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
