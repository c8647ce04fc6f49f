"""Subvolumes are made, limited and destroyed, with all that somebody put inside; what is no btrfs is refused."""

from __future__ import annotations

import errno
import os
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

from cstore.drivers.btrfs.driver import BtrfsDriver
from cstore.drivers.contract import MountOptions, TreeOptions
from cstore.drivers.registry import DriverPlace
from cstore.errors import DriverError, DriverUnusable
from cstore.idmap import IDMap, IDRange
from cstore.kernel import btrfs
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(btrfs_disk: str) -> Iterator[str]:
    """A home on btrfs that does not exist yet."""
    folder = tempfile.mkdtemp(dir=btrfs_disk)
    yield os.path.join(folder, "graph", "btrfs")
    detach_all(folder)


def open_driver(home: str, *options: str) -> BtrfsDriver:
    return BtrfsDriver(DriverPlace(home, "/nonexistent", options=options))


def make(driver: BtrfsDriver, layer: str, parent: str | None = None, options: TreeOptions | None = None) -> str:
    """Make a layer; returns its directory."""
    staged = driver.stage(parent, options or TreeOptions())
    driver.adopt(staged, layer, parent)
    staged.staging.remove()
    return driver.mount(layer, MountOptions())


def fill(path: str, megabytes: int) -> None:
    """Write a file that cannot be compressed, to the disk."""
    with open(path, "wb", buffering=0) as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())


def subvolumes(home: str) -> list[str]:
    """The layers of a home, as the tools of btrfs list them."""
    listed = subprocess.run(["btrfs", "subvolume", "list", home], capture_output=True, text=True, check=True)
    paths = [line.rpartition(" path ")[2] for line in listed.stdout.splitlines()]
    inside = os.path.relpath(home, os.path.dirname(os.path.dirname(os.path.dirname(home))))
    return sorted(os.path.basename(path) for path in paths if inside in path)


def test_a_layer_is_a_subvolume_and_nothing_else_stays(home: str) -> None:
    """The layout is that of other programs: a subvolume named after the layer, and no directory beside."""
    driver = open_driver(home)
    make(driver, "base")
    make(driver, "child", "base")

    assert os.listdir(home) == ["subvolumes"]
    assert subvolumes(home) == ["base", "child"]
    assert os.stat(os.path.join(home, "subvolumes", "base")).st_mode & 0o7777 == 0o555
    driver.remove("child").finish()
    assert subvolumes(home) == ["base"]
    assert os.listdir(home) == ["subvolumes"]


def test_subvolumes_inside_a_layer_go_with_it(home: str) -> None:
    """Whoever runs in a container may make subvolumes in subvolumes, and read-only ones."""
    driver = open_driver(home)
    tree = make(driver, "a")
    os.mkdir(os.path.join(tree, "dir"))
    for path in ("dir/one", "dir/one/two", "dir/one/two/three"):
        subprocess.run(["btrfs", "-q", "subvolume", "create", os.path.join(tree, path)], check=True)
    for path in ("dir/one/two", "dir/one"):
        subprocess.run(["btrfs", "property", "set", os.path.join(tree, path), "ro", "true"], check=True)
    driver.remove("a").finish()

    assert os.listdir(home) == ["subvolumes"]
    assert os.listdir(os.path.join(home, "subvolumes")) == []


def test_a_read_only_layer_goes_like_any_other(home: str) -> None:
    """Snapshots that were received are read-only, and not even root may rename such a thing."""
    driver = open_driver(home)
    tree = make(driver, "a")
    subprocess.run(["btrfs", "-q", "subvolume", "create", os.path.join(tree, "inner")], check=True)
    for path in (os.path.join(tree, "inner"), tree):
        subprocess.run(["btrfs", "property", "set", "-ts", path, "ro", "true"], check=True)
    driver.remove("a").finish()

    assert os.listdir(os.path.join(home, "subvolumes")) == []
    assert os.listdir(home) == ["subvolumes"]


def test_a_read_only_layer_that_is_replaced_stays_so_until_it_is_gone(home: str) -> None:
    """The exchange lends write permission for the moment of the rename only."""
    driver = open_driver(home)
    tree = make(driver, "a")
    subprocess.run(["btrfs", "property", "set", "-ts", tree, "ro", "true"], check=True)
    staged = driver.stage_again("a", None)
    removal = driver.replace(staged, "a")

    with pytest.raises(OSError, match="Read-only"):
        os.mkdir(os.path.join(staged.tree, "more"))
    os.mkdir(os.path.join(tree, "more"))
    removal.finish()
    assert os.listdir(home) == ["subvolumes"]


