"""Files that results go to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.cli.files import result_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_result_has_no_name_until_it_is_complete(tmp_path: Path) -> None:
    """Whoever is killed while writing leaves nothing, and what was there before stays."""
    target = tmp_path / "out.tar"
    target.write_bytes(b"before")
    target.chmod(0o600)
    with result_file(str(target), sync=False) as sink:
        sink.write(b"complete")
        assert os.listdir(tmp_path) == ["out.tar"]
        assert target.read_bytes() == b"before"

    assert target.read_bytes() == b"complete"
    assert target.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["out.tar"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """What had been written by then is gone."""

    def write_half() -> None:
        with result_file(str(tmp_path / "out.tar"), sync=False) as sink:
            sink.write(b"half")
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        write_half()

    assert os.listdir(tmp_path) == []


def test_a_link_to_what_the_shell_has_opened_is_written_through(tmp_path: Path) -> None:
    """A rename would leave the shell's file empty, and put another one in its place."""
    opened = os.open(tmp_path / "opened", os.O_WRONLY | os.O_CREAT)
    try:
        os.symlink(f"/proc/self/fd/{opened}", tmp_path / "out")
        before = os.stat(tmp_path / "opened").st_ino
        with result_file(str(tmp_path / "out"), sync=False) as sink:
            sink.write(b"result")
    finally:
        os.close(opened)

    assert (tmp_path / "opened").read_bytes() == b"result"
    assert os.stat(tmp_path / "opened").st_ino == before
    assert os.path.islink(tmp_path / "out")
