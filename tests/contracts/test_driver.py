"""What every storage driver promises, run over each of them: a driver's own test file is one line in `DRIVERS`."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cstore.drivers.contract import MountOptions, TreeOptions
from cstore.drivers.registry import DRIVERS, DriverPlace, open_driver
from cstore.errors import CstoreError, DriverError
from cstore.idmap import IDENTITY, IDMap, IDRange
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cstore.drivers.contract import Driver, StagedTree

NO_OPTIONS = TreeOptions()
NEED_ROOT = {"overlay", "zfs"}
OPTIONS = {"zfs": ("zfs.fsname=pool/store",)}
NEED_DISK = {"btrfs": "btrfs_disk"}


@pytest.fixture(params=sorted(DRIVERS))
def driver_name(request: pytest.FixtureRequest) -> str:
    """Each driver in turn."""
    name: str = request.param
    if name in NEED_ROOT and os.geteuid() != 0:
        pytest.skip(f"needs root: {name} mounts")
    return name


@pytest.fixture
def folder(driver_name: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """A directory of the test's own on a file system that the driver works on."""
    made = str(tmp_path / "here")
    os.mkdir(made)
    if driver_name == "zfs":
        request.getfixturevalue("zfs_pool")
    if driver_name in NEED_DISK:
        made = tempfile.mkdtemp(dir=request.getfixturevalue(NEED_DISK[driver_name]))
    yield made
    detach_all(made)


@pytest.fixture
def driver(driver_name: str, folder: str) -> Driver:
    """The driver over an empty home."""
    home, run_home = (os.path.join(folder, root, driver_name) for root in ("graph", "run"))
    return open_driver(driver_name, DriverPlace(home, run_home, options=OPTIONS.get(driver_name, ())))


def make(driver: Driver, layer: str, parent: str | None = None, files: dict[str, str] | None = None) -> None:
    """Stage, fill and adopt a layer."""
    staged = driver.stage(parent, NO_OPTIONS)
    for name, text in (files or {}).items():
        write(os.path.join(staged.tree, name), text)
    driver.adopt(staged, layer, parent)
    staged.staging.remove()


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(driver: Driver, layer: str) -> dict[str, str]:
    """The files of a layer, through a mount."""
    root = driver.mount(layer, MountOptions())
    found = {}
    for name in os.listdir(root):
        with open(os.path.join(root, name), encoding="utf-8") as file:
            found[name] = file.read()
    driver.unmount(layer)
    return found


def test_an_unused_driver_has_no_layers_and_makes_nothing(driver: Driver, folder: str) -> None:
    """Looking at a store that does not exist yet leaves it so."""
    assert driver.layers() == []
    assert not driver.exists("a")
    assert driver.stale() == []
    assert os.listdir(folder) == []


def test_an_adopted_tree_is_a_layer(driver: Driver) -> None:
    """What was put into the staged tree is what a mount shows."""
    make(driver, "base", files={"f": "one"})

    assert driver.layers() == ["base"]
    assert driver.exists("base")
    assert read(driver, "base") == {"f": "one"}


def test_a_staged_tree_is_no_layer(driver: Driver) -> None:
    """Nothing half-made is ever listed, and discarding it leaves nothing."""
    staged = driver.stage(None, NO_OPTIONS)

    assert driver.layers() == []
    assert driver.stale() == [], "its owner is alive"
    assert driver.sweep() == []
    assert os.path.isdir(staged.tree)
    staged.staging.remove()
    assert not os.path.exists(staged.tree)


def test_a_child_shows_its_parents_files_and_its_own(driver: Driver) -> None:
    """A change in the child does not reach the parent."""
    make(driver, "base", files={"f": "one", "g": "two"})
    make(driver, "child", "base")
    root = driver.mount("child", MountOptions())
    write(os.path.join(root, "f"), "changed")
    driver.unmount("child")

    assert read(driver, "child") == {"f": "changed", "g": "two"}
    assert read(driver, "base") == {"f": "one", "g": "two"}


