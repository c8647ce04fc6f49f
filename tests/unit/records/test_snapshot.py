"""Reading several files as they were at one moment."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from cstore.errors import RecordsDamaged, SystemFailure
from cstore.records.layers import LAYERS
from cstore.records.snapshot import read_file, read_together
from cstore.records.table import Location, Table

from .sample_files import put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_absent_files_have_no_identity(tmp_path: Path) -> None:
    """They are empty and not the same as an empty file."""
    empty = put(str(tmp_path / "empty"), b"")

    assert read_file(str(tmp_path / "none")) == (b"", None)
    assert read_file(str(tmp_path / "none" / "deeper")) == (b"", None)
    data, identity = read_file(empty)
    assert (data, identity is None) == (b"", False)


def test_a_replaced_file_has_another_identity(tmp_path: Path) -> None:
    """Even with the same content."""
    path = put(str(tmp_path / "f"), b"x")
    _, before = read_file(path)
    put(path, b"x")

    assert read_file(path)[1] != before


@pytest.mark.parametrize("make", ["fifo", "directory", "device"])
def test_only_regular_files_are_read(tmp_path: Path, make: str) -> None:
    """A pipe does not make us wait for ever."""
    path = str(tmp_path / "f")
    if make == "fifo":
        os.mkfifo(path)
    elif make == "directory":
        os.mkdir(path)
    else:
        os.symlink("/dev/zero", path)

    with pytest.raises(RecordsDamaged, match=r"it is (not a regular file|a symbolic link)"):
        read_file(path)


def test_a_path_through_a_file_cannot_be_read(tmp_path: Path) -> None:
    """That is neither absent nor damage: the error of the system is told."""
    put(str(tmp_path / "f"), b"")

    with pytest.raises(SystemFailure, match="Not a directory"):
        read_file(str(tmp_path / "f" / "g"))


@pytest.fixture
def replacing(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two files that another process keeps replacing, the second after the first, with the same number of records."""
    paths = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    for path in paths:
        put(path, b"[]")
    child = os.fork()
    if child == 0:
        turn = 0
        while True:
            turn += 1
            data = b"[%s]" % b",".join(b'{"id":"%d"}' % number for number in range(turn % 50))
            # One moment in which they differ, and a while in which they agree.
            put(paths[0], data.replace(b'"id":"', b'"id":"a'))
            put(paths[1], data.replace(b'"id":"', b'"id":"b'))
            time.sleep(0.0005)
    yield paths
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_files_belong_together(replacing: tuple[str, str]) -> None:
    """What is read was on disk at one moment: the second file is never ahead of the first."""
    files = {Location.STABLE: replacing[0], Location.VOLATILE: replacing[1]}
    for _ in range(200):
        ids = Table.load(LAYERS, files).ids()

        first = sum(1 for identifier in ids if identifier[0] == "a")
        second = len(ids) - first
        assert second in {first, (first - 1) % 50}


def test_a_file_that_never_rests_is_an_error() -> None:
    """Loading ends, one way or the other. This file never has the size it claims."""
    with pytest.raises(SystemFailure, match="cannot read a consistent state of /proc/version"):
        read_together(["/proc/version"])
