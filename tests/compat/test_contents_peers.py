"""What Podman and Buildah wrote is seen without a mount as they show it: images, and containers that were changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.contents import Comparison, blame, open_item
from cstore.store import open_store
from tests.builders import differences
from tests.conftest import StoreRoots, find_peer
from tests.mounts import detach_all
from tests.property.test_contents_as_mounted import as_mounted, facts_of
from tests.unit.transfer.archives import BASE, CHANGE, TOP, as_tar, docker_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cstore.store import Store

    Call = Callable[..., str]

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]


@pytest.fixture(params=["vfs", "overlay"])
def roots(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreRoots]:
    """A store that nobody has opened; its mounts go with the test."""
    yield StoreRoots(str(tmp_path / "graph"), str(tmp_path / "run"), request.param)
    detach_all(str(tmp_path))


@pytest.fixture
def call(roots: StoreRoots, tmp_path: Path) -> Call:
    """Run Podman or Buildah on it; gives its standard output."""
    config = tmp_path / "storage.conf"
    config.write_text(
        f'[storage]\ndriver = "{roots.driver}"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n', "utf-8"
    )

    def run(program: str, *words: str) -> str:
        environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(config)}
        command = [find_peer(program), *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def opened(roots: StoreRoots) -> Store:
    """The store, as the library opens it."""
    overrides = Overrides(graph_root=roots.graph, run_root=roots.run, driver=roots.driver)
    return open_store(load_config(overrides, environ={"HOME": roots.run}))


def test_a_working_container_is_seen_as_buildah_mounts_it(call: Call, roots: StoreRoots, tmp_path: Path) -> None:
    """With what was written into it, renamed and removed; committed, it is an image of which the same holds."""
    archive = tmp_path / "image.tar"
    archive.write_bytes(as_tar(docker_archive((BASE, CHANGE, TOP), ("localhost/first:1",))))
    call("podman", "load", "-i", str(archive))
    box = call("buildah", "from", "--name", "working", "localhost/first:1")
    tree = call("buildah", "mount", box)
    os.makedirs(f"{tree}/made/deep")
    with open(f"{tree}/made/deep/file", "wb") as file:
        file.write(b"made")
    shutil.move(f"{tree}/etc", f"{tree}/renamed")
    os.mkdir(f"{tree}/etc")
    store = opened(roots)

    with open_item(store, store.resolve("working", "container")) as contents:
        assert differences(facts_of(contents), as_mounted(tree)) == []
    call("buildah", "commit", "--quiet", box, "localhost/second:1")
    call("buildah", "umount", box)
    shown = call("podman", "image", "mount", "localhost/second:1")
    with open_item(store, store.resolve("second:1")) as contents:
        assert differences(facts_of(contents), as_mounted(shown)) == []
        events = blame(store, contents, b"/made/deep/file")
        assert [(one.change, bool(one.layer)) for one in events] == [("added", True)]
    with open_item(store, store.resolve("first:1")) as old, open_item(store, store.resolve("second:1")) as new:
        changes = {one.path: one.change for one in Comparison(old, new).run()}
    assert changes[b"made/deep/file"] == "added"
