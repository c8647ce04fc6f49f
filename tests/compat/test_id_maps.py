"""Containers and layers with ID maps: recorded and shown as the peer does, and each uses what the other made."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import directory, make_tar, regular
from tests.conftest import StoreRoots
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, RunnerMaker

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]
ARCHIVE = make_tar(directory("dir", uid=3), regular("dir/file", b"text", uid=5, gid=6), regular("suid", mode=0o4755))
MAPPED = ("--uidmap", "0:100000:1000", "--gidmap", "0:200000:1000")
REQUESTS = {
    "both": MAPPED,
    "again": MAPPED,
    "users": ("--uidmap", "0:300000:500:500:400000:500"),
    "host": ("--hostuidmap", "--hostgidmap"),
    "none": (),
}


@pytest.fixture(params=["overlay", "vfs"])
def driver(request: pytest.FixtureRequest) -> str:
    """Overlay shifts owners at the mount, vfs writes them to the disk."""
    return str(request.param)


@pytest.fixture
def stores(tmp_path: Path, driver: str) -> Iterator[tuple[StoreRoots, StoreRoots]]:
    """Two stores of one driver."""
    yield (
        StoreRoots(str(tmp_path / "graph1"), str(tmp_path / "run1"), driver),
        StoreRoots(str(tmp_path / "graph2"), str(tmp_path / "run2"), driver),
    )
    detach_all(str(tmp_path / "graph1"))
    detach_all(str(tmp_path / "graph2"))


def fill(run: Runner) -> None:
    """Make an image, and containers with every kind of map."""
    run("import-layer", "--id", "base", stdin=ARCHIVE).ok()
    run("create-image", "--id", "image", "base").ok()
    for name, words in REQUESTS.items():
        run("create-container", "--id", name, *words, "image").ok()
    run("create-layer", "--id", "child", *MAPPED, "base").ok()
    run("create-layer", "--id", "grandchild", "child").ok()
    run("import-layer", "--id", "imported", *MAPPED, stdin=ARCHIVE).ok()


def records(roots: StoreRoots, kind: str) -> list[dict[str, Any]]:
    """The records of one kind."""
    with open(os.path.join(roots.graph, f"{roots.driver}-{kind}", f"{kind}.json"), "rb") as file:
        found: list[dict[str, Any]] = json.load(file)
        return found


def maps(roots: StoreRoots) -> list[tuple[str, Any, Any]]:
    """Who has which map, random IDs left out."""
    known = {"base", "child", "grandchild", "imported", "image", *REQUESTS}
    rows = [*records(roots, "layers"), *records(roots, "containers")]
    return [(row["id"] if row["id"] in known else "", row.get("uidmap"), row.get("gidmap")) for row in rows]


def owners(run: Runner, roots: StoreRoots) -> dict[str, list[tuple[int, int, int]]]:
    """What belongs to whom in every container and layer; not their roots, of which the peer forgets some."""
    found = {}
    for word in (*REQUESTS, "child", "grandchild", "imported"):
        root = run("mount", word, roots=roots).ok().lines[0]
        about = [os.lstat(os.path.join(root, name)) for name in ("dir", "dir/file", "suid")]
        found[word] = [(status.st_uid, status.st_gid, status.st_mode) for status in about]
        run("unmount", word, roots=roots).ok()
    return found


def test_maps_are_recorded_and_shown_as_by_the_peer(
    stores: tuple[StoreRoots, StoreRoots], run_on: RunnerMaker, peer_on: RunnerMaker
) -> None:
    """Twins included: one for each map on vfs; where owners are shifted, only for the map with a hole in it."""
    mine, theirs = stores
    ours, peer = run_on(mine), peer_on(theirs)
    fill(ours)
    fill(peer)

    assert maps(mine) == maps(theirs)
    mapped_layers = [len(records(roots, "images")[0].get("mapped-layers") or []) for roots in stores]
    assert mapped_layers == ([2, 2] if mine.driver == "vfs" else [1, 1])
    wanted = owners(peer, theirs)
    assert wanted["both"][1][:2] == (100005, 200006)
    assert owners(ours, mine) == owners(peer, mine) == wanted
    assert owners(ours, theirs) == wanted


def test_owners_above_a_mount_are_told_as_by_the_peer(
    stores: tuple[StoreRoots, StoreRoots], run_on: RunnerMaker, peer_on: RunnerMaker
) -> None:
    """Of layers and containers, in lines and in JSON; a layer with maps has to be mounted."""
    roots = stores[0]
    ours, peer = run_on(roots), peer_on(roots)
    fill(ours)
    questions = [("layer-parent-owners", "child"), ("container-parent-owners", "both"), ("layer-parent-owners", "base")]
    before = [(ours(*words).code, peer(*words).code) for words in questions]
    assert all(mine == theirs for mine, theirs in before)
    for word in ("child", "both"):
        ours("mount", word).ok()
    for words in questions:
        for more in ((), ("--json",)):
            told = peer(words[0], *more, words[1]).ok()
            assert ours(words[0], *more, words[1]).ok().output == told.output
    if roots.driver == "vfs":
        assert ours(*questions[0]).lines == ["ID: child", "UIDs: [0]", "GIDs: [0]"]


def test_the_status_is_the_peers(
    stores: tuple[StoreRoots, StoreRoots], run_on: RunnerMaker, peer_on: RunnerMaker
) -> None:
    """Line by line, on standard error; newer peers say more of overlay, and so does cstore."""
    roots = stores[0]
    theirs = peer_on(roots)("status").ok()
    mine = run_on(roots)("status").ok()
    newer = ("Supports shifting", "Supports volatile")
    assert [line for line in mine.stderr.splitlines() if not line.startswith(newer)] == theirs.stderr.splitlines()
    document = json.loads(run_on(roots)("status", "--json").ok().output)
    facts = [fact for fact in document if fact[0] not in newer]
    assert facts == json.loads(peer_on(roots)("status", "--json").ok().output)


@pytest.mark.parametrize("driver", ["vfs"], indirect=True)
def test_twins_of_either_are_used_by_both(
    stores: tuple[StoreRoots, StoreRoots], run_on: RunnerMaker, peer_on: RunnerMaker
) -> None:
    """Nobody makes a second one for the same map."""
    for makers in (
        (run_on(stores[0]), peer_on(stores[0])),
        (peer_on(stores[1]), run_on(stores[1])),
    ):
        first, second = makers
        first("import-layer", "--id", "base", stdin=ARCHIVE).ok()
        first("create-image", "--id", "image", "base").ok()
        first("create-container", *MAPPED, "image").ok()
        second("create-container", *MAPPED, "image").ok()
    for roots in stores:
        image = records(roots, "images")[0]
        assert len(image["mapped-layers"]) == 1
        parents = [layer.get("parent") for layer in records(roots, "layers")]
        assert parents.count(image["mapped-layers"][0]) == 2


@pytest.mark.parametrize("driver", ["overlay"], indirect=True)
@pytest.mark.parametrize("first", [5, 1])
def test_a_container_without_root_can_be_mounted(
    stores: tuple[StoreRoots, StoreRoots], run_on: RunnerMaker, first: int
) -> None:
    """The peer fails to mount it on overlay, and gives what belongs to root to nobody on vfs."""
    ours = run_on(stores[0])
    ours("import-layer", "--id", "base", stdin=ARCHIVE).ok()
    ours("create-image", "--id", "image", "base").ok()
    text = f"{first}:{100000 + first}:1000"
    ours("create-container", "--id", "it", "--uidmap", text, "--gidmap", text, "image").ok()
    root = ours("mount", "it").ok().lines[0]
    about = os.lstat(os.path.join(root, "dir/file"))
    assert (about.st_uid, about.st_gid) == (100005, 100006)
