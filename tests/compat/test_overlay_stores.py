"""Several stores at once: an additional one that is only read, and one split into images and containers."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, make_tar, regular
from tests.conftest import Runner, StoreRoots
from tests.mounts import detach_all, mounts_below

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Finished, RunnerMaker

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

BASE, TOP = make_tar(directory("dir"), regular("dir/base", b"1")), make_tar(regular("top", b"2", uid=5))
HOLES = ("--uidmap", "0:100000:10:20:200000:10", "--gidmap", "0:100000:10:20:200000:10")
"""A map that overlay does not show at a mount: a mapped layer is made."""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[StoreRoots]:
    """A store that nobody has opened; its mounts go with the test."""
    yield StoreRoots(str(tmp_path / "own"), str(tmp_path / "run"), "overlay")
    detach_all(str(tmp_path))


@pytest.fixture
def other(tmp_path: Path) -> str:
    """The graph root of another store."""
    return str(tmp_path / "other")


def using(run: Runner, *options: str) -> Runner:
    """Give every command more global options."""

    def with_options(*words: str, **settings: object) -> Finished:
        return run(*options, *words, **settings)  # type: ignore[arg-type]

    return with_options


def image_in(run: Runner, *more: str) -> None:
    """Make an image of two layers."""
    run("import-layer", *more, "--id", "base", stdin=BASE).ok()
    run("import-layer", *more, "--id", "top", "base", stdin=TOP).ok()
    run("create-image", "--id", "image", "--name", "name", "top").ok()


def use(run: Runner, container: str) -> dict[str, int]:
    """Write into a container; return what it shows, and whose it is."""
    root = run("mount", container).ok().lines[0]
    with open(os.path.join(root, "written"), "a", encoding="ascii") as file:
        file.write("x")
    found = {name: os.lstat(os.path.join(root, name)).st_uid for name in ("dir/base", "top")}
    run("unmount", container).ok()
    return found


def top_of(tree: str) -> dict[str, tuple[int, ...]]:
    """What is in a directory, and when it was changed last."""
    found: dict[str, tuple[int, ...]] = {}
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = (status.st_mode, status.st_size, status.st_mtime_ns)
    return found


def test_containers_on_an_image_that_is_only_read(
    own: StoreRoots, other: str, run_on: RunnerMaker, peer_on: RunnerMaker
) -> None:
    """Both tools make, map, mount and delete them, and neither touches the other store nor deletes what is in it."""
    maker = run_on(StoreRoots(other, os.path.join(own.run, "other"), "overlay"))
    image_in(maker)
    maker("shutdown").ok()
    option = ("--storage-opt", f"overlay.imagestore={other}")
    ours, peer = using(run_on(own), *option), using(peer_on(own), *option)
    ours("layers").ok()
    before = top_of(os.path.join(other, "overlay"))

    ours("create-container", "--id", "ours", "name").ok()
    peer("create-container", "--id", "theirs", "name").ok()
    ours("create-container", "--id", "mapped", "--uidmap", "0:100000:10", "--gidmap", "0:100000:10", "name").ok()
    for container, first in (("ours", 0), ("theirs", 0), ("mapped", 100000)):
        assert use(ours, container) == use(peer, container) == {"dir/base": first, "top": first + 5}
    assert ours("layers").lines == peer("layers").lines
    assert ours("containers").lines == peer("containers").lines

    refused = ours("delete-image", "name")
    assert (refused.code, f"belongs to the additional store {other}" in refused.stderr) == (1, True)
    refused = ours("delete-layer", "base")
    assert (refused.code, "which is read-only" in refused.stderr) == (1, True)
    told = ours("delete-layer", "--json", "base").stdout
    assert json.loads(told) == json.loads(peer("delete-layer", "--json", "base").stdout)
    assert ours("check").ok().stderr == ""
    ours("delete-container", "theirs", "mapped").ok()
    peer("delete-container", "ours").ok()
    assert ours("layers").lines == peer("layers").lines == ["base", "top", "\timage: image", "\t\tname: name"]
    assert top_of(os.path.join(other, "overlay")) == before
    ours("shutdown").ok()
    peer("shutdown").ok()
    assert mounts_below(os.path.dirname(own.graph)) == []


def test_a_split_store(own: StoreRoots, other: str, run_on: RunnerMaker, peer_on: RunnerMaker) -> None:
    """Layers of images, mapped ones too, go to the one half, containers to the other; the peer takes them together."""
    ours = using(run_on(own), "--image-store", other)
    image_in(ours, "--readonly")
    peer = using(peer_on(own), "--storage-opt", f"overlay.imagestore={other}")
    ours("create-container", "--id", "plain", "name").ok()
    ours("create-container", "--id", "mapped", *HOLES, "name").ok()
    peer("create-container", "--id", "theirs", "name").ok()

    halves = [
        set(os.listdir(os.path.join(root, "overlay"))) - {"l", ".has-mount-program"} for root in (own.graph, other)
    ]
    assert [len(half) for half in halves] == [3, 3]
    assert {"base", "top"} < halves[1]
    for container in ("plain", "theirs"):
        assert use(ours, container) == use(peer, container) == {"dir/base": 0, "top": 5}
    assert use(ours, "mapped") == {"dir/base": 100000, "top": 100005}  # the peer fails to mount even its own of these
    assert ours("diff", "--uncompressed", "top").ok().output == TOP
    assert ours("check").ok().stderr == ""

    orphans = [os.path.join(root, "overlay", f"{number}" * 64) for number, root in enumerate((own.graph, other))]
    for orphan in orphans:
        os.makedirs(os.path.join(orphan, "diff"))
    assert sorted(line.split("\t")[2] for line in ours("gc", "--dry-run").ok().lines) == sorted(orphans)
    ours("gc").ok()
    ours("delete-container", "plain", "mapped", "theirs").ok()
    assert len(ours("delete-image", "name").ok().stderr.splitlines()) == 3
    for root in (own.graph, other):
        home = os.path.join(root, "overlay")
        assert set(os.listdir(home)) <= {"l", ".has-mount-program"}
        assert os.listdir(os.path.join(home, "l")) == []
    ours("shutdown").ok()
    peer("shutdown").ok()
    assert mounts_below(os.path.dirname(own.graph)) == []
