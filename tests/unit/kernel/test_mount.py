"""Mounting, unmounting, and reading the mount table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.kernel import mount, mountinfo
from tests.mounts import mount_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def point(tmp_path: Path, needs_root: None) -> Iterator[str]:
    """An empty directory, freed of mounts afterwards."""
    del needs_root
    path = str(tmp_path / "a b\\c")
    os.mkdir(path)
    yield path
    while mountinfo.is_mountpoint(path):
        mount.unmount(path, mount.MNT_DETACH)


def test_mount_and_unmount(point: str) -> None:
    """What is mounted is found in the table under its very name, blanks and all, and is gone afterwards."""
    mount.mount("tmpfs", point, "tmpfs", mount.MS_NOSUID | mount.MS_NODEV, "size=64k,mode=700")

    last = mount_on(point)
    assert (last.mount_point, last.fstype, last.source) == (point, "tmpfs", "tmpfs")
    assert last.device == os.stat(point).st_dev
    assert "nosuid" in last.options.split(",")
    assert mountinfo.is_mountpoint(point)

    mount.unmount(point)
    assert not mountinfo.is_mountpoint(point)


def test_bind_mounts_are_seen(point: str) -> None:
    """A directory of the same file system, mounted elsewhere, is a mount point as well."""
    mount.mount(os.path.dirname(point), point, flags=mount.MS_BIND)

    assert mountinfo.is_mountpoint(point)


def test_failures_name_the_target(point: str) -> None:
    """An unknown file system type, and nothing to unmount."""
    with pytest.raises(OSError, match="No such device") as caught:
        mount.mount("none", point, "nosuchfs")
    assert caught.value.filename == point

    with pytest.raises(OSError, match="Invalid argument") as caught:
        mount.unmount(point)
    assert caught.value.filename == point


def test_parse_line() -> None:
    """Every field has its place; octal escapes are undone; optional fields may be none or many."""
    line = b"36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n"

    found = mountinfo.parse_line(line)

    assert found == mountinfo.MountInfo(
        36, 35, os.makedev(98, 0), "/mnt1", "/mnt 2\\x", "rw,noatime", ("master:1", "shared:7"), "ext3", "/dev/root",
        "rw,errors=continue",
    )  # fmt: skip
    assert mountinfo.parse_line(line.replace(b" master:1 shared:7", b"")).propagation == ()


@pytest.mark.parametrize("line", [b"", b"\n", b"36 35 98:0 / /mnt rw\n", b"36 35 98:0 / - ext3 a rw\n"])
def test_parse_line_refuses_other_text(line: bytes) -> None:
    """A line of another shape is an error, never a half-filled answer."""
    with pytest.raises(ValueError, match="not a mountinfo line"):
        mountinfo.parse_line(line)
