"""force_mask: every file has one mode and one owner on disk, and what it counts as in an attribute (drivers 5.1)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import (
    directory,
    hardlink,
    make_tar,
    node,
    regular,
    symlink,
    tree_manifest,
    whiteout,
)
from tests.conftest import StoreRoots, find_peer
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import RunnerMaker

pytestmark = pytest.mark.usefixtures("needs_root")

BASE = make_tar(
    directory("etc", mode=0o700, uid=5, gid=6),
    regular("etc/a", b"one", mode=0o4711, uid=7),
    hardlink("hard", "etc/a", mode=0o4711, uid=7),
    symlink("link", "etc", uid=3),
    node("null", b"3", (1, 3), mode=0o666),
    node("disk", b"4", (7, 300), mode=0o660, gid=6),
    node("fifo", b"6", mode=0o600),
    regular("implied/there", b"x" * 5000, mode=0o640, uid=9),
)
TOP = make_tar(
    whiteout("hard"),
    directory("etc", mode=0o700, uid=5, gid=6),
    regular("etc/b", b"two", mode=0o600, uid=1000),
)
MEANT = {
    ".": "0:0:0555:dir",
    "etc": "5:6:0700:dir",
    "etc/a": "7:0:4711:file",
    "hard": "7:0:4711:file",
    "null": "0:0:0666:char-1-3",
    "disk": "0:6:0660:block-7-300",
    "fifo": "0:0:0600:pipe",
    "implied": "0:0:0755:dir",
    "implied/there": "9:0:0640:file",
}


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[StoreRoots]:
    """A store that nobody has opened; its mounts go with the test."""
    yield StoreRoots(str(tmp_path / "graph"), str(tmp_path / "run"), driver="overlay")
    detach_all(str(tmp_path))


@pytest.fixture
def options() -> list[str]:
    """Modes for everybody, and the program that shows others."""
    program = find_peer("fuse-overlayfs")
    return ["--storage-opt", f"overlay.mount_program={program}", "--storage-opt", "overlay.force_mask=shared"]


def diff_of(roots: StoreRoots, layer: str) -> str:
    """The directory of what a layer changes."""
    return os.path.join(roots.graph, "overlay", layer, "diff")


def test_modes_on_disk_and_in_attributes(roots: StoreRoots, run_on: RunnerMaker, options: list[str]) -> None:
    """All is 0755 and ours on disk; devices are empty files; the archive comes back as it was."""
    run = run_on(roots)
    run(*options, "import-layer", "--id", "base", stdin=BASE).ok()

    tree = diff_of(roots, "base")
    found = {}
    for path, fact in tree_manifest(tree).items():
        if fact.kind != "l":
            assert (fact.mode, fact.owner, fact.kind in "d-") == (0o755, (0, 0), True), path
            found[os.fsdecode(path)] = dict(fact.xattrs)["user.containers.override_stat"].decode()
    assert found == MEANT
    assert os.path.samefile(os.path.join(tree, "hard"), os.path.join(tree, "etc/a"))
    assert run(*options, "diff", "--uncompressed", "base").ok().output == BASE


def test_what_a_mount_shows(roots: StoreRoots, run_on: RunnerMaker, options: list[str]) -> None:
    """The program shows the modes that were meant, and writes new ones in the same way."""
    run = run_on(roots)
    run(*options, "import-layer", "--id", "base", stdin=BASE).ok()
    run(*options, "import-layer", "--id", "top", "base", stdin=TOP).ok()
    run(*options, "create-layer", "--id", "hand", "top").ok()
    tree = run(*options, "mount", "hand").ok().stdout.rstrip("\n")
    shown = tree_manifest(tree, times=False)

    assert (shown[b"etc"].mode, shown[b"etc"].owner) == (0o700, (5, 6))
    assert (shown[b"etc/a"].mode, shown[b"etc/a"].owner) == (0o4711, (7, 0))
    assert (shown[b"etc/b"].mode, shown[b"etc/b"].owner) == (0o600, (1000, 0))
    assert b"hard" not in shown
    new = os.path.join(tree, "new")
    with open(new, "w", encoding="ascii") as file:
        file.write("new")
    os.chmod(new, 0o640)
    os.chown(new, 44, 55)
    os.chown(os.path.join(tree, "etc/b"), 8, 9)
    run(*options, "unmount", "hand").ok()

    on_disk = tree_manifest(diff_of(roots, "hand"))
    assert {(fact.mode & 0o777, fact.owner) for fact in on_disk.values()} == {(0o755, (0, 0))}
    tar = run(*options, "diff", "--uncompressed", "hand").ok().output
    run(*options, "import-layer", "--id", "again", "top", stdin=tar).ok()
    again = tree_manifest(diff_of(roots, "again"))
    assert ("user.containers.override_stat", b"44:55:0640:file") in again[b"new"].xattrs
    assert ("user.containers.override_stat", b"8:9:0600:file") in again[b"etc/b"].xattrs


def test_what_was_unpacked_is_only_read(roots: StoreRoots, run_on: RunnerMaker, options: list[str]) -> None:
    """fuse-overlayfs cannot write into such a layer, and would spoil it by trying; so it is mounted to be read."""
    run = run_on(roots)
    run(*options, "import-layer", "--id", "base", stdin=BASE).ok()
    before = tree_manifest(diff_of(roots, "base"))
    tree = run(*options, "mount", "base").ok().stdout.rstrip("\n")

    assert tree_manifest(tree, times=False)[b"etc/a"].mode == 0o4711
    with pytest.raises(OSError, match="Read-only"):
        os.mkdir(os.path.join(tree, "new"))
    run(*options, "unmount", "base").ok()
    assert tree_manifest(diff_of(roots, "base")) == before


def test_an_archive_without_tar_split(roots: StoreRoots, run_on: RunnerMaker, options: list[str]) -> None:
    """Packed from the tree alone, it has the owners, modes and devices that were meant."""
    run = run_on(roots)
    run(*options, "import-layer", "--id", "base", stdin=BASE).ok()
    os.unlink(os.path.join(roots.graph, "overlay-layers", "base.tar-split.gz"))
    tar = run(*options, "diff", "--uncompressed", "base").ok().output
    plain = StoreRoots(roots.graph + "-plain", roots.run + "-plain", driver="overlay")
    run_on(plain)("import-layer", "--id", "base", stdin=tar).ok()

    shown = tree_manifest(diff_of(plain, "base"), times=False)
    assert (shown[b"etc/a"].mode, shown[b"etc/a"].owner, shown[b"etc/a"].xattrs) == (0o4711, (7, 0), ())
    assert (shown[b"null"].kind, shown[b"null"].device, shown[b"null"].mode) == ("c", (1, 3), 0o666)
    assert (shown[b"disk"].kind, shown[b"disk"].device, shown[b"disk"].owner) == ("b", (7, 300), (0, 6))
    assert shown[b"fifo"].kind == "p"


@pytest.mark.peer
def test_the_peer_shows_the_same(
    roots: StoreRoots, run_on: RunnerMaker, peer_on: RunnerMaker, options: list[str]
) -> None:
    """Debian's tool mounts a layer above our masked ones and exports the same bytes."""
    run, peer = run_on(roots), peer_on(roots)
    run(*options, "import-layer", "--id", "base", stdin=BASE).ok()
    run(*options, "import-layer", "--id", "top", "base", stdin=TOP).ok()
    run(*options, "create-layer", "--id", "hand", "top").ok()
    tree = peer(*options, "mount", "hand").ok().stdout.rstrip("\n")

    assert tree_manifest(tree, times=False)[b"etc/a"].mode == 0o4711
    assert run(*options, "mounted", "hand").ok().stdout == "hand mounted\n"
    peer(*options, "unmount", "hand").ok()
    assert peer(*options, "diff", "--uncompressed", "base").ok().output == BASE


def test_the_kernel_gets_no_masked_layer_to_write_into(roots: StoreRoots, run_on: RunnerMaker) -> None:
    """Without a mount program only what is never written to can be masked; nothing is made."""
    run, option = run_on(roots), ["--storage-opt", "overlay.force_mask=0700"]
    done = run(*option, "create-layer", "--id", "layer")

    assert done.code == 1
    assert "force_mask is set" in done.stderr
    assert "mount_program" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert run("layers", "--quiet").ok().stdout == ""
    run(*option, "import-layer", "--readonly", "--id", "image", stdin=BASE).ok()
    assert os.stat(diff_of(roots, "image")).st_mode & 0o7777 == 0o700
