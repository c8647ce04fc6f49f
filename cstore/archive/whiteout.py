"""Whiteouts: how a layer marks files of lower layers as deleted.

In an archive, the file `.wh.NAME` removes NAME in the same directory, and `.wh..wh..opq` removes everything that lower
layers have in its directory. In a tree it depends on the form: a whole tree simply lacks the removed files; the tree of
a union file system has a character device 0:0 in their place, or an attribute that makes a directory opaque.
"""

from __future__ import annotations

import os
import stat

from cstore.values import Choice

WHITEOUT_PREFIX = b".wh."
METADATA_PREFIX = b".wh..wh."
"""The prefix of names that AUFS reserved at the top of a layer; elsewhere only the opaque marker has a meaning."""
OPAQUE_NAME = b".wh..wh..opq"
HARDLINK_DIRECTORY = b".wh..wh.plnk"
"""The directory where AUFS kept files with several names."""
OPAQUE_VALUE = b"y"


class WhiteoutForm(Choice):
    """The representation of removals in a tree."""

    PLAIN = "plain"
    """A whole tree: the removed file is simply absent."""
    OVERLAY = "overlay"
    """A character device 0:0 marks a removed file, `trusted.overlay.opaque` an opaque directory."""
    OVERLAY_USER = "overlay-user"
    """As `OVERLAY`, but for a user namespace: the attribute is `user.overlay.opaque`."""
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
    """Make an open directory opaque, in the representation of `form`, which must have one; `times` are the marker's.

    Raises:
        OSError: the mark cannot be created.
    """
    if form is not WhiteoutForm.FILES:
        os.setxattr(folder, form.opaque_xattr, OPAQUE_VALUE)
        return
    make_mark(OPAQUE_NAME, folder, times)


def make_mark(name: bytes, folder: int, times: tuple[int, int]) -> None:
    """Create the empty file of a mark, or reuse an existing one. Times are in nanoseconds.

    Raises:
        OSError: it cannot be created.
    """
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder))
    os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)


def is_whiteout_name(base: bytes) -> bool:
    """Return whether a base name is that of a whiteout or an opaque marker."""
    return base.startswith(WHITEOUT_PREFIX)


def whiteout_name(victim: bytes) -> bytes:
    """Return the name of the archive entry that removes `victim` (both without directory)."""
    return WHITEOUT_PREFIX + victim


def victim_of(base: bytes) -> bytes | None:
    """Return the name that a whiteout removes, without directory.

    Returns:
        The victim's name; None for `.wh.`, `.wh..` and `.wh...`, which would remove the directory itself or its parent.
    """
    victim = base[len(WHITEOUT_PREFIX) :]
    return None if victim in {b"", b".", b".."} else victim


def is_whiteout_device(status: os.stat_result) -> bool:
    """Return whether a status is that of an overlay whiteout, a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
