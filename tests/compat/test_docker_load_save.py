"""Images to a Docker daemon and back: it loads and runs what cstore saves, and cstore loads what it saves."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.compat.test_load_save import podman, program_tar, tool, write
from tests.conftest import OverlayRoots
from tests.dockerd import docker_daemon
from tests.mounts import detach_all
from tests.unit.transfer.archives import as_tar, docker_archive, v1_archive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, RunnerMaker
    from tests.dockerd import Daemon

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]


@pytest.fixture(scope="module")
def docker() -> Iterator[Daemon]:
    """One daemon for all of these tests."""
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        with docker_daemon(folder, "vfs") as daemon:
            yield daemon
        detach_all(folder)


@pytest.fixture
def roots() -> Iterator[OverlayRoots]:
    """A store for cstore, its directory short enough for Podman."""
    with tempfile.TemporaryDirectory(prefix="cs-", ignore_cleanup_errors=True) as folder:
        yield OverlayRoots(f"{folder}/graph", f"{folder}/run")
        detach_all(folder)


@pytest.fixture
def ours(run_on: RunnerMaker, roots: OverlayRoots) -> Runner:
    """Our tool on the store."""
    return run_on(roots)


def test_docker_runs_what_buildah_built_and_cstore_saved(
    docker: Daemon, ours: Runner, roots: OverlayRoots, tmp_path: Path
) -> None:
    """The image keeps its ID, its name and its command; compressed or not."""
    buildah = ["buildah", "--root", roots.graph, "--runroot", roots.run, "--storage-driver", "overlay"]
    container = tool(*buildah, "from", "scratch").strip()
    tool(*buildah, "add", container, write(tmp_path / "base.tar", program_tar("/bin/cat")), "/")
    tool(*buildah, "add", container, write(tmp_path / "greeting", b"hello from Docker\n"), "/etc/greeting")
    tool(*buildah, "config", "--cmd", '["/bin/cat", "/greeting"]', container)
    tool(*buildah, "commit", "-q", container, "example.org/built:1")
    identifier = ours("images", "-q").ok().lines[0]

    for compression in ("none", "gzip"):
        path = str(tmp_path / f"{compression}.tar")
        ours("save", "--compress", compression, "-o", path, "example.org/built:1").ok()
        assert docker("load", "-i", path) == "Loaded image: example.org/built:1"
        assert docker("images", "-q", "--no-trunc", "example.org/built:1") == f"sha256:{identifier}"
        assert docker("run", "--rm", "--network", "none", "example.org/built:1") == "hello from Docker"
        docker("rmi", "-f", "example.org/built:1")


def test_cstore_loads_what_docker_saves(docker: Daemon, ours: Runner, roots: OverlayRoots, tmp_path: Path) -> None:
    """Several images in one archive, from a file and a pipe: IDs are Docker's, short names belong to docker.io."""
    layers = (make_tar(regular("a", b"1")), make_tar(regular("b", b"2")))
    for name, chain in (("first:1", layers), ("example.org/second:2", layers[:1])):
        docker("load", "-i", write(tmp_path / "in.tar", as_tar(docker_archive(chain, (name,)))))
    path = str(tmp_path / "saved.tar")
    docker("save", "-o", path, "first:1", "example.org/second:2")

    told = ours("load", path).ok()
    with open(path, "rb") as file:
        again = ours("load", stdin=file).ok()

    names = ["docker.io/library/first:1", "example.org/second:2"]
    assert sorted(told.lines) == [f"Loaded image: {name}" for name in names] == sorted(again.lines)
    assert set(names) <= set(podman(roots, "images", "--format", "{{.Repository}}:{{.Tag}}").split())
    ids = {docker("images", "-q", "--no-trunc", name) for name in ("first:1", "example.org/second:2")}
    assert {f"sha256:{identifier}" for identifier in ours("images", "-q").ok().lines} == ids


def test_the_oldest_archives_get_the_ids_that_docker_gives_them(docker: Daemon, ours: Runner, tmp_path: Path) -> None:
    """Docker makes a config for such images, and so does cstore, to the byte."""
    path = write(tmp_path / "old.tar", as_tar(v1_archive()))

    docker("load", "-i", path)
    ours("load", path).ok()

    assert docker("images", "-q", "--no-trunc", "example.org/old:1") == f"sha256:{ours('images', '-q').ok().lines[0]}"
