"""Clones share content, and the flags of chattr(1) are read and set."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from cstore.kernel import ioctl

if TYPE_CHECKING:
    from pathlib import Path


def test_clone_copies_or_says_that_it_cannot(tmp_path: Path) -> None:
    """Afterwards the target has the content, or nothing was written and the error says why."""
    (tmp_path / "a").write_bytes(b"x" * 10000)
    number, expected = 0, b"x" * 10000
    with open(tmp_path / "a", "rb") as source, open(tmp_path / "b", "wb") as target:
        try:
            ioctl.clone_file(source.fileno(), target.fileno())
        except OSError as error:
            number, expected = error.errno or -1, b""

    assert number in {0, errno.EOPNOTSUPP, errno.ENOTTY}
    assert (tmp_path / "b").read_bytes() == expected


@pytest.mark.usefixtures("needs_root")
def test_flags_hold_and_go(tmp_path: Path) -> None:
    """An immutable file cannot be unlinked, even by root, until the flag is cleared."""
    path = tmp_path / "file"
    path.write_bytes(b"")
    fd = os.open(path, os.O_RDONLY)
    try:
        before = ioctl.file_flags(fd)
        ioctl.set_file_flags(fd, before | ioctl.FLAG_IMMUTABLE)
    except OSError:
        os.close(fd)
        pytest.skip("this file system has no such flags")
    with pytest.raises(PermissionError):
        path.unlink()

    assert ioctl.file_flags(fd) & ioctl.FLAG_IMMUTABLE
    ioctl.set_file_flags(fd, before)
    assert ioctl.file_flags(fd) == before
    os.close(fd)
    path.unlink()
