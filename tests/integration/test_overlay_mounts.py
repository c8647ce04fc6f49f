"""Overlay mounts as they really are: how many directories, with which options, by whom, and what is left of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cstore.drivers.contract import MountOptions, TreeOptions
from cstore.drivers.overlay import classic
from cstore.drivers.overlay.driver import OverlayDriver
from cstore.drivers.overlay.mount import Stack
from cstore.drivers.registry import DriverPlace
from cstore.errors import DriverError
from cstore.idmap import IDENTITY
from cstore.kernel import mount
from tests.builders import listing
from tests.mounts import detach_all, mount_on, mounts_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cstore.archive.streams import Sink

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """Where a test works; its mounts go with it."""
    yield tmp_path
    detach_all(str(tmp_path))


@pytest.fixture
def driver(top: Path) -> OverlayDriver:
    """The driver over an empty home, without options."""
    return opened(top)


def opened(top: Path, *options: str) -> OverlayDriver:
    """The driver over the test's home."""
    place = DriverPlace(str(top / "graph/overlay"), str(top / "run/overlay"), options=options, sync=False)
    return OverlayDriver(place)


def make(driver: OverlayDriver, layer: str, parent: str | None = None, **files: str) -> None:
    """Stage, fill and adopt a layer."""
    staged = driver.stage(parent, TreeOptions())
    for name, text in files.items():
        write(os.path.join(staged.tree, name), text)
    driver.adopt(staged, layer, parent)
    staged.staging.remove()


def chain(driver: OverlayDriver, count: int) -> str:
    """Make `count` layers on top of each other, each with a file of its own, and return the topmost."""
    for number in range(count):
        make(
            driver,
            f"l{number}",
            f"l{number - 1}" if number else None,
            **{f"f{number}": str(number), "last": str(number)},
        )
    return f"l{count - 1}"


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read(*parts: str) -> str:
    with open(os.path.join(*parts), encoding="utf-8") as file:
        return file.read()


def super_options(path: str) -> list[str]:
    """The file system's options of the mount on `path`."""
    return mount_on(path).super_options.split(",")


# ── how deep ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("lowers", [1, 62, 200, 499])
def test_chains_mount_and_read(driver: OverlayDriver, lowers: int) -> None:
    """Every ancestor's file is there, the nearest wins, and writing works."""
    layer = chain(driver, lowers + 1)
    root = driver.mount(layer, MountOptions())

    assert len(os.listdir(root)) == lowers + 2
    assert read(root, "f0") == "0"
    assert read(root, "last") == str(lowers)
    write(os.path.join(root, "f0"), "changed")
    changes = driver.changes(layer, f"l{lowers - 1}", IDENTITY, IDENTITY)
    assert [change.path for change in changes] == [b"/f0", b"/" + f"f{lowers}".encode(), b"/last"]
    driver.unmount(layer)
    assert read(driver.path_of("l0"), "diff", "f0") == "0"


def test_the_deepest_layer_has_no_children_that_could_not_be_mounted(driver: OverlayDriver) -> None:
    """Five hundred ancestors are the most; what would have more is refused when it is made."""
    layer = chain(driver, 501)
    assert read(driver.mount(layer, MountOptions()), "f0") == "0"

    with pytest.raises(DriverError, match="500 ancestors"):
        driver.stage(layer, TreeOptions())
    assert driver.stale() == []


@pytest.mark.parametrize("lowers", [1, 30, 300])
def test_old_kernels_mount_the_same(top: Path, lowers: int) -> None:
    """mount(2) with all options in one page, and with numbers for directories where they do not fit."""
    paths = [str(top / f"a,b:c\\{number:03}{'x' * 40}") for number in range(lowers)]
    for number, path in enumerate(paths):
        os.mkdir(path)
        write(os.path.join(path, f"f{number}"), str(number))
    upper, work, target = (str(top / name) for name in ("up,per", "wo:rk", "target"))
    for path in (upper, work, target):
        os.mkdir(path)
    stack = Stack("test", paths, upper, work, ("nodev", "index=off"))
    classic.mount_classically(stack, stack.sorted_words(), target)

    assert len(os.listdir(target)) == lowers
    assert read(target, f"f{lowers - 1}") == str(lowers - 1)
    write(os.path.join(target, "new"), "new")
    assert os.listdir(upper) == ["new"]
    assert "nodev" in mount_on(target).options


