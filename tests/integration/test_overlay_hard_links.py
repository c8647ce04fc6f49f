"""Hard links to files of other layers, and removals in any order: an overlay layer means what a whole tree means."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.archive.apply import ApplyOptions, apply_archive
from cstore.drivers.contract import MountOptions, TreeOptions
from cstore.drivers.overlay.driver import OverlayDriver
from cstore.drivers.registry import DriverPlace
from cstore.errors import EntryFailed
from tests.builders import directory, hardlink, make_tar, node, regular, symlink, tree_manifest, whiteout
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

BASE = make_tar(
    directory("foo", mode=0o2750, uid=3, gid=4),
    directory("foo/in", mode=0o701, uid=5),
    regular("foo/in/old", b"contents" * 1000, mode=0o4640, uid=7, gid=8),
    symlink("foo/link", "in/old"),
    node("foo/fifo", b"6", mode=0o620),
    regular("gone", b"1"),
)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[OverlayDriver]:
    """A driver with the layer `base`."""
    place = DriverPlace(str(tmp_path / "graph/overlay"), str(tmp_path / "run/overlay"), sync=False)
    driver = OverlayDriver(place)
    archive(driver, tmp_path, "base", None, BASE)
    archive(driver, tmp_path, "middle", "base", make_tar(whiteout("gone")))
    yield driver
    detach_all(str(tmp_path))


def archive(driver: OverlayDriver, top: Path, layer: str, parent: str | None, data: bytes) -> str:
    """Import an archive, and return the layer's own directory."""
    (top / "layer.tar").write_bytes(data)
    staged = driver.stage(parent, TreeOptions())
    options = ApplyOptions(form=staged.form, has_lower=staged.has_lower, sync=False, lowers=staged.lowers)
    try:
        with open(top / "layer.tar", "rb") as source:
            apply_archive(source.fileno(), staged.tree, str(top / f"{layer}.split"), options)
        driver.adopt(staged, layer, parent)
    finally:
        staged.staging.remove()
    return os.path.join(driver.path_of(layer), "diff")


def link(name: str, target: str, **more: int) -> bytes:
    """An archive of one hard link."""
    return make_tar(hardlink(name, target, **more))


def test_the_target_is_copied_up_with_its_directories(driver: OverlayDriver, tmp_path: Path) -> None:
    """Both names are one file in the mount, and nothing about file or directories has changed."""
    archive(driver, tmp_path, "top", "middle", link("new", "foo/in/old", mode=0o4640, uid=7, gid=8))
    before = tree_manifest(driver.mount("base", MountOptions()))
    root = driver.mount("top", MountOptions())
    after = tree_manifest(root)

    assert os.path.samefile(os.path.join(root, "new"), os.path.join(root, "foo/in/old"))
    for path in (b"foo", b"foo/in", b"foo/in/old"):
        assert (after[path].mode, after[path].owner) == (before[path].mode, before[path].owner)
        assert (after[path].content, after[path].xattrs) == (before[path].content, before[path].xattrs)
    assert stat.S_IMODE(os.stat(os.path.join(root, "new")).st_mode) == 0o4640


@pytest.mark.parametrize("target", ["short/old", "absolute/old", "chain/in/old", "up/foo/in/old"])
def test_the_way_to_the_target_may_lead_through_links(driver: OverlayDriver, tmp_path: Path, target: str) -> None:
    """Links of any layer, as in a mount of all of them; the links stay links."""
    archive(driver, tmp_path, "links", "middle", make_tar(symlink("short", "foo/in"), symlink("absolute", "/foo/in")))
    top = make_tar(
        symlink("chain", "foo/../other"),
        symlink("other", "foo"),
        symlink("up", "../.."),
        hardlink("new", target, mode=0o4640, uid=7, gid=8),
    )
    tree = archive(driver, tmp_path, "top", "links", top)
    root = driver.mount("top", MountOptions())

    assert os.path.samefile(os.path.join(root, "new"), os.path.join(root, "foo/in/old"))
    assert os.path.islink(os.path.join(root, target.split("/", maxsplit=1)[0]))
    assert sorted(os.listdir(tree)) == ["chain", "foo", "new", "other", "up"]
    assert os.listdir(os.path.join(tree, "foo")) == ["in"]


@pytest.mark.parametrize("target", ["foo/link", "foo/fifo"])
def test_what_is_no_regular_file_is_copied_up_too(driver: OverlayDriver, tmp_path: Path, target: str) -> None:
    """A symbolic link gets another name, not the file that it leads to."""
    archive(driver, tmp_path, "top", "middle", link("new", target, mode=0o620))
    root = driver.mount("top", MountOptions())

    one, other = os.lstat(os.path.join(root, "new")), os.lstat(os.path.join(root, target))
    assert one.st_ino == other.st_ino
    assert stat.S_IFMT(one.st_mode) == stat.S_IFMT(
        os.lstat(os.path.join(driver.path_of("base"), "diff", target)).st_mode
    )


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(link("new", "gone"), id="removed-below"),
        pytest.param(link("new", "missing"), id="never-there"),
        pytest.param(link("new", "foo/in"), id="directory"),
        pytest.param(make_tar(whiteout("foo"), hardlink("new", "foo/in/old")), id="removed-here"),
        pytest.param(
            make_tar(directory("foo"), regular("foo/.wh..wh..opq"), hardlink("new", "foo/in/old")), id="opaque"
        ),
        pytest.param(make_tar(whiteout("foo/in/old"), hardlink("new", "foo/in/old")), id="itself"),
        pytest.param(make_tar(regular("foo", b"file"), hardlink("new", "foo/in/old")), id="hidden-by-a-file"),
        pytest.param(make_tar(symlink("a", "b"), symlink("b", "a"), hardlink("new", "a/old")), id="circle"),
        pytest.param(make_tar(symlink("a", "../../../etc"), hardlink("new", "a/passwd")), id="outside"),
    ],
)
def test_what_cannot_be_seen_cannot_be_linked(driver: OverlayDriver, tmp_path: Path, data: bytes) -> None:
    """A file that this layer or one below has removed does not come back."""
    with pytest.raises(EntryFailed, match=r"new"):
        archive(driver, tmp_path, "top", "middle", data)

    assert driver.layers() == ["base", "middle"]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param((whiteout("foo"), directory("foo"), regular("foo/new", b"n")), id="before"),
        pytest.param((directory("foo"), regular("foo/new", b"n"), whiteout("foo")), id="after"),
        pytest.param((directory("foo"), whiteout("foo"), regular("foo/new", b"n")), id="between"),
        pytest.param((regular("foo/new", b"n"), regular("foo/.wh..wh..opq")), id="opaque-after"),
    ],
)
def test_a_directory_that_comes_again_hides_the_old_one(
    driver: OverlayDriver, tmp_path: Path, entries: tuple[object, ...]
) -> None:
    """Where the whiteout stands in the archive does not matter: it concerns other layers only."""
    archive(driver, tmp_path, "top", "middle", make_tar(*entries))  # type: ignore[arg-type]

    assert os.listdir(os.path.join(driver.mount("top", MountOptions()), "foo")) == ["new"]
