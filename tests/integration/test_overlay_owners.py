"""Owners in overlay layers: shifted by the mount, rewritten by a copy, or served by a program."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cstore.drivers.contract import MountOptions, TreeOptions
from cstore.drivers.overlay.driver import OverlayDriver
from cstore.drivers.registry import DriverPlace
from cstore.idmap import IDENTITY, IDMap, IDRange
from cstore.kernel import mount
from tests.builders import directory, make_tar, regular, whiteout
from tests.mounts import detach_all, mount_on, mounts_below

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("needs_root")

SHIFTED = IDMap((IDRange(0, 100000, 1000),), (IDRange(0, 200000, 1000),))
BASE = make_tar(regular("f", b"1"), regular("g", b"2"), directory("d"), regular("d/old", b"3"))
ABOVE = make_tar(whiteout("f"), directory("d"), regular("d/.wh..wh..opq"), regular("d/new", b"4"))
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """Where a test works; its mounts go with it."""
    yield tmp_path
    detach_all(str(tmp_path))


@pytest.fixture
def driver(top: Path) -> OverlayDriver:
    """The driver over a home with one layer, `base`, that has owners, modes, links and a capability."""
    driver = opened(top)
    staged = driver.stage(None, TreeOptions())
    tree = staged.tree
    for name in ("plain", "suid", "able", "first"):
        with open(os.path.join(tree, name), "w", encoding="ascii") as file:
            file.write(name)
    os.link(os.path.join(tree, "first"), os.path.join(tree, "second"))
    os.mkdir(os.path.join(tree, "links"))
    os.link(os.path.join(tree, "first"), os.path.join(tree, "links/one"))
    os.utime(os.path.join(tree, "links"), ns=(1_000_000_000, 1_000_000_000))
    os.symlink("nowhere", os.path.join(tree, "link"))
    os.makedirs(os.path.join(tree, "folder/inner"))
    os.lchown(os.path.join(tree, "plain"), 5, 6)
    os.lchown(os.path.join(tree, "link"), 5, 6)
    os.chmod(os.path.join(tree, "suid"), 0o4711)  # noqa: S103  - the very thing to be kept
    os.setxattr(os.path.join(tree, "able"), "security.capability", CAPABILITY)
    os.chmod(tree, 0o1777)  # noqa: S103  - the very thing to be kept
    driver.adopt(staged, "base", None)
    staged.staging.remove()
    return driver


def opened(top: Path, *options: str) -> OverlayDriver:
    """The driver over the test's home."""
    place = DriverPlace(str(top / "graph/overlay"), str(top / "run/overlay"), options=options, sync=False)
    return OverlayDriver(place)


def child(driver: OverlayDriver, layer: str, parent: str, options: TreeOptions | None = None) -> None:
    """Make an empty layer."""
    staged = driver.stage(parent, options or TreeOptions())
    driver.adopt(staged, layer, parent)
    staged.staging.remove()


def owners(root: str) -> dict[str, tuple[int, int]]:
    """Who owns what at the top of a tree."""
    found = {name: os.lstat(os.path.join(root, name)) for name in os.listdir(root)}
    return {name: (status.st_uid, status.st_gid) for name, status in found.items()}


def needs_shifting(driver: OverlayDriver) -> None:
    if not driver.can_shift(SHIFTED):
        pytest.skip("this kernel or file system has no ID-mapped mounts for overlay")


def test_a_mount_shifts_what_lies_beneath(driver: OverlayDriver, top: Path) -> None:
    """Files of the layers below appear with other owners; what is written has its owner on disk; no helper stays."""
    needs_shifting(driver)
    child(driver, "middle", "base")
    child(driver, "mine", "middle")
    root = driver.mount("mine", MountOptions(id_map=SHIFTED))

    assert owners(root)["plain"] == (100005, 200006)
    assert owners(root)["suid"] == (100000, 200000)
    assert (os.stat(root).st_uid, os.stat(root).st_gid) == (100000, 200000)
    os.chown(os.path.join(root, "plain"), 100007, 200007)
    assert owners(os.path.join(driver.path_of("mine"), "diff"))["plain"] == (100007, 200007)
    assert not os.path.exists(os.path.join(driver.path_of("mine"), "mapped"))
    assert set(mounts_below(str(top))) == {str(top / "graph/overlay"), root}
    driver.unmount("mine")
    assert owners(driver.mount("middle", MountOptions()))["plain"] == (5, 6)