def test_a_directory_that_is_no_subvolume_becomes_one(home: str) -> None:
    """It is copied into a subvolume as soon as its contents are changed."""
    plain = os.path.join(home, "subvolumes", "copied")
    os.makedirs(os.path.join(plain, "dir"))
    os.chown(os.path.join(plain, "dir"), 7, 8)
    driver = open_driver(home)
    driver.replace(driver.stage_again("copied", None), "copied").finish()

    assert btrfs.is_subvolume(os.stat(plain))
    assert os.stat(os.path.join(plain, "dir")).st_uid == 7


def test_what_a_dead_process_left_is_swept(home: str) -> None:
    """Subvolumes that were staged or half removed go with the next sweep."""
    driver = open_driver(home)
    pid = os.fork()
    if not pid:
        driver.stage(None, TreeOptions())
        os._exit(0)
    os.waitpid(pid, 0)
    (stale,) = driver.stale()

    assert driver.sweep() == [stale]
    assert not os.path.exists(os.path.dirname(stale))


def test_without_the_right_to_destroy_a_subvolume_its_files_are_removed(
    home: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary user may remove what is his, and the emptied subvolume like a directory."""

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, "as for an ordinary user")

    driver = open_driver(home)
    tree = make(driver, "a")
    with open(os.path.join(tree, "f"), "w", encoding="ascii"):
        monkeypatch.setattr(btrfs, "destroy_subvolume", refused)
    driver.remove("a").finish()

    assert os.listdir(home) == ["subvolumes"]


def test_a_copy_with_other_owners_is_a_subvolume_too(home: str) -> None:
    """It shares its contents with the parent, but a snapshot could not have other owners."""
    driver = open_driver(home)
    make(driver, "base")
    shifted = IDMap((IDRange(0, 100000, 1000),), (IDRange(0, 100000, 1000),))
    tree = make(driver, "child", "base", TreeOptions(id_map=shifted))

    assert btrfs.is_subvolume(os.stat(tree))
    assert os.stat(tree).st_uid == 100000


def test_a_directory_that_is_no_subvolume_is_no_parent(home: str) -> None:
    """One copied here by hand, say: the error says what it is."""
    os.makedirs(os.path.join(home, "subvolumes", "copied"))

    with pytest.raises(DriverError, match="ordinary directory"):
        open_driver(home).stage("copied", TreeOptions())
    assert os.listdir(home) == ["subvolumes"]


def test_a_limit_holds_and_is_kept_where_others_look(home: str) -> None:
    """The kernel refuses what goes beyond it, a replaced tree keeps it, and it goes with the layer."""
    driver = open_driver(home)
    tree = make(driver, "a", options=TreeOptions(storage_options={"size": "8m"}))
    kept = os.path.join(home, "quotas", "a")

    with open(kept, encoding="ascii") as file:
        assert file.read() == str(8 << 20)
    assert os.stat(kept).st_mode & 0o777 == 0o644
    staged = driver.stage_again("a", None)
    driver.replace(staged, "a").finish()
    with pytest.raises(OSError, match="quota"):
        fill(os.path.join(tree, "big"), 40)
    driver.remove("a").finish()
    assert not os.path.exists(kept)


@pytest.mark.parametrize(
    ("option", "message"),
    [("size=0", "0 bytes"), ("size=1m", "min_space"), ("size=big", "not a size"), ("inodes=5", "no storage option")],
)
def test_limits_that_make_no_sense(home: str, option: str, message: str) -> None:
    """They are refused before anything is made."""
    key, _, value = option.partition("=")

    with pytest.raises(DriverError, match=message):
        open_driver(home, "btrfs.min_space=2m").stage(None, TreeOptions(storage_options={key: value}))
    assert not os.path.exists(home)


@pytest.mark.parametrize(
    ("option", "peer"),
    [
        ("btrfs.mountopt=nodev", "btrfs driver does not support mount options"),
        ("btrfs.bogus=1G", 'unknown option btrfs.bogus ("btrfs.bogus=1G")'),
        ("btrfs.size=much", "'much' is not a size"),
        ("btrfs.min_space=much", "'much' is not a size"),
    ],
)
def test_options_that_it_does_not_have(home: str, option: str, peer: str) -> None:
    """The peer refuses the same ones."""
    with pytest.raises(DriverError) as told:
        open_driver(home, option)

    assert peer in (told.value.go_text or told.value.message)


def test_another_file_system_is_refused_in_one_sentence(tmp_path: Path) -> None:
    """It says where the store would be, on what, and the way out."""
    with pytest.raises(DriverUnusable) as told:
        open_driver(str(tmp_path / "graph" / "btrfs"))

    assert str(told.value.message).startswith(f"storage driver btrfs: {tmp_path}/graph is on ")
    assert "--storage-driver" in told.value.hint
    assert "is not on a btrfs filesystem: prerequisites for driver not satisfied" in told.value.go_text
    assert list(tmp_path.iterdir()) == []