def test_long_paths_and_odd_names(tmp_path: Path, top: Path) -> None:
    """A home deeper than a mount parameter may be long, with everything in it that mount options use."""
    del tmp_path
    deep = top / ("a:b,c\\d " + "x" * 120) / ("y" * 120)
    deep.mkdir(parents=True)
    driver = opened(deep)
    layer = chain(driver, 3)

    assert read(driver.mount(layer, MountOptions()), "f0") == "0"
    assert driver.is_mounted(layer, os.path.join(driver.path_of(layer), "merged"))
    driver.unmount(layer)
    driver.shutdown()
    assert mounts_below(str(top)) == []


# ── with which options ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_read_only_mount_cannot_be_written_to(driver: OverlayDriver) -> None:
    """And it shows what the layer itself holds."""
    layer = chain(driver, 2)
    root = driver.mount(layer, MountOptions(options=("ro",)))

    assert read(root, "last") == "1"
    with pytest.raises(OSError, match="Read-only"):
        write(os.path.join(root, "new"), "")
    assert not any(word.startswith("upperdir") for word in super_options(root))


def test_a_volatile_mount_can_be_made_again(driver: OverlayDriver) -> None:
    """The kernel leaves a mark that forbids it; we know better, because a crash loses nothing that we keep."""
    layer = chain(driver, 2)
    for _ in range(2):
        root = driver.mount(layer, MountOptions(volatile=True))
        assert any(word.endswith("volatile") for word in super_options(root))
        write(os.path.join(root, "f"), "")
        driver.unmount(layer)
    assert not any(word.endswith("volatile") for word in super_options(driver.mount(layer, MountOptions())))


def test_configured_options_hold_unless_the_caller_brings_some(top: Path) -> None:
    """Flags go to the mount, the rest to the file system."""
    driver = opened(top, "overlay.mountopt=nodev,index=on")
    layer = chain(driver, 2)
    root = driver.mount(layer, MountOptions())
    on_top = mount_on(root)
    assert "nodev" in on_top.options.split(",")
    assert "index=on" in super_options(root)
    driver.unmount(layer)

    root = driver.mount(layer, MountOptions(options=("noexec",)))
    on_top = mount_on(root)
    assert "noexec" in on_top.options.split(",")
    assert "nodev" not in on_top.options.split(",")


def test_an_option_that_nobody_knows_is_named(driver: OverlayDriver) -> None:
    """With the kernel's own words about it, and nothing is left mounted."""
    layer = chain(driver, 1)
    with pytest.raises(DriverError, match="frobnicate"):
        driver.mount(layer, MountOptions(options=("frobnicate=1",)))

    assert not driver.is_mounted(layer, os.path.join(driver.path_of(layer), "merged"))


def test_metacopy_is_left_out_where_it_is_off(driver: OverlayDriver, top: Path) -> None:
    """A configuration made for another kernel still mounts; and with it the comparison goes by the mounted trees."""
    layer = chain(driver, 2)
    assert dict(driver.status())["Using metacopy"] == "false"
    assert dict(driver.status())["Native Overlay Diff"] == "true"

    other = opened(top, "overlay.mountopt=metacopy=on")
    assert dict(other.status())["Using metacopy"] == "true"
    assert dict(other.status())["Native Overlay Diff"] == "false"
    root = other.mount(layer, MountOptions())
    os.chmod(os.path.join(root, "f0"), 0o600)
    os.rename(os.path.join(root, "last"), os.path.join(root, "renamed"))
    other.unmount(layer)
    found = {(change.path, change.kind.name) for change in other.changes(layer, "l0", IDENTITY, IDENTITY)}
    assert found == {(b"/f0", "MODIFY"), (b"/f1", "ADD"), (b"/last", "DELETE"), (b"/renamed", "ADD")}


def test_a_label_that_no_security_module_reads_is_explained(driver: OverlayDriver) -> None:
    """The label is named, and what it would need."""
    if os.path.isdir("/sys/fs/selinux"):
        pytest.skip("SELinux is there")
    layer = chain(driver, 1)
    with pytest.raises(DriverError) as caught:
        driver.mount(layer, MountOptions(label="system_u:object_r:container_file_t:s0:c1,c2"))

    assert "needs SELinux" in caught.value.hint


