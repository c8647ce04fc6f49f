"""Containers with maps that choose themselves, made in turns with Podman: nobody gets IDs that another one has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.builders import directory, make_tar, regular
from tests.conftest import StoreRoots, find_peer
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import RunnerMaker

    Call = Callable[..., str]

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

FIRST, SIZE = 700_000, 2000
ARCHIVE = make_tar(directory("dir", uid=3), regular("dir/file", b"text", uid=SIZE - 1, gid=6))
OURS = """
import sys, cstore
new = cstore.NewContainer(image=sys.argv[1], names=(sys.argv[2],), auto_map=cstore.AutoMap())
cstore.open_store().containers.create(new)
"""
PRIVATELY = """mount --make-rprivate /
mount -t overlay -o "lowerdir=/etc,upperdir=$0/etc,workdir=$0/work" overlay /etc && exec "$@"
"""
"""For one program, what the system sets aside is what files of the test say, also if others add users meanwhile."""


@pytest.fixture(params=["overlay", "vfs"])
def roots(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StoreRoots]:
    """A store of the test's own; its mounts go with the test."""
    yield StoreRoots(str(tmp_path / "graph"), str(tmp_path / "run"), request.param)
    detach_all(str(tmp_path))


@pytest.fixture
def call(roots: StoreRoots, tmp_path: Path) -> Call:
    """Run a program on the store, with 10,000 IDs set aside for containers."""
    config = tmp_path / "storage.conf"
    config.write_text(
        f'[storage]\ndriver = "{roots.driver}"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n'
        '[storage.options]\nroot-auto-userns-user = "containers"\n'
    )
    for name in ("etc", "work"):
        (tmp_path / name).mkdir()
    for name in ("subuid", "subgid"):
        (tmp_path / "etc" / name).write_text(f"other:100000:1000\ncontainers:{FIRST}:{5 * SIZE}\n")
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(config)}

    def run(*words: str) -> str:
        command = ["unshare", "--mount", "sh", "-c", PRIVATELY, str(tmp_path), *words]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
        return done.stdout.strip() if done.returncode == 0 else f"exit {done.returncode}: {done.stderr}"

    return run


def recorded(roots: StoreRoots) -> dict[str, list[Any]]:
    """The maps of all containers, as [users, groups], each range as container's ID, host's ID and size."""
    with open(os.path.join(roots.graph, f"{roots.driver}-containers", "containers.json"), "rb") as file:
        return {
            row["names"][0]: [[tuple(part.values()) for part in row[kind]] for kind in ("uidmap", "gidmap")]
            for row in json.load(file)
        }


def test_ids_are_given_out_in_turns(
    roots: StoreRoots, call: Call, run_on: RunnerMaker, peer_on: RunnerMaker, tmp_path: Path
) -> None:
    """As large as the image needs, the lowest that are free; the mounts show them, whoever made the container."""
    archive, podman = tmp_path / "root.tar", find_peer("podman")
    archive.write_bytes(ARCHIVE)
    image = call(podman, "import", "--quiet", str(archive), "localhost/image").removeprefix("sha256:")
    makers: dict[str, tuple[str, ...]] = {
        "podman": (podman, "create", "--userns", "auto", "--name", "NAME", image, "sh"),
        "cstore": (sys.executable, "-c", OURS, image, "NAME"),
    }
    for number, maker in enumerate(("podman", "cstore", "podman", "cstore")):
        told = call(*(f"{maker}{number}" if word == "NAME" else word for word in makers[maker]))
        assert not told.startswith("exit"), told

    names = ["podman0", "cstore1", "podman2", "cstore3"]
    wanted = {name: [[(0, FIRST + number * SIZE, SIZE)]] * 2 for number, name in enumerate(names)}
    assert recorded(roots) == wanted
    for number, name in enumerate(names):
        for tool in (run_on(roots), peer_on(roots)):
            root = tool("mount", name).ok().lines[0]
            about = os.lstat(os.path.join(root, "dir/file"))
            assert (about.st_uid, about.st_gid) == (FIRST + (number + 1) * SIZE - 1, FIRST + number * SIZE + 6)
            tool("unmount", name).ok()

    run_on(roots)("delete-container", "cstore1").ok()
    call(podman, "create", "--userns", "auto", "--name", "podman4", image, "sh")
    assert recorded(roots)["podman4"] == wanted["cstore1"]
    call(sys.executable, "-c", OURS, image, "cstore5")
    refused = call(sys.executable, "-c", OURS, image, "cstore6")
    assert f"the map needs {SIZE} UIDs, but only 0 subordinate IDs are free" in refused
    assert "cstore6" not in recorded(roots)
    podman_too = call(podman, "create", "--userns", "auto", "--name", "podman7", image, "sh")
    assert podman_too.startswith("exit")
