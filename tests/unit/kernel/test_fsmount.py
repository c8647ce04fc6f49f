"""Mounts made by descriptor, and what they stand on."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from cstore.idmap import IDMap, IDRange
from cstore.kernel import fsmount
from cstore.kernel.statfs import filesystem_name, tells_types
from cstore.kernel.userns import mapped_namespace
from tests.mounts import detach_all, mount_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """A directory whose mounts go with the test."""
    yield tmp_path
    detach_all(str(tmp_path))


def a_tmpfs(**parameters: str) -> int:
    """A new mount that hangs nowhere."""
    with fsmount.Configuration("tmpfs") as configuration:
        for key, value in parameters.items():
            configuration.set(key, value)
        configuration.create()
        return configuration.mount(fsmount.ATTR_NODEV)


def test_a_mount_without_a_place_is_read_by_its_descriptor(top: Path) -> None:
    """It is in no table, and what is written there is gone with the descriptor."""
    fd = a_tmpfs(size="64k")
    with open(f"/proc/self/fd/{fd}/file", "w", encoding="ascii") as file:
        file.write("x")

    assert os.listdir(f"/proc/self/fd/{fd}") == ["file"]
    assert not os.path.ismount(top)
    fsmount.attach(fd, str(top))
    os.close(fd)
    assert os.listdir(top) == ["file"]
    assert "nodev" in mount_on(str(top)).options
    detach_all(str(top))
    assert not os.path.ismount(top)


def test_refusals_come_with_the_kernels_words() -> None:
    """The number says little; the log of the configuration names the parameter."""
    with fsmount.Configuration("overlay") as configuration:
        with pytest.raises(OSError, match="Invalid") as caught:
            configuration.set("frobnicate", "1")

        assert caught.value.errno == errno.EINVAL
        assert "frobnicate" in configuration.complaint()
    with pytest.raises(OSError, match="No such device"):
        fsmount.Configuration("nonsense")


def test_a_clone_shows_other_owners(top: Path) -> None:
    """With the map of a user namespace whose process is long gone."""
    source, target = top / "source", top / "target"
    source.mkdir()
    target.mkdir()
    (source / "file").write_text("x")
    os.chown(source / "file", 5, 6)
    namespace = mapped_namespace(IDMap((IDRange(0, 100000, 1000),), (IDRange(0, 200000, 1000),)))
    fd = fsmount.clone_mount(str(source))
    try:
        try:
            fsmount.set_attributes(fd, fsmount.ATTR_IDMAP, user_namespace=namespace)
        except OSError as error:
            pytest.skip(f"this file system has no ID-mapped mounts: {error}")
        fsmount.attach(fd, str(target))
    finally:
        os.close(fd)
        os.close(namespace)

    status = os.stat(target / "file")
    assert (status.st_uid, status.st_gid) == (100005, 200006)
    assert os.stat(source / "file").st_uid == 5


def test_a_failure_to_attach_names_the_target(top: Path) -> None:
    """As mount(2) does."""
    fd = a_tmpfs()
    try:
        with pytest.raises(FileNotFoundError) as caught:
            fsmount.attach(fd, str(top / "missing"))
    finally:
        os.close(fd)
    assert caught.value.filename == str(top / "missing")


def test_file_systems_have_the_peers_names(top: Path) -> None:
    """A tmpfs here, and one that the peer does not know."""
    fd = a_tmpfs()
    fsmount.attach(fd, str(top))
    os.close(fd)
    (top / "entry").mkdir()

    assert filesystem_name(str(top)) == "tmpfs"
    assert filesystem_name("/proc") == "<unknown>"
    assert tells_types(str(top))
    with pytest.raises(FileNotFoundError):
        tells_types(str(top / "missing"))
