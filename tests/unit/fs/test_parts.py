"""What is made beside a place: the next maker removes what a dead one left, and nothing else."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from cstore.fs.parts import make_part, part_names
from cstore.store import result_at
from cstore.transfer.packing import add_bytes, new_directory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def write_file(path: str) -> None:
    """Write a result."""
    with result_at(path, sync=False) as fd:
        os.write(fd, b"new")


def write_directory(path: str) -> None:
    """Write a result of several files, in the place of the one that is there."""
    with new_directory(path, sync=False, replace=os.path.exists(path)) as package:
        add_bytes(package, "blobs/one", b"new")


@pytest.mark.parametrize("write", [write_file, write_directory])
@pytest.mark.parametrize("there", [False, True])
def test_what_a_dead_maker_left_goes(tmp_path: Path, write: Callable[[str], None], there: bool) -> None:
    """Be it a file or a directory, and whether or not the last one came to its end."""
    target = str(tmp_path / "target")
    if there:
        write(target)
    file, folder, living, *_ = part_names(target)
    (tmp_path / file).write_bytes(b"half")
    (tmp_path / folder / "inside").mkdir(parents=True)
    with open(living, "wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        write(target)
        assert sorted(os.listdir(tmp_path)) == sorted(["target", os.path.basename(living)])

    write(target)
    assert os.listdir(tmp_path) == ["target"]


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """A link, another user's file, and all where another user could have given the name to something of ours."""
    target = str(tmp_path / "target")
    link, theirs, *_ = part_names(target)
    os.symlink("elsewhere", link)
    with open(theirs, "wb"):
        pass
    if os.geteuid() == 0:
        os.chown(theirs, 1, 1)
        inside = tmp_path / "their directory"
        inside.mkdir()
        os.chown(inside, 1, 1)
        (mine, *_) = part_names(str(inside / "target"))
        os.mkdir(mine)
        write_file(str(inside / "target"))
        assert os.path.isdir(mine)

    write_file(target)

    assert os.path.islink(link)
    assert os.geteuid() != 0 or os.path.exists(theirs)


def test_several_make_the_same_at_once(tmp_path: Path) -> None:
    """Each has a name of its own, however many there are."""

    def make(path: str) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    made = [make_part(str(tmp_path / "target"), make) for _ in range(12)]

    assert len({name for name, _ in made}) == len(os.listdir(tmp_path)) == 12
    for _, fd in made:
        os.close(fd)
