"""What a killed process leaves beside the trees of overlay: found, and gone with the next collection."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.conftest import Runner, RunnerMaker, StoreRoots
from tests.mounts import detach_all

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def roots(tmp_path: Path) -> StoreRoots:
    """Roots of an overlay store."""
    return StoreRoots(str(tmp_path / "graph"), str(tmp_path / "run"), "overlay")


@pytest.fixture
def run(roots: StoreRoots, run_on: RunnerMaker) -> Runner:
    """A store with a layer and its child."""
    runner = run_on(roots)
    runner("import-layer", "--id", "below", stdin=make_tar(regular("f"))).ok()
    runner("import-layer", "--id", "child", "below", stdin=make_tar(regular("g"))).ok()
    return runner


def links(roots: StoreRoots) -> dict[str, str]:
    """The short links and where they lead."""
    folder = os.path.join(roots.graph, "overlay", "l")
    return {name: os.readlink(os.path.join(folder, name)) for name in os.listdir(folder)}


def test_a_link_to_nothing_goes(run: Runner, roots: StoreRoots) -> None:
    """Collection removes short links whose layer is gone, and keeps those in use; check finds nothing then."""
    before = links(roots)
    os.symlink("../gone/diff", os.path.join(roots.graph, "overlay", "l", "A" * 26))

    assert "A" * 26 in run("gc", "--dry-run").ok().stdout
    assert len(links(roots)) == len(before) + 1
    run("gc").ok()

    assert links(roots) == before
    run("check").ok()
    run("diff", "child").ok()


def test_a_link_goes_with_the_layer_that_a_dead_process_was_removing(run: Runner, roots: StoreRoots) -> None:
    """The next writer, whatever it does, deletes the tree that was moved aside, and the link that led to it."""
    home = os.path.join(roots.graph, "overlay")
    with open(os.path.join(home, "child", "link"), encoding="ascii") as file:
        name = file.read()
    run("delete-layer", "child").ok()
    os.makedirs(os.path.join(home, "tempdirs", "temp-dir-1", "0-child", "diff"))
    with open(os.path.join(home, "tempdirs", "temp-dir-1", "0-child", "link"), "w", encoding="ascii") as file:
        file.write(name)
    os.symlink("../child/diff", os.path.join(home, "l", name))

    run("create-layer", "--id", "next").ok()

    assert name not in links(roots)
    assert len(links(roots)) == 2


@pytest.mark.parametrize("place", ["overlay", "overlay/below", "overlay-layers/below", "overlay-images/image"])
def test_a_file_that_never_got_its_name_goes(run: Runner, roots: StoreRoots, place: str) -> None:
    """Wherever files are renamed into place, also beside the data items of what is there."""
    run("set-layer-data", "below", "item", stdin=b"data").ok()
    run("create-image", "--id", "image", "below").ok()
    run("set-image-data", "image", "item", stdin=b"data").ok()
    path = os.path.join(roots.graph, place, ".tmp-item123")
    with open(path, "wb"):
        pass

    run("gc").ok()

    assert not os.path.exists(path)
    assert run("get-layer-data", "below", "item").ok().output == b"data"
    assert run("get-image-data", "image", "item").ok().output == b"data"


UNFINISHED = (
    "graph/overlay/.tmp-has-mount-program1",
    "graph/overlay/below/.tmp-link1",
    "graph/overlay/below/merged.1/",
    "graph/overlay-layers/.tmp-layers.json1",
    "graph/overlay-layers/below/.tmp-item1",
    "graph/overlay-layers/below.replacing.json",
    "graph/overlay-layers/below.replacing.gz",
    "graph/overlay-layers/tmp/temp-dir-1/0-tar-split.gz",
    "graph/overlay-images/.tmp-images.json1",
    "graph/overlay-images/image/.tmp-item1",
    "graph/overlay-containers/.tmp-containers.json1",
    "graph/overlay-containers/container/.tmp-item1",
    "graph/cstore-staging/overlay/temp-dir-1/0-layer/diff/.cstore-0123456789abcdef0123456789abcdef/1",
    "graph/cstore-staging/overlay/stuck-2/",
    "graph/overlay/tempdirs/temp-dir-1/0-layer/",
    "graph/overlay/staging/1/staging.lock",
    "graph/overlay/staging/cstore-staging/temp-dir-1/0-layer/",
    "graph/cstore-intents/1",
    "graph/cstore-quarantine/20260101T000000-abcdef/.tmp-case.json1",
    "run/overlay/cstore-staging/temp-dir-1/0-read/",
    "run/overlay-layers/.tmp-mountpoints.json1",
    "run/overlay-containers/.tmp-volatile-containers.json1",
)
"""One name for each place where something is made before it gets its name, or noted before it is done."""


def test_no_name_that_a_killed_process_leaves_survives_a_collection(run: Runner, roots: StoreRoots) -> None:
    """Whoever made it: the next writer takes it, or gc; and what was there before still is."""
    run("create-image", "--id", "image", "child").ok()
    run("create-container", "--id", "container", "image").ok()
    run("set-layer-data", "below", "item", stdin=b"data").ok()
    top = os.path.dirname(roots.graph)
    for name in UNFINISHED:
        os.makedirs(os.path.join(top, os.path.dirname(name)), exist_ok=True)
        if not name.endswith("/"):
            with open(os.path.join(top, name), "wb"):
                pass

    run("gc").ok()

    assert [name for name in UNFINISHED if os.path.lexists(os.path.join(top, name.rstrip("/")))] == []
    run("check").ok()
    assert "nothing needs repair" in run("repair", "--yes").ok().stdout


def test_what_is_left_goes_where_the_home_is_mounted_onto_itself(run: Runner, roots: StoreRoots) -> None:
    """As container engines mount it, and every mount of a layer: nothing can be renamed out of it then."""
    home = os.path.join(roots.graph, "overlay")
    fresh = os.path.join(home, "child", "merged.1")
    os.mkdir(fresh)
    subprocess.run(["mount", "--bind", home, home], check=True)
    try:
        run("gc").ok()
        assert not os.path.exists(fresh)
        run("check").ok()
    finally:
        detach_all(home)


def test_wipe_leaves_no_link(run: Runner, roots: StoreRoots) -> None:
    """Nor any that led to nothing before."""
    os.symlink("../gone/diff", os.path.join(roots.graph, "overlay", "l", "A" * 26))

    run("wipe").ok()

    assert links(roots) == {}
    run("check").ok()
