"""Read the extended attributes that belong to a layer's content, for archives and comparisons; choose those to set."""

from __future__ import annotations

import errno
import os
import stat

from cstore.archive.directories import open_quietly
from cstore.archive.names import join_name
from cstore.idmap import map_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.archive.directories import Directories
    from cstore.idmap import IDMap

CAPABILITY = b"security.capability"
_VERSION, _VERSION_2, _VERSION_3 = 0xFF000000, 0x02000000, 0x03000000
_WITH_ROOT = 24
"""Bytes of a capability with the ID of its namespace's root, which Linux writes if that is not the host's root."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SECURITY = frozenset({"security.capability", "security.ima"})
_METACOPY = frozenset({"trusted.overlay.metacopy", "user.overlay.metacopy"})
_UNREADABLE = frozenset({errno.ENODATA, errno.E2BIG})

DROPPED: tuple[tuple[bytes, str], ...] = (
    (b"trusted.overlay.", "they steer the kernel's overlay: a layer could hide or redirect what others made"),
    (b"user.overlay.", "the same in a user namespace"),
    (b"user.fuseoverlayfs.", "the same for fuse-overlayfs"),
    (b"user.containers.override_stat", "it makes a mount program show other owners and modes than the files have"),
    (b"security.selinux", "labels are given by the host when it mounts, never by who made the layer"),
)
"""Prefixes of attributes that are not set, with reasons. The tar-split keeps them, so exports contain them."""

_NEVER_SET = tuple(prefix for prefix, _ in DROPPED)


Attributes = tuple[tuple[bytes, bytes], ...]


def place_of(tree: Directories, folder: bytes, name: bytes) -> bytes:
    """Return a path for the attribute calls, which take no directory descriptor. Do not follow links in it."""
    return b"/proc/self/fd/%d/%b" % (tree.descriptor(folder), name)


def archived(target: int | bytes) -> Attributes:
    """Read the attributes that an archive stores: capabilities, IMA signatures, and user attributes (archive 8.2)."""
    names = _names(target)
    if not names:
        return ()
    kept = [
        name
        for name in names
        if name in _SECURITY or (name.startswith("user.") and not name.startswith("user.overlay."))
    ]
    return _values(target, kept)


def compared(tree: Directories, folder: bytes, name: bytes, mode: int) -> Attributes:
    """Read the attributes that a comparison covers, sorted: capabilities and user attributes (archive 7.1).

    `mode` is that of the file. Files are opened if possible, because a descriptor is several times faster than a path.
    """
    if stat.S_ISDIR(mode):
        return _compared(tree.descriptor(join_name(folder, name)))
    if not stat.S_ISREG(mode):
        return _compared(place_of(tree, folder, name))
    try:
        descriptor = open_quietly(name, _READ, tree.descriptor(folder))
    except PermissionError:
        return _compared(place_of(tree, folder, name))
    try:
        return _compared(descriptor)
    finally:
        os.close(descriptor)


def has_contents(descriptor: int) -> bool:
    """Return whether a file of a layer has its own contents: the kernel may have copied up only its metadata."""
    try:
        # One system call, which succeeds; asking for the attribute itself would fail for most files.
        return _METACOPY.isdisjoint(os.listxattr(descriptor))
    except OSError:
        return True


def inside(attributes: Attributes, id_map: IDMap) -> Attributes:
    """Return attributes as a container with `id_map` sees them: a file capability contains the ID of its root.

    Raises:
        IDNotMapped: the map does not cover the root of a capability's namespace.
    """
    if not id_map or not any(name == CAPABILITY for name, _ in attributes):
        return attributes
    return tuple(
        (name, capability_inside(value, id_map) if name == CAPABILITY else value) for name, value in attributes
    )


def capability_inside(value: bytes, id_map: IDMap) -> bytes:
    """Return a file capability as a container sees it: in version 2 if it belongs to the container's own root.

    Raises:
        IDNotMapped: as `inside`.
    """
    magic = int.from_bytes(value[:4], "little")
    if len(value) != _WITH_ROOT or magic & _VERSION != _VERSION_3:
        return value
    root = map_in(id_map.uids, int.from_bytes(value[-4:], "little"), "UID")
    if root:
        return value[:-4] + root.to_bytes(4, "little")
    return (magic & ~_VERSION | _VERSION_2).to_bytes(4, "little") + value[4:-4]


def _compared(target: int | bytes) -> Attributes:
    names = _names(target)
    if not names:
        return ()
    return _values(target, sorted(name for name in names if name == "security.capability" or name.startswith("user.")))


def _names(target: int | bytes) -> list[str]:
    """List the names of a file's attributes; none if its file system does not support them."""
    try:
        return os.listxattr(target) if isinstance(target, int) else os.listxattr(target, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def _values(target: int | bytes, names: list[str]) -> Attributes:
    found = []
    for name in names:
        try:
            if isinstance(target, int):
                value = os.getxattr(target, name)
            else:
                value = os.getxattr(target, name, follow_symlinks=False)
        except OSError as error:
            if error.errno in _UNREADABLE:
                continue
            raise
        found.append((os.fsencode(name), value))
    return tuple(found)


# ── setting ──


def to_set(xattrs: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the attributes to set, including ACLs and capabilities."""
    return tuple(pair for pair in xattrs if not pair[0].startswith(_NEVER_SET))
