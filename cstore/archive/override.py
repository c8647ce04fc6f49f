"""The attribute with a file's effective owner, mode and type, where the file on disk has others (drivers 5.1).

    user.containers.override_stat = UID:GID:MODE:TYPE      7:0:4711:file, 0:0:0666:char-1-3

With force_mask all files have one mode and one owner, so that others may read them (on a network share, say), and a
mount program shows what the attribute says.
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
"""The same as fuse-overlayfs writes it."""

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
    """A file's effective owner, mode and type.

    Attributes:
        uid, gid: its owner, as the tree has owners.
        mode: permissions, set-user-ID and the like.
        kind: S_IF*; 0 if the attribute does not say.
        device: major and minor number.
    """

    uid: int
    gid: int
    mode: int
    kind: int = 0
    device: tuple[int, int] = (0, 0)

    def text(self) -> bytes:
        """The attribute's value."""
        kind = _NAMES[self.kind]
        if self.kind in _DEVICES:
            kind += b"-%d-%d" % self.device
        return b"%d:%d:%04o:%b" % (self.uid, self.gid, self.mode, kind)


def parse(value: bytes) -> Override | None:
    """Read the attribute's value; None if it makes no sense."""
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
    """Whether owners and modes in a layer's directory are in attributes: then its top has such a one."""
    try:
        with within.path_past_links(path) as way:
            return override_of(way) is not None
    except OSError:
        return False


def override_of(path: str | bytes | int) -> Override | None:
    """Return a file's or directory's effective attributes; None if it has none. Follows no link at the end."""
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
    """The same of attributes that were read already."""
    found = (parse(attributes[name]) for name in (ATTRIBUTE, PROGRAMS_ATTRIBUTE) if name in attributes)
    return next(filter(None, found), None)


def split(xattrs: Sequence[tuple[bytes, bytes]]) -> tuple[Override | None, Sequence[tuple[bytes, bytes]]]:
    """Take the attribute out of others."""
    found = next((value for name, value in xattrs if name == ATTRIBUTE), None)
    if found is None:
        return None, xattrs
    return parse(found), tuple(pair for pair in xattrs if pair[0] != ATTRIBUTE)