def test_without_privileges_marks_are_the_users(top: Path) -> None:
    """In a user namespace whiteouts and opaque marks are written in `user.overlay.*`, and a mount reads them."""
    script = f"""
import os, sys
from cstore.drivers.contract import MountOptions, TreeOptions
from cstore.drivers.overlay.driver import OverlayDriver
from cstore.drivers.registry import DriverPlace
from cstore.idmap import IDENTITY
driver = OverlayDriver(DriverPlace({str(top / "g/overlay")!r}, {str(top / "r/overlay")!r}))
staged = driver.stage(None, TreeOptions())
os.makedirs(staged.tree + "/d/old")
driver.adopt(staged, "a", None); staged.staging.remove()
staged = driver.stage("a", TreeOptions())
print(staged.form.name)
driver.adopt(staged, "b", "a"); staged.staging.remove()
root = driver.mount("b", MountOptions())
os.rmdir(root + "/d/old"); os.rmdir(root + "/d"); os.mkdir(root + "/d")
driver.unmount("b")
print(os.getxattr(driver.path_of("b") + "/diff/d", "user.overlay.opaque"))
print([(c.path, c.kind.name) for c in driver.changes("b", "a", IDENTITY, IDENTITY)])
with driver.tree_of("b") as tree:
    print(os.listdir(tree + "/d"))
"""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", script],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["OVERLAY_USER", "b'y'", "[(b'/d', 'DELETE')]", "[]"]


# ── what is left ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_mount_survives_its_process_and_is_seen_by_others(driver: OverlayDriver) -> None:
    """Who mounts is gone at once; a stranger reads the files, and another process unmounts."""
    layer = chain(driver, 2)
    pid = os.fork()
    if pid == 0:
        driver.mount(layer, MountOptions())
        os._exit(0)
    os.waitpid(pid, 0)
    merged = os.path.join(driver.path_of(layer), "merged")

    assert driver.is_mounted(layer, merged)
    assert subprocess.run(["cat", f"{merged}/f0"], capture_output=True, check=True).stdout == b"0"
    assert driver.mount(layer, MountOptions()) == merged
    driver.unmount(layer)
    assert not driver.is_mounted(layer, merged)
    assert os.listdir(merged) == []


def test_the_home_is_a_private_mount_until_shutdown(driver: OverlayDriver, top: Path) -> None:
    """As the peer has it, unless it is told not to; and a mount of somebody else stays."""
    layer = chain(driver, 1)
    home = str(top / "graph/overlay")
    driver.mount(layer, MountOptions())
    bound = mount_on(home)
    assert not any(word.startswith("shared") for word in bound.propagation)
    driver.unmount(layer)
    driver.shutdown()
    assert mounts_below(str(top)) == []

    opened(top, "overlay.skip_mount_home=true").mount(layer, MountOptions())
    assert mounts_below(str(top)) == [os.path.join(home, layer, "merged")]


def test_shutdown_leaves_a_disk_on_the_home(driver: OverlayDriver, top: Path) -> None:
    """An administrator's mount on the home is not ours to take away."""
    home = str(top / "graph/overlay")
    os.makedirs(home)
    mount.mount("tmpfs", home, "tmpfs")
    make(driver, "a")
    driver.mount("a", MountOptions())
    driver.unmount("a")
    driver.shutdown()

    assert mounts_below(str(top)) == [home]


def test_reading_mounts_and_writes_nothing(driver: OverlayDriver, top: Path) -> None:
    """Not even where the trees have to be compared as a whole: that mount hangs nowhere."""
    layer = chain(driver, 3)
    shutil.rmtree(top / "run", ignore_errors=True)
    before, mounts = listing(str(top)), mounts_below(str(top))
    reader = opened(top)

    assert len(reader.changes(layer, "l1", IDENTITY, IDENTITY)) == 2
    assert len(reader.changes(layer, "l0", IDENTITY, IDENTITY)) == 3
    assert reader.diff_size(layer, "l0", IDENTITY, IDENTITY) == 3
    written = bytearray()
    reader.write_diff(layer, "l1", written_to(written), IDENTITY, IDENTITY)
    reader.write_diff(layer, "l0", written_to(written), IDENTITY, IDENTITY)
    assert reader.layers() == ["l0", "l1", "l2"]
    assert len(reader.status()) == 6
    assert listing(str(top)) == before
    assert mounts_below(str(top)) == mounts