def test_failed_stage_leaves_nothing(driver: Driver) -> None:
    """A parent that is not there is an error, and the next attempt does not stumble over the first."""
    with pytest.raises(DriverError):
        driver.stage("missing", NO_OPTIONS)

    assert driver.stale() == []
    make(driver, "base")
    assert driver.layers() == ["base"]


def test_adopting_replaces_a_tree_that_no_record_owned(driver: Driver) -> None:
    """What a crash left under the ID does not shine through."""
    make(driver, "a", files={"old": "old"})
    make(driver, "a", files={"new": "new"})

    assert read(driver, "a") == {"new": "new"}
    assert driver.stale() == []


def test_removal_is_out_of_sight_at_once_and_gone_in_the_end(driver: Driver) -> None:
    """Between the two steps nothing shows the layer, and only then its space is free."""
    make(driver, "a", files={"f": "one"})
    removal = driver.remove("a")

    assert driver.layers() == []
    assert not driver.exists("a")
    removal.finish()
    assert driver.stale() == []


def test_removing_what_is_not_there_is_no_error(driver: Driver) -> None:
    """A second removal finds nothing to do."""
    driver.remove("never").finish()


def test_replacing_is_one_step(driver: Driver) -> None:
    """The staged copy takes the layer's place with all that was changed in it."""
    make(driver, "a", files={"f": "one", "g": "two"})
    staged: StagedTree = driver.stage_again("a", None)
    write(os.path.join(staged.tree, "f"), "changed")

    assert read(driver, "a") == {"f": "one", "g": "two"}, "not before it is replaced"
    driver.replace(staged, "a").finish()
    assert read(driver, "a") == {"f": "changed", "g": "two"}
    assert driver.stale() == []


def test_changes_and_their_size_are_against_the_base(driver: Driver) -> None:
    """Added, modified and deleted files are seen; what is the same is not."""
    make(driver, "base", files={"same": "1", "gone": "2", "other": "3"})
    make(driver, "child", "base")
    root = driver.mount("child", MountOptions())
    write(os.path.join(root, "other"), "four!")
    write(os.path.join(root, "new"), "five")
    os.unlink(os.path.join(root, "gone"))
    driver.unmount("child")

    found = {(change.path, change.kind.name) for change in driver.changes("child", "base", IDENTITY, IDENTITY)}
    assert {(b"/gone", "DELETE"), (b"/new", "ADD"), (b"/other", "MODIFY")} == found
    assert driver.diff_size("child", "base", IDENTITY, IDENTITY) == len("four!") + len("five")


def test_a_parents_owners_are_mapped_anew(driver: Driver, needs_root: None) -> None:
    """A child with another ID map has the same owners inside, and others outside."""
    make(driver, "base", files={"f": "one"})
    shifted = IDMap((IDRange(0, 100000, 1000),), (IDRange(0, 200000, 1000),))
    staged = driver.stage("base", TreeOptions(id_map=shifted))
    driver.adopt(staged, "child", "base")
    staged.staging.remove()

    status = os.stat(os.path.join(driver.mount("child", MountOptions()), "f"))
    assert (status.st_uid, status.st_gid) == (100000, 200000)


@pytest.mark.parametrize("hostile", ["..", "../escape", "/etc", "a/b", ""])
def test_an_id_from_a_record_never_leads_out_of_the_driver(driver: Driver, folder: str, hostile: str) -> None:
    """Records of other programs may hold any text; no driver makes a path of it."""
    victim = os.path.join(folder, "graph", "escape", "diff")
    os.makedirs(victim)
    for operation in (
        lambda: driver.remove(hostile),
        lambda: driver.mount(hostile, MountOptions()),
        lambda: driver.stage(hostile, NO_OPTIONS),
        lambda: driver.stage_again(hostile, None),
        lambda: driver.content_roots(hostile),
        lambda: driver.path_of(hostile),
        lambda: driver.unmount(hostile),
    ):
        with suppress(CstoreError):
            assert not str(operation()).startswith(os.path.dirname(victim))
    assert not driver.is_mounted(hostile, "/")
    assert os.path.isdir(victim)
