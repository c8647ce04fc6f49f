"""Extended attributes of a file, never of a link's target.

A file is given as a descriptor or a path; a link at the end of a path is not followed. `entry` returns a path to a name
in an open directory, for links, devices and pipes, which cannot be opened without side effects.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_UNSUPPORTED = {errno.ENOTSUP, errno.ENOSYS}

BOUND_TO_PLACE = {
    "security.selinux": "the label comes from the directory or the mount that the file is in",
    "security.SMACK64": "as with SELinux",
    "security.evm": "a signature over this very inode, which is false for any other",
}
"""Attributes that a copy omits, and why."""


class AttributeRefused(OSError):
    """An attribute could not be set; `filename` is the attribute's name."""


def entry(dir_fd: int, name: str) -> str:
    """Return a path to `name` in the open directory `dir_fd` for the functions here. Needs /proc."""
    return f"/proc/self/fd/{dir_fd}/{name}"


def names_of(file: int | str) -> list[str]:
    """List the names of all attributes visible to this process; none if the file system has none.

    Raises:
        OSError: as listxattr(2).
    """
    try:
        return os.listxattr(file) if isinstance(file, int) else os.listxattr(file, follow_symlinks=False)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return []
        raise


def value_of(file: int | str, name: str) -> bytes | None:
    """Return the value of one attribute, or None if the file does not have it.

    Raises:
        OSError: as getxattr(2).
    """
    try:
        return os.getxattr(file, name) if isinstance(file, int) else os.getxattr(file, name, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENODATA or error.errno in _UNSUPPORTED:
            return None
        raise


def read_all(file: int | str) -> dict[str, bytes]:
    """Return all attributes visible to this process.

    Raises:
        OSError: as listxattr(2) and getxattr(2).
    """
    found = ((name, value_of(file, name)) for name in names_of(file))
    return {name: value for name, value in found if value is not None}


def put(file: int | str, name: str, value: bytes) -> None:
    """Set one attribute.

    Raises:
        OSError: ENOTSUP if the file or file system does not support it, EPERM without the privilege.
    """
    if isinstance(file, int):
        os.setxattr(file, name, value)
    else:
        os.setxattr(file, name, value, follow_symlinks=False)


def drop(file: int | str, name: str) -> None:
    """Remove one attribute; it is not an error if it is missing.

    Raises:
        OSError: as removexattr(2).
    """
    try:
        if isinstance(file, int):
            os.removexattr(file, name)
        else:
            os.removexattr(file, name, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.ENODATA and error.errno not in _UNSUPPORTED:
            raise


def put_all(file: int | str, attributes: Mapping[str, bytes], *, forgiving: bool = False) -> None:
    """Set several attributes. Set owner and mode before: changing them drops file capabilities.

    Args:
        file: a descriptor or path.
        attributes: names and values.
        forgiving: skip attributes whose privilege user namespaces lack (EPERM on `trusted.*`, `security.*`).

    Raises:
        AttributeRefused: an attribute could not be set, as in `put`.
    """
    for name, value in attributes.items():
        try:
            put(file, name, value)
        except OSError as error:
            if forgiving and error.errno == errno.EPERM and name.startswith(("trusted.", "security.")):
                continue
            raise AttributeRefused(error.errno, error.strerror, name) from None


def copy_all(source: int | str, target: int | str, *, forgiving: bool = False) -> None:
    """Copy all attributes of `source` to `target` except those bound to their place; see `put_all`.

    Raises:
        AttributeRefused: an attribute could not be set.
        OSError: an attribute could not be read.
    """
    names = names_of(source)
    if names:  # usually there are none
        values = ((name, value_of(source, name)) for name in names if name not in BOUND_TO_PLACE)
        put_all(target, {name: value for name, value in values if value is not None}, forgiving=forgiving)
