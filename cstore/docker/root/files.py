"""Read the small files of a data root, without following links; missing files are not an error."""

from __future__ import annotations

import errno
import json
import os
import stat

from cstore.errors import DockerRootDamaged, SystemFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LARGEST = 64 << 20
"""Bytes in the largest file that may be a record; records are much smaller."""


def read(path: str) -> bytes | None:
    """Read a file; None if it does not exist, because a running daemon may have removed it.

    Raises:
        DockerRootDamaged: it is a link or not a regular file, or is too large to be a record.
        SystemFailure: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise DockerRootDamaged(path, "it is not a regular file") from None
        raise SystemFailure("read", path, error) from None
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise DockerRootDamaged(path, "it is not a regular file")
        if status.st_size > LARGEST:
            raise DockerRootDamaged(path, f"it has {status.st_size} bytes")
        return file.read(LARGEST)


def read_text(path: str) -> str:
    """Read a file as text without surrounding white space; "" if it does not exist."""
    return (read(path) or b"").decode(errors="replace").strip()


def read_json(path: str) -> dict[str, Any] | None:
    """Read a file that contains one JSON object; None if it does not exist.

    Raises:
        DockerRootDamaged: the file is not a JSON object.
    """
    raw = read(path)
    if raw is None:
        return None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise DockerRootDamaged(path, f"it is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise DockerRootDamaged(path, "it is not a JSON object")
    return value


def directories(path: str) -> list[str]:
    """Return the names of the directories in a directory, sorted; none if it does not exist."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SystemFailure("read", path, error) from None


def names(path: str) -> list[str]:
    """Return all names in a directory, sorted; none if it does not exist."""
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SystemFailure("read", path, error) from None
