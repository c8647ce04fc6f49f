"""Create the files that Docker puts into the init layer of every container as mount points (docker 3.6)."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.errors import SystemFailure

_DIRECTORIES = ("dev/pts", "dev/shm", "proc", "sys")
_FILES = (".dockerenv", "etc/resolv.conf", "etc/hosts", "etc/hostname", "dev/console")
_LINKS = {"etc/mtab": "/proc/mounts"}
_MODE = 0o755
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def make_engine_files(root: str) -> None:
    """Create the engine's directories, empty files and links below `root`, the path of a mounted layer.

    Existing directories are kept. A file or link with the name of any part of a path is removed first, because the
    layer comes from an image, and a link in it could lead anywhere.

    Raises:
        SystemFailure: a file or directory cannot be created.
    """
    try:
        for path in _DIRECTORIES:
            os.close(_directory(root, path))
        for path in _FILES:
            _make(root, path)
        for path, target in _LINKS.items():
            _make(root, path, target)
    except OSError as error:
        raise SystemFailure("prepare the init layer at", root, error) from error


def _directory(root: str, path: str) -> int:
    """Open a directory below `root`, and create missing parts of its path."""
    here = os.open(root, _DIRECTORY)
    for part in filter(None, path.split("/")):
        try:
            _clear(part, here)
            with suppress(FileExistsError):
                os.mkdir(part, _MODE, dir_fd=here)
                os.chmod(part, _MODE, dir_fd=here)
            below = os.open(part, _DIRECTORY, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def _clear(name: str, folder: int) -> None:
    """Remove a file or link with that name, but no directory."""
    with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
        os.unlink(name, dir_fd=folder)


def _make(root: str, path: str, target: str = "") -> None:
    """Create an empty file below `root`, or a link to `target`."""
    above, _, name = path.rpartition("/")
    folder = _directory(root, above)
    try:
        _clear(name, folder)
        with suppress(FileExistsError):
            if target:
                os.symlink(target, name, dir_fd=folder)
            else:
                descriptor = os.open(name, _NEW, _MODE, dir_fd=folder)
                os.fchmod(descriptor, _MODE)
                os.close(descriptor)
    finally:
        os.close(folder)
