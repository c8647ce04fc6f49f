"""The small files of a data root: read, never followed through a link, and gone without complaint."""

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
"""Limit in bytes, far above any record; a larger file is not one."""


def read(path: str) -> bytes | None:
    """Read a file; None if it does not exist: a daemon may be running.

    Raises:
        DockerRootDamaged: it is a link, not a regular file, or too large to be a record.
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
    """Read a file as text, white space around it removed; "" if there is none."""
    return (read(path) or b"").decode(errors="replace").strip()


def read_json(path: str) -> dict[str, Any] | None:
    """Read a file that holds one JSON object; None if there is none.

    Raises:
        DockerRootDamaged: it holds something else.
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
    """The names of the directories in a directory, sorted; none if it is not there."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SystemFailure("read", path, error) from None


def names(path: str) -> list[str]:
    """All names in a directory, sorted; none if it is not there."""
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SystemFailure("read", path, error) from None
