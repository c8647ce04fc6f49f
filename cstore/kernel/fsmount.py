"""Mounts through file descriptors: fsopen(2), fsconfig(2), fsmount(2), move_mount(2), open_tree(2), mount_setattr(2).

A file system is configured one parameter at a time, so no page limits the number of parameters. The result is a
detached mount: it can be read through its descriptor, or attached to a path. Unless it is attached, it disappears when
its descriptor is closed. (Linux 5.2; mount_setattr: 5.12)
"""

from __future__ import annotations

import os
import struct

from cstore.kernel.libc import system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

ATTR_RDONLY = 0x01
ATTR_NOSUID = 0x02
ATTR_NODEV = 0x04
ATTR_NOEXEC = 0x08
ATTR_NOATIME = 0x10
ATTR_STRICTATIME = 0x20
ATTR_NODIRATIME = 0x80
ATTR_IDMAP = 0x00100000

LONGEST_VALUE = 255
"""Maximum length of a parameter's value in bytes; the kernel refuses more."""

# Numbers from 424 on are the same on every architecture.
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 442

_AT_FDCWD = -100
_AT_EMPTY_PATH, _AT_RECURSIVE = 0x1000, 0x8000
_CLOEXEC = 1
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_SET_FLAG, _SET_STRING, _CMD_CREATE = 0, 1, 6
_MOUNT_ATTR = struct.Struct("QQQQ")  # struct mount_attr: set, clear, propagation, user namespace


_calls: dict[int, Callable[..., int]] = {}


def _call(number: int) -> Callable[..., int]:
    if number not in _calls:
        from ctypes import c_char_p, c_long

        types = {
            _OPEN_TREE: (c_long, c_char_p, c_long),
            _MOVE_MOUNT: (c_long, c_char_p, c_long, c_char_p, c_long),
            _FSOPEN: (c_char_p, c_long),
            _FSCONFIG: (c_long, c_long, c_char_p, c_char_p, c_long),
            _FSMOUNT: (c_long, c_long, c_long),
            _MOUNT_SETATTR: (c_long, c_char_p, c_long, c_char_p, c_long),
        }
        _calls[number] = system_call(number, *types[number])
    return _calls[number]


class Configuration:
    """A file system before it is mounted. Close it, or use it as a context manager."""

    def __init__(self, fstype: str) -> None:
        """Open a context for a file system type.

        Raises:
            OSError: ENOSYS before Linux 5.2, ENODEV for an unknown type, EPERM without the privilege.
        """
        self._fd = _call(_FSOPEN)(os.fsencode(fstype), _CLOEXEC)

    def set(self, key: str, value: str) -> None:
        """Set a parameter to a value of at most LONGEST_VALUE bytes.

        Raises:
            OSError: the kernel refuses it; `complaint` may have the reason.
        """
        _call(_FSCONFIG)(self._fd, _SET_STRING, os.fsencode(key), os.fsencode(value), 0)

    def set_flag(self, key: str) -> None:
        """Set a parameter that takes no value.

        Raises:
            OSError: as `set`.
        """
        _call(_FSCONFIG)(self._fd, _SET_FLAG, os.fsencode(key), None, 0)

    def create(self) -> None:
        """Create the file system.

        Raises:
            OSError: parameters contradict each other, or a path in one of them does not exist.
        """
        _call(_FSCONFIG)(self._fd, _CMD_CREATE, None, None, 0)

    def mount(self, attributes: int = 0) -> int:
        """Return a descriptor of a new, detached mount; `attributes` are ATTR_*.

        Raises:
            OSError: EPERM without the privilege.
        """
        return _call(_FSMOUNT)(self._fd, _CLOEXEC, attributes)

    def complaint(self) -> str:
        """Return the kernel's messages about the last failures; often empty."""
        lines = []
        while True:
            try:
                lines.append(os.read(self._fd, 4096).decode(errors="replace").strip())
            except OSError:  # ENODATA: that was all
                break
        return "; ".join(line[2:] if line[1:2] == " " else line for line in lines)

    def close(self) -> None:
        """Close the context; mounts made from it remain."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def clone_mount(path: str, *, recursive: bool = False) -> int:
    """Return a descriptor of a detached copy of the mount at `path`, whose root is that directory.

    Raises:
        OSError: as open_tree(2).
    """
    flags = _OPEN_TREE_CLONE | os.O_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _call(_OPEN_TREE)(_AT_FDCWD, os.fsencode(path), flags)


def attach(mount_fd: int, target: str) -> None:
    """Attach a mount to the path `target`, where every process in this mount namespace sees it.

    Raises:
        OSError: as move_mount(2); the target is its file name.
    """
    try:
        _call(_MOVE_MOUNT)(mount_fd, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    except OSError as error:
        raise OSError(error.errno, error.strerror, target) from None


def set_attributes(
    mount_fd: int, attributes: int = 0, *, propagation: int = 0, user_namespace: int = -1, recursive: bool = False
) -> None:
    """Change the attributes of a mount.

    Args:
        mount_fd: its descriptor.
        attributes: ATTR_* to set; ATTR_IDMAP shows owners as `user_namespace` maps them.
        propagation: MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE; 0 keeps the present one.
        user_namespace: a descriptor, for ATTR_IDMAP.
        recursive: also change all mounts below.

    Raises:
        OSError: EINVAL if the file system does not support it, EPERM without the privilege, ENOSYS before Linux 5.12.
    """
    flags = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    wanted = _MOUNT_ATTR.pack(attributes, 0, propagation, max(user_namespace, 0))
    _call(_MOUNT_SETATTR)(mount_fd, b"", flags, wanted, _MOUNT_ATTR.size)