def written_to(target: bytearray) -> Sink:
    """A sink that keeps everything."""

    class _Keep:
        def write(self, data: bytes | bytearray | memoryview) -> None:
            target.extend(data)

    return _Keep()


def test_removal_takes_a_mount_along(driver: OverlayDriver) -> None:
    """A layer in use can be removed; its link goes too."""
    layer = chain(driver, 2)
    root = driver.mount(layer, MountOptions())
    with open(os.path.join(root, "f0"), encoding="ascii") as kept:
        driver.remove(layer).finish()
        assert kept.read() == "0"

    assert driver.layers() == ["l0"]
    assert len(os.listdir(os.path.join(os.path.dirname(driver.path_of("l0")), "l"))) == 1
    assert not os.path.exists(os.path.join(os.path.dirname(driver.path_of("l0")), "..", "cstore-staging"))


def test_a_mounted_layer_is_not_replaced(driver: OverlayDriver) -> None:
    """Its users would see neither the old nor the new."""
    layer = chain(driver, 1)
    driver.mount(layer, MountOptions())
    staged = driver.stage_again(layer, None)
    with pytest.raises(DriverError, match="is mounted"):
        driver.replace(staged, layer)
    staged.staging.remove()


# ── damage ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_missing_links_are_mended_by_a_mount(driver: OverlayDriver, top: Path) -> None:
    """All of them at once; reading before that works too, and writes none."""
    layer = chain(driver, 4)
    links = top / "graph/overlay/l"
    before = {name: os.readlink(links / name) for name in os.listdir(links)}
    shutil.rmtree(links)

    assert len(driver.changes(layer, "l2", IDENTITY, IDENTITY)) == 2
    assert not links.exists()
    assert read(driver.mount(layer, MountOptions()), "f0") == "0"
    assert {name: os.readlink(links / name) for name in os.listdir(links)} == before


def test_a_chain_without_its_foot_is_named(driver: OverlayDriver) -> None:
    """Which layer, which link; nothing is mounted."""
    layer = chain(driver, 3)
    shutil.rmtree(driver.path_of("l0"))
    with pytest.raises(DriverError, match="needs the short link"):
        driver.mount(layer, MountOptions())

    assert mounts_below(os.path.dirname(driver.path_of(layer))) == []


def test_a_half_made_layer_is_named(driver: OverlayDriver) -> None:
    """A directory of that ID with nothing in it is no layer that could be mounted."""
    make(driver, "whole")
    os.mkdir(driver.path_of("half"))
    with pytest.raises(DriverError, match="layer half has no directory"):
        driver.mount("half", MountOptions())


def test_masked_modes_are_not_promised(driver: OverlayDriver, top: Path) -> None:
    """With force_mask the kernel, which knows nothing of it, gets no layers to write into; it mounts what is there."""
    layer = chain(driver, 2)
    masked = opened(top, "overlay.force_mask=shared")

    with pytest.raises(DriverError, match="force_mask"):
        masked.stage(layer, TreeOptions())
    assert read(masked.mount(layer, MountOptions()), "f0") == "0"


def test_quotas_are_refused(driver: OverlayDriver, top: Path) -> None:
    """By configuration or for one layer: no limit is better than one that only seems to be."""
    with pytest.raises(DriverError, match="'size'"):
        opened(top, "overlay.size=1g").stage(None, TreeOptions())
    with pytest.raises(DriverError, match="'inodes'"):
        driver.stage(None, TreeOptions(storage_options={"inodes": "10"}))


def test_a_composefs_layer_without_its_image_is_refused(driver: OverlayDriver) -> None:
    """Its `diff` holds contents without names; mounting it as a layer would show nonsense."""
    make(driver, "a")
    os.mkdir(os.path.join(driver.path_of("a"), "composefs-data"))
    with pytest.raises(DriverError, match="composefs"):
        driver.mount("a", MountOptions())
