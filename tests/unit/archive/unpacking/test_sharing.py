"""A tree with which blocks may be shared is a hint: whatever is in it, the archive's contents come out."""

from __future__ import annotations

import os
import random
import socket
from typing import TYPE_CHECKING

import pytest

from cstore.archive.apply import ApplyOptions, apply_archive
from tests.builders import Entry, make_tar

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")
SMALL, LARGE = random.Random(1).randbytes(9_000), random.Random(2).randbytes(3_000_000)


@pytest.mark.parametrize("disk", ["xfs_disk", "btrfs_disk"])
def test_what_differs_is_written(request: pytest.FixtureRequest, tmp_path: Path, disk: str) -> None:
    """Longer, shorter, other bytes, a link out of the tree, a pipe, a directory, nothing."""
    top = os.path.join(request.getfixturevalue(disk), tmp_path.name)
    donor, tree = f"{top}/donor", f"{top}/tree"
    for folder in (top, donor, f"{donor}/folder", f"{donor}/d", tree):
        os.mkdir(folder)
    wanted, there = {}, {}
    for size, data in (("small", SMALL), ("large", LARGE)):
        for kind, contents in (
            ("same", data),
            ("longer", data + b"more"),
            ("shorter", data[:-700]),
            ("empty", b""),
            ("first", b"X" + data[1:]),
            ("last", data[:-1] + b"X"),
            ("middle", data[: len(data) // 2] + b"X" + data[len(data) // 2 + 1 :]),
        ):
            there[f"d/{size}-{kind}"], wanted[f"d/{size}-{kind}"] = contents, data
    for name, contents in there.items():
        with open(f"{donor}/{name}", "wb") as file:
            file.write(contents)
    with open(f"{top}/outside", "wb") as file:
        file.write(LARGE)
    os.symlink("../outside", f"{donor}/link")
    os.symlink("..", f"{donor}/up")
    os.mkfifo(f"{donor}/pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"{donor}/socket")
    for name in ("link", "up/outside", "pipe", "socket", "folder", "missing"):
        wanted[name] = LARGE
    archive = make_tar(*(Entry(name.encode(), data) for name, data in wanted.items()))
    before = {name: os.lstat(f"{donor}/{name}") for name in there}
    source = os.open(f"{top}/archive", os.O_RDWR | os.O_CREAT)
    os.write(source, archive)
    os.lseek(source, 0, os.SEEK_SET)

    apply_archive(source, tree, f"{top}/split", ApplyOptions(donor=donor))

    os.close(source)
    for name, data in wanted.items():
        with open(f"{tree}/{name}", "rb") as file:
            assert file.read() == data, name
    for name, data in there.items():
        with open(f"{donor}/{name}", "rb") as file:
            assert file.read() == data, name
        assert os.lstat(f"{donor}/{name}").st_mtime_ns == before[name].st_mtime_ns
