"""The attribute that holds a file's intended owner, mode and type if they differ from those on disk (drivers 5.1).

    user.containers.override_stat = UID:GID:MODE:TYPE      7:0:4711:file, 0:0:0666:char-1-3

With force_mask, all files have the same mode and owner, for example to be readable by others on a network share. A
mount program shows the values of the attribute instead.
"""

from __future__ import annotations

import os
import stat

from cstore.fs import within
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ATTRIBUTE = b"user.containers.override_stat"
PROGRAMS_ATTRIBUTE = b"user.fuseoverlayfs.override_stat"
"""The name that fuse-overlayfs uses."""

_NAMES = {
    stat.S_IFDIR: b"dir",
    stat.S_IFREG: b"file",
    stat.S_IFLNK: b"symlink",
    stat.S_IFIFO: b"pipe",
    stat.S_IFSOCK: b"socket",
    stat.S_IFBLK: b"block",
    stat.S_IFCHR: b"char",
}
_TYPES = {name: kind for kind, name in _NAMES.items()}
_NEEDED = 3
_DEVICES = frozenset({stat.S_IFBLK, stat.S_IFCHR})


class Override(Value):
    """A file's intended owner, mode and type.

    Attributes:
        uid, gid: the owner, in the same ID space as the tree's owners.
        mode: permissions, set-ID bits and the sticky bit.
        kind: S_IF*; 0 if the attribute does not have it.
        device: major and minor number.
    """

    uid: int
    gid: int
    mode: int
    kind: int = 0
    device: tuple[int, int] = (0, 0)

    def text(self) -> bytes:
        """Return the attribute's value."""
        kind = _NAMES[self.kind]
        if self.kind in _DEVICES:
            kind += b"-%d-%d" % self.device
        return b"%d:%d:%04o:%b" % (self.uid, self.gid, self.mode, kind)


def parse(value: bytes) -> Override | None:
    """Parse the attribute's value; None if it is invalid."""
    fields = value.split(b":")
    try:
        uid, gid, mode = int(fields[0]), int(fields[1]), int(fields[2], 8)
        kind, *numbers = fields[3].split(b"-") if len(fields) > _NEEDED else (b"",)
        device = (int(numbers[0]), int(numbers[1])) if _TYPES.get(kind) in _DEVICES else (0, 0)
    except (ValueError, IndexError):
        return None
    if min(uid, gid, mode) < 0:
        return None
    return Override(uid, gid, mode & 0o7777, _TYPES.get(kind, 0), device)


def is_masked(path: str) -> bool:
    """Return whether attributes hold the owners and modes in a layer's directory: then its root has one."""
    try:
        with within.path_past_links(path) as way:
            return override_of(way) is not None
    except OSError:
        return False


def override_of(path: str | bytes | int) -> Override | None:
    """Return the override of a file or directory, None if it has none. A link at the end is not followed."""
    by_path = not isinstance(path, int)
    for name in (ATTRIBUTE, PROGRAMS_ATTRIBUTE):
        try:
            found = parse(os.getxattr(path, name, follow_symlinks=not by_path))
        except OSError:
            continue
        if found is not None:
            return found
    return None


def override_in(attributes: Mapping[bytes, bytes]) -> Override | None:
    """Return the override among attributes that were read before, None if there is none."""
    found = (parse(attributes[name]) for name in (ATTRIBUTE, PROGRAMS_ATTRIBUTE) if name in attributes)
    return next(filter(None, found), None)


def split(xattrs: Sequence[tuple[bytes, bytes]]) -> tuple[Override | None, Sequence[tuple[bytes, bytes]]]:
    """Split attributes into the override and the others."""
    found = next((value for name, value in xattrs if name == ATTRIBUTE), None)
    if found is None:
        return None, xattrs
    return parse(found), tuple(pair for pair in xattrs if pair[0] != ATTRIBUTE)
