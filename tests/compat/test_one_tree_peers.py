"""Other programs that apply layers to one tree, where they are right: the same chain is the same tree on each driver.

umoci applies an archive as the image specification says. GNU tar does so with archives that remove nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import differences, directory, hardlink, make_tar, node, regular, symlink, tree_manifest, whiteout
from tests.conftest import StoreRoots, find_peer
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.builders import Fact
    from tests.conftest import Runner, RunnerMaker

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

NOTE = {b"SCHILY.xattr.user.note": b"kept"}
BASE = make_tar(
    directory("./"),
    directory("d", mode=0o700, uid=1000, gid=1000, pax=NOTE),
    regular("d/a", b"1"),
    directory("d/s", mode=0o2750, uid=5, gid=6),
    regular("d/s/x", b"2"),
    hardlink("d/s/y", "d/s/x"),
    directory("e"),
    regular("e/1", b"3"),
    symlink("l", "d"),
    regular("f", b"4"),
    node("p", b"6"),
)
ADDING = {
    "implied directories": make_tar(regular("d/s/new", b"n"), directory("new"), regular("new/in", b"n")),
    "listed directories": make_tar(directory("d", mode=0o711, uid=7), regular("d/b", b"n")),
    "hard links over layers": make_tar(hardlink("h", "d/s/y")),
    "replaced files": make_tar(regular("f", b"new"), symlink("d/a", "../f"), regular("p", b"file")),
    "a link of its own on the way": make_tar(symlink("k", "d/s"), regular("k/new", b"n")),
}
REMOVING = {
    "whiteouts": make_tar(whiteout("d/a"), whiteout("e"), whiteout("f"), whiteout("none"), whiteout("no/where")),
    "opaque at the top": make_tar(regular(".wh..wh..opq"), directory("e"), regular("e/2", b"n"), regular("x", b"n")),
    "opaque below": make_tar(directory("d", mode=0o711), regular("d/.wh..wh..opq"), regular("d/new", b"n")),
    "opaque and not listed": make_tar(regular("d/s/.wh..wh..opq"), regular("d/s/new", b"n")),
    "removed and brought anew": make_tar(whiteout("d"), directory("d", mode=0o755), regular("d/new", b"n")),
    "replaced directories": make_tar(whiteout("e"), regular("e", b"file"), whiteout("d/s"), symlink("d/s", "../f")),
}


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    """A directory of the test's own, where nothing stays mounted."""
    yield tmp_path
    detach_all(str(tmp_path))


def ours(run_on: RunnerMaker, top: Path, driver: str, *archives: bytes) -> dict[bytes, Fact]:
    """The tree of a chain in a store with that driver."""
    run = run_on(StoreRoots(str(top / f"{driver}-graph"), str(top / f"{driver}-run"), driver=driver))
    parent: list[str] = []
    for number, archive in enumerate(archives):
        run("import-layer", "--id", f"layer{number}", *parent, stdin=archive).ok()
        parent = [f"layer{number}"]
    return tree_manifest(run("mount", *parent).ok().output.decode().strip())


def timeless(facts: dict[bytes, Fact]) -> dict[bytes, Fact]:
    """Facts without the times of directories, which not every program gives back."""
    return {path: replace(fact, mtime=None) if fact.kind == "d" else fact for path, fact in facts.items()}


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
@pytest.mark.parametrize("chain", [*ADDING, *REMOVING])
def test_umoci_unpacks_the_same_tree(chain: str, driver: str, run_on: RunnerMaker, top: Path) -> None:
    """All but the times of directories."""
    umoci, layout, bundle = find_peer("umoci"), str(top / "oci"), str(top / "bundle")
    archives = (BASE, {**ADDING, **REMOVING}[chain])
    subprocess.run([umoci, "init", "--layout", layout], check=True, capture_output=True)
    subprocess.run([umoci, "new", "--image", f"{layout}:one"], check=True, capture_output=True)
    for archive in archives:
        (top / "layer.tar").write_bytes(archive)
        words = ["raw", "add-layer", "--image", f"{layout}:one", str(top / "layer.tar")]
        subprocess.run([umoci, *words], check=True, capture_output=True)
    subprocess.run([umoci, "unpack", "--image", f"{layout}:one", bundle], check=True, capture_output=True)
    theirs = tree_manifest(os.path.join(bundle, "rootfs"))

    assert differences(timeless(ours(run_on, top, driver, *archives)), timeless(theirs)) == []


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
@pytest.mark.parametrize("chain", [chain for chain in ADDING if chain != "listed directories"])
def test_gnu_tar_unpacks_the_same_tree(chain: str, driver: str, run_on: RunnerMaker, top: Path) -> None:
    """All but the times of directories; but GNU tar leaves a directory attributes that its new entry does not have."""
    archives, tree = (BASE, ADDING[chain]), top / "tree"
    tree.mkdir(0o755)
    options = ["--same-owner", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*"]
    for archive in archives:
        subprocess.run(["tar", "-x", *options, "-C", str(tree)], input=archive, check=True)
    theirs = tree_manifest(str(tree))

    assert differences(timeless(ours(run_on, top, driver, *archives)), timeless(theirs)) == []


def found_in(run: Runner) -> dict[str, list[tuple[str, str]]]:
    """What a check finds, by layer."""
    found: dict[str, list[tuple[str, str]]] = {}
    for finding in json.loads(run("check", "--json").ok().stdout)["Findings"]:
        found.setdefault(finding["subject"]["id"], []).append((finding["kind"], finding["severity"]))
    return found


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
def test_what_cstore_makes_is_as_it_should_be(driver: str, run_on: RunnerMaker, top: Path) -> None:
    """A check has nothing to say of any of these layers, and each archive comes out as it went in."""
    run = run_on(StoreRoots(str(top / "graph"), str(top / "run"), driver=driver))
    run("import-layer", "--id", "base", stdin=BASE).ok()
    for number, archive in enumerate({**ADDING, **REMOVING}.values()):
        run("import-layer", "--id", f"layer{number}", "base", stdin=archive).ok()
        assert run("diff", "--uncompressed", f"layer{number}").ok().output == archive

    assert found_in(run) == {}


def test_what_a_peer_shows_otherwise_is_cosmetic(run_on: RunnerMaker, peer_on: RunnerMaker, top: Path) -> None:
    """Its overlay writes marks without a look at what is below: as it means to, so no damage, and not quite right."""
    roots = StoreRoots(str(top / "graph"), str(top / "run"), driver="overlay")
    peer = peer_on(roots)
    peer("import-layer", "--id", "base", stdin=BASE).ok()
    for name in ("opaque at the top", "implied directories", "removed and brought anew", "opaque below"):
        peer("import-layer", "--id", name.replace(" ", "-"), "base", stdin={**ADDING, **REMOVING}[name]).ok()
    broken = make_tar(directory("new"), whiteout("new/none"))
    peer("import-layer", "--id", "broken-device", "base", stdin=broken).ok()
    view = [("layer-view", "cosmetic")]

    found = found_in(run_on(roots))
    assert found == dict.fromkeys(
        ("opaque-at-the-top", "implied-directories", "removed-and-brought-anew", "broken-device"), view
    )
