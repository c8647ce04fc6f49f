"""Extended attributes that belong to a layer's content, as an archive writes them and a comparison sees them."""

from __future__ import annotations

import errno
import os

_SECURITY = frozenset({"security.capability", "security.ima"})
_UNREADABLE = frozenset({errno.ENODATA, errno.E2BIG})


def place_of(directory: int, name: bytes) -> bytes:
    """A path for the attribute calls, which take no directory descriptor. Use it without following links."""
    return b"/proc/self/fd/%d/%b" % (directory, name)


def archived(target: int | bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Read the attributes that an archive carries: capabilities, IMA signatures, and what users set (archive 8.2)."""
    names = _names(target)
    if not names:
        return ()
    return _values(target, [name for name in names if name in _SECURITY or _is_users(name)])


def compared(target: int | bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Read the attributes whose change is a change of the layer, sorted: capabilities, what users set (archive 7.1)."""
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


def _values(target: int | bytes, names: list[str]) -> tuple[tuple[bytes, bytes], ...]:
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
