"""Extended attributes that belong to a layer's content, as an archive writes them and a comparison sees them."""

from __future__ import annotations

import errno
import os
import stat

from cstore.archive.directories import open_quietly
from cstore.archive.names import join_name
from cstore.idmap import map_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.directories import Directories
    from cstore.idmap import IDMap

CAPABILITY = b"security.capability"
_VERSION, _VERSION_2, _VERSION_3 = 0xFF000000, 0x02000000, 0x03000000
_WITH_ROOT = 24
"""Bytes of a capability that names the root of its namespace: Linux makes such where that is not the host's root."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SECURITY = frozenset({"security.capability", "security.ima"})
_METACOPY = frozenset({"trusted.overlay.metacopy", "user.overlay.metacopy"})
_UNREADABLE = frozenset({errno.ENODATA, errno.E2BIG})


Attributes = tuple[tuple[bytes, bytes], ...]


def place_of(tree: Directories, folder: bytes, name: bytes) -> bytes:
    """A path for the attribute calls, which take no directory descriptor. Use it without following links."""
    return b"/proc/self/fd/%d/%b" % (tree.descriptor(folder), name)


def archived(target: int | bytes) -> Attributes:
    """Read the attributes that an archive carries: capabilities, IMA signatures, and what users set (archive 8.2)."""
    names = _names(target)
    if not names:
        return ()
    return _values(target, [name for name in names if name in _SECURITY or _is_users(name)])


def compared(tree: Directories, folder: bytes, name: bytes, mode: int) -> Attributes:
    """Read the attributes whose change is a change of the layer, sorted: capabilities, what users set (archive 7.1).

    `mode` is that of the file. A descriptor answers several times faster than a path, so what can be opened is.
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
    """Whether a file of a layer has contents of its own: the kernel may have copied up nothing but what it is like."""
    try:
        # One question that most files answer with nothing, and none that fails.
        return _METACOPY.isdisjoint(os.listxattr(descriptor))
    except OSError:
        return True


def inside(attributes: Attributes, id_map: IDMap) -> Attributes:
    """The same attributes as a container with `id_map` has them: a file capability names its root by an ID, too.

    Raises:
        IDNotMapped: the namespace that a capability belongs to has another root than any in the map.
    """
    if not id_map or not any(name == CAPABILITY for name, _ in attributes):
        return attributes
    return tuple(
        (name, capability_inside(value, id_map) if name == CAPABILITY else value) for name, value in attributes
    )


def capability_inside(value: bytes, id_map: IDMap) -> bytes:
    """A file capability as a container has it: of version 2 if it is that of the container's own root.

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


def _is_users(name: str) -> bool:
    return name.startswith("user.") and not name.startswith("user.overlay.")


def _names(target: int | bytes) -> list[str]:
    """List a file's attributes; none if its file system has no such thing."""
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
