"""Other types of file systems on loop devices, for tests that depend on the type."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAKERS = {
    "btrfs": (["mkfs.btrfs", "-q"], 400),
    "xfs": (["mkfs.xfs", "-q", "-f", "-m", "reflink=1"], 320),
    "ext4": (["mkfs.ext4", "-q", "-F"], 64),
}
"""Type: the command that creates it, and its minimum size in MiB."""


@contextmanager
def loop_disk(folder: Path, kind: str) -> Iterator[str]:
    """Mount a new file system of this type and yield its directory; skip if that is impossible."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root: a {kind} is mounted")
    make, megabytes = MAKERS[kind]
    image, point = folder / f"{kind}.image", folder / kind
    point.mkdir()
    with open(image, "wb") as file:
        file.truncate(megabytes << 20)
    for command in ([*make, str(image)], ["mount", "-o", "loop", str(image), str(point)]):
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no {kind} here: {command[0]} does not work: {error}")
    try:
        yield str(point)
    finally:
        detach_all(str(point))
        image.unlink()