def test_shifting_can_be_forbidden(driver: OverlayDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable that the peers obey, too."""
    needs_shifting(driver)
    monkeypatch.setenv("_CONTAINERS_OVERLAY_DISABLE_IDMAP", "yes")
    assert not driver.can_shift(SHIFTED)
    assert dict(driver.status())["Supports shifting"] == "false"


def test_other_mounted_layers_do_not_stand_in_the_way(driver: OverlayDriver) -> None:
    """Mounts inside the home cannot be shifted, and need not be."""
    needs_shifting(driver)
    driver.mount("base", MountOptions())
    child(driver, "mine", "base")

    assert owners(driver.mount("mine", MountOptions(id_map=SHIFTED)))["plain"] == (100005, 200006)


@pytest.mark.parametrize("first", [5, 1])
def test_a_map_without_root_shifts_whom_it_has(driver: OverlayDriver, top: Path, first: int) -> None:
    """Files of others belong to nobody; they can be seen, and the layers' own directories are no hindrance."""
    needs_shifting(driver)
    child(driver, "middle", "base")
    child(driver, "mine", "middle")
    some = IDMap((IDRange(first, 100000 + first, 1000),), (IDRange(first, 200000 + first, 1000),))
    root = driver.mount("mine", MountOptions(id_map=some))

    assert owners(root)["plain"] == (100005, 200006)
    assert owners(root)["suid"] == (65534, 65534)
    assert not os.path.exists(os.path.join(driver.path_of("mine"), "mapped"))
    with open(os.path.join(root, "plain"), encoding="ascii") as file:
        assert file.read() == "plain"


def test_rewritten_owners_keep_everything_else(driver: OverlayDriver) -> None:
    """Set-ID bits, capabilities and hard links survive, and the layer shows no change against its parent."""
    child(driver, "mine", "base", TreeOptions(id_map=SHIFTED))
    root = driver.mount("mine", MountOptions())

    assert owners(root)["plain"] == owners(root)["link"] == (100005, 200006)
    assert owners(root)["folder"] == (100000, 200000)
    status = os.stat(root)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (100000, 200000, 0o1777)
    assert stat.S_IMODE(os.stat(os.path.join(root, "suid")).st_mode) == 0o4711
    assert os.getxattr(os.path.join(root, "able"), "security.capability")[:8] == CAPABILITY[:8]
    assert os.path.samefile(os.path.join(root, "first"), os.path.join(root, "second"))
    inner = os.stat(os.path.join(root, "links"))
    assert inner.st_mtime_ns == 1_000_000_000
    assert os.path.samefile(os.path.join(root, "links/one"), os.path.join(root, "first"))
    assert os.listdir(os.path.join(driver.path_of("mine"), "diff")) == []
    assert driver.changes("mine", "base", SHIFTED, IDENTITY) == []
    assert owners(os.path.join(driver.path_of("base"), "diff"))["plain"] == (5, 6)


def test_layers_above_and_beside_a_rewritten_one(driver: OverlayDriver) -> None:
    """A child sees the rewritten owners, also shifted once more; a mapped layer on it is whole."""
    child(driver, "mine", "base", TreeOptions(id_map=IDMap((IDRange(0, 1000, 500),), (IDRange(0, 1000, 500),))))
    child(driver, "above", "mine")
    assert owners(driver.mount("above", MountOptions()))["plain"] == (1005, 1006)
    driver.unmount("above")
    needs_shifting(driver)
    shifted = IDMap(
        (IDRange(0, 50000, 1), IDRange(1000, 100000, 500)), (IDRange(0, 50000, 1), IDRange(1000, 200000, 500))
    )
    assert owners(driver.mount("above", MountOptions(id_map=shifted)))["plain"] == (100005, 200006)

    staged = driver.stage_again("mine", "base")
    driver.replace(staged, "mine").finish()
    assert owners(driver.mount("mine", MountOptions()))["plain"] == (1005, 1006)


def test_a_map_without_the_owner_leaves_nothing(driver: OverlayDriver) -> None:
    """The ID that is missing is named, and the half-made layer is gone."""
    from cstore.errors import InvalidIDMap

    with pytest.raises(InvalidIDMap, match="5"):
        driver.stage("base", TreeOptions(id_map=IDMap((IDRange(0, 1000, 3),), (IDRange(0, 1000, 3),))))

    assert driver.stale() == []
    assert not os.path.exists(os.path.join(os.path.dirname(driver.path_of("base")), "..", "cstore-staging"))


def archive(driver: OverlayDriver, top: Path, layer: str, parent: str | None, data: bytes) -> None:
    """Import an archive."""
    from cstore.archive.apply import ApplyOptions, apply_archive

    (top / "layer.tar").write_bytes(data)
    staged = driver.stage(parent, TreeOptions())
    options = ApplyOptions(form=staged.form, has_lower=staged.has_lower, sync=False, lowers=staged.lowers)
    with open(top / "layer.tar", "rb") as source:
        apply_archive(source.fileno(), staged.tree, str(top / f"{layer}.tar-split"), options)
    driver.adopt(staged, layer, parent)
    staged.staging.remove()


# ── a program that mounts ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def fuse(top: Path) -> OverlayDriver:
    """The driver with fuse-overlayfs."""
    program = shutil.which("fuse-overlayfs")
    if program is None or not os.path.exists("/dev/fuse"):
        pytest.skip("needs fuse-overlayfs and /dev/fuse")
    return opened(top, f"overlay.mount_program={program}")


def test_a_program_mounts_reads_writes_and_ends(fuse: OverlayDriver, top: Path) -> None:
    """fuse-overlayfs serves the tree until it is unmounted; the peers are told that it was here."""
    staged = fuse.stage(None, TreeOptions())
    with open(os.path.join(staged.tree, "f"), "w", encoding="ascii") as file:
        file.write("one")
    fuse.adopt(staged, "base", None)
    staged.staging.remove()
    child(fuse, "mine", "base")
    root = fuse.mount("mine", MountOptions())

    assert mount_on(root).fstype == "fuse.fuse-overlayfs"
    assert fuse.is_mounted("mine", root)
    with open(os.path.join(root, "f"), "a", encoding="ascii") as file:
        file.write("two")
    os.unlink(os.path.join(root, "f"))
    with open(os.path.join(root, "g"), "w", encoding="ascii") as file:
        file.write("two")
    fuse.unmount("mine")
    assert not fuse.is_mounted("mine", root)
    found = {(change.path, change.kind.name) for change in fuse.changes("mine", "base", IDENTITY, IDENTITY)}
    assert found == {(b"/f", "DELETE"), (b"/g", "ADD")}
    assert (top / "graph/overlay/.has-mount-program").read_text() == "true"
    assert dict(fuse.status())["Native Overlay Diff"] == "false"
    assert mounts_below(str(top)) == [str(top / "graph/overlay")]


def test_whiteouts_stay_files_for_a_program(fuse: OverlayDriver, top: Path) -> None:
    """Marks as archives have them are what such a program reads: what they name is gone in the mount."""
    archive(fuse, top, "base", None, BASE)
    archive(fuse, top, "above", "base", ABOVE)
    diff = os.path.join(fuse.path_of("above"), "diff")

    assert sorted(os.listdir(diff)) == [".wh.f", "d"]
    assert stat.S_ISREG(os.lstat(os.path.join(diff, ".wh.f")).st_mode)
    assert sorted(os.listdir(os.path.join(diff, "d"))) == [".wh..wh..opq", "new"]
    root = fuse.mount("above", MountOptions())
    assert sorted(os.listdir(root)) == ["d", "g"]
    assert os.listdir(os.path.join(root, "d")) == ["new"]


@pytest.mark.parametrize("first", ["mark", "file"])
def test_a_mark_beside_what_the_layer_itself_has(fuse: OverlayDriver, top: Path, first: str) -> None:
    """The program would show neither, and make a directory for a mark that hides nothing: no such mark is left."""
    mark, own = regular("g/.wh.f"), [directory("g"), regular("g/f", b"new"), directory("g/e"), regular("g/e/n", b"2")]
    rows = [mark, regular("g/.wh.e"), *own] if first == "mark" else [*own, mark, regular("g/.wh.e")]
    base = make_tar(directory("g"), regular("g/f", b"1"), directory("g/e"), regular("g/e/old", b"1"))
    archive(fuse, top, "base", None, base)
    archive(fuse, top, "above", "base", make_tar(*rows, regular("no/such/.wh.x"), regular("none/.wh..wh..opq")))
    root = fuse.mount("above", MountOptions())

    assert sorted(os.listdir(root)) == ["g"]
    assert sorted(os.listdir(f"{root}/g")) == ["e", "f"]
    assert os.listdir(f"{root}/g/e") == ["n"]
    with open(f"{root}/g/f", "rb") as file:
        assert file.read() == b"new"


def test_a_program_shifts_owners(fuse: OverlayDriver) -> None:
    """It is told the map, as the kernel is."""
    staged = fuse.stage(None, TreeOptions())
    os.mkdir(os.path.join(staged.tree, "d"))
    os.chown(os.path.join(staged.tree, "d"), 5, 6)
    fuse.adopt(staged, "base", None)
    staged.staging.remove()
    child(fuse, "mine", "base")

    assert fuse.can_shift(SHIFTED)
    assert owners(fuse.mount("mine", MountOptions(id_map=SHIFTED)))["d"] == (100005, 200006)


def test_a_program_that_fails_is_named(top: Path) -> None:
    """With what it said, and nothing stays mounted."""
    program = top / "failing"
    program.write_text("#!/bin/sh\necho no such luck >&2\nexit 3\n")
    program.chmod(0o700)
    driver = opened(top, f"overlay.mount_program={program}")
    staged = driver.stage(None, TreeOptions())
    driver.adopt(staged, "base", None)
    staged.staging.remove()

    from cstore.errors import DriverError

    with pytest.raises(DriverError, match=r"failing failed: no such luck"):
        driver.mount("base", MountOptions())
    assert not driver.is_mounted("base", os.path.join(driver.path_of("base"), "merged"))


def test_where_the_kernel_cannot_mount_the_usual_program_does(top: Path) -> None:
    """A store on an overlay mount, as in most containers, is served by fuse-overlayfs if that is installed."""
    if shutil.which("fuse-overlayfs") is None or not os.path.exists("/dev/fuse"):
        pytest.skip("needs fuse-overlayfs and /dev/fuse")
    for name in ("low", "up", "work", "on"):
        (top / name).mkdir()
    data = f"lowerdir={top}/low,upperdir={top}/up,workdir={top}/work"
    mount.mount("overlay", str(top / "on"), "overlay", data=data)
    driver = opened(top / "on")
    staged = driver.stage(None, TreeOptions())
    driver.adopt(staged, "base", None)
    staged.staging.remove()
    root = driver.mount("base", MountOptions())
    (Path(root) / "f").write_text("x", encoding="ascii")

    assert mount_on(root).fstype == "fuse.fuse-overlayfs"
    driver.unmount("base")
    assert dict(driver.status())["Backing Filesystem"] == "overlayfs"


def test_a_store_of_a_program_keeps_its_program(fuse: OverlayDriver, top: Path) -> None:
    """Without the option, the word in the home decides: the kernel would not read such layers rightly."""
    staged = fuse.stage(None, TreeOptions())
    fuse.adopt(staged, "base", None)
    staged.staging.remove()
    again = opened(top)
    root = again.mount("base", MountOptions())

    assert mount_on(root).fstype == "fuse.fuse-overlayfs"
    again.unmount("base")
