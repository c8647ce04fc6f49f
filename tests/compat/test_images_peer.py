"""One store, many programs: images that skopeo or Podman brought, and images that cstore made for them."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from cstore.config import Overrides, load_config
from cstore.store import open_store
from tests.conftest import StoreRoots, find_peer, unplaced
from tests.mounts import detach_all
from tests.unit.transfer.archives import BASE, CHANGE, TOP, as_tar, config_of, docker_archive, sha

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Runner, RunnerMaker

    Call = Callable[..., str]

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

APP, OTHER = "example.org/app:1", "example.org/other:2"


@pytest.fixture(params=["vfs", "overlay"])
def roots(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreRoots]:
    """A store that nobody has opened; its mounts go with the test."""
    yield StoreRoots(str(tmp_path / "graph"), str(tmp_path / "run"), request.param)
    detach_all(str(tmp_path))


@pytest.fixture
def ours(run_on: RunnerMaker, roots: StoreRoots) -> Runner:
    """Our tool on the store."""
    return run_on(roots)


@pytest.fixture
def theirs(peer_on: RunnerMaker, roots: StoreRoots) -> Runner:
    """Debian's tool on the same store."""
    return peer_on(roots)


@pytest.fixture
def call(roots: StoreRoots, tmp_path: Path) -> Call:
    """Run a program that takes its store from storage.conf; gives its standard output."""
    config = tmp_path / "storage.conf"
    config.write_text(
        f'[storage]\ndriver = "{roots.driver}"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n', "utf-8"
    )

    def run(program: str, *words: str) -> str:
        command = [find_peer(program), *words]
        environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(config)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def archives(tmp_path: Path) -> tuple[str, str]:
    """Two docker-archives: an image of two layers, and one of the same two and a third."""
    paths = []
    for name, layers in ((APP, (BASE, CHANGE)), (OTHER, (BASE, CHANGE, TOP))):
        path = tmp_path / f"{len(layers)}.tar"
        path.write_bytes(as_tar(docker_archive(layers, (name,))))
        paths.append(str(path))
    return paths[0], paths[1]


@pytest.fixture
def copied(call: Call, roots: StoreRoots, archives: tuple[str, str]) -> None:
    """Let skopeo copy both images into the store."""
    for archive, name in zip(archives, (APP, OTHER), strict=True):
        target = f"containers-storage:[{roots.driver}@{roots.graph}+{roots.run}]{name}"
        call("skopeo", "--insecure-policy", "copy", f"docker-archive:{archive}", target)


@pytest.mark.usefixtures("copied")
def test_what_skopeo_copied_is_described_alike(ours: Runner, theirs: Runner) -> None:
    """Lists, records, sizes, data: line for line and byte for byte."""
    for words in (["images"], ["images", "--json"], ["image", APP, OTHER], ["image", "--json", OTHER]):
        assert ours(*words).ok().stdout == theirs(*words).ok().stdout
    manifest = ours("get-image-data", APP, "manifest").ok().output
    digest = sha(manifest)
    for item in ours("list-image-data", APP).ok().lines:
        for verb in ("get-image-data", "get-image-data-size", "get-image-data-digest"):
            assert ours(verb, APP, item).ok().output == theirs(verb, APP, item).ok().output
    assert ours("get-image-data-digest", APP, "manifest").ok().lines == [digest]
    assert ours("images-by-digest", digest).ok().stdout == theirs("images-by-digest", digest).ok().stdout != ""


@pytest.mark.usefixtures("copied")
def test_a_short_name_means_what_it_means_to_podman(ours: Runner, call: Call, roots: StoreRoots) -> None:
    """The host's own name first, then Docker's, then any that ends so; the digest of a manifest under its name."""
    digest = sha(ours("get-image-data", APP, "manifest").ok().output)
    ours("add-names", "-n", "localhost/one:latest", "-n", "docker.io/library/two:latest", APP).ok()
    ours("add-names", "-n", "docker.io/library/one:latest", "-n", "quay.io/team/three:3", OTHER).ok()
    overrides = Overrides(graph_root=roots.graph, run_root=roots.run, driver=roots.driver)
    store = open_store(load_config(overrides, environ={"HOME": roots.run}))

    for name in ("one", "two", "library/one", "docker.io/one", "localhost/one", "three:3", "team/three:3", "app:1"):
        assert store.resolve(name).id == call("podman", "image", "inspect", "--format", "{{.Id}}", name), name
    name = f"example.org/app@{digest}"
    assert store.resolve(name).id == call("podman", "image", "inspect", "--format", "{{.Id}}", name)


@pytest.mark.usefixtures("copied")
def test_what_skopeo_copied_is_mounted_and_deleted(ours: Runner, theirs: Runner, call: Call) -> None:
    """Only the layers go that the other image does not need; Podman is content with what is left."""
    path = ours("mount", "--read-only", OTHER).ok().stdout.strip()
    assert sorted(os.listdir(path)) == ["bin", "etc", "new", "top"]
    ours("unmount", OTHER).ok()

    for name, left in ((OTHER, 2), (APP, 0)):
        foretold = theirs("delete-image", "--json", "--test", name).ok().stdout
        assert ours("delete-image", "--json", "--test", name).ok().stdout == foretold
        assert ours("delete-image", "--json", name).ok().stdout == foretold
        assert len(ours("layers", "--quiet").ok().lines) == left
        assert call("podman", "images", "--format", "{{.Repository}}:{{.Tag}}") == (APP if left else "")
    assert theirs("images").ok().stdout == ""


def test_podman_and_cstore_share_names_and_uses(
    ours: Runner, theirs: Runner, call: Call, archives: tuple[str, str]
) -> None:
    """A tag of either is one of both; an image that a container of Podman came from stays."""
    call("podman", "load", "-i", archives[0])
    call("podman", "pull", f"docker-archive:{archives[1]}")
    ours("add-names", "-n", "localhost/mine:1", APP).ok()
    call("podman", "tag", OTHER, "localhost/yours:1")
    container = call("podman", "create", APP)

    assert "localhost/mine:1" in call("podman", "images", "--format", "{{.Repository}}:{{.Tag}}").splitlines()
    assert sorted(ours("get-names", OTHER).ok().lines) == [OTHER, "localhost/yours:1"]
    assert ours("image", "--json", APP).ok().stdout == theirs("image", "--json", APP).ok().stdout
    assert "podman rm " in unplaced(ours("delete-image", APP).stderr)
    call("podman", "rm", container)
    ours("delete-image", APP, OTHER).ok()
    assert call("podman", "images", "--quiet") == ""


@pytest.fixture
def made(ours: Runner, tmp_path: Path) -> dict[str, Any]:
    """Make an image as a registry would have it: layers, config and manifest; returns the manifest."""
    parent: list[str] = []
    for number, layer in enumerate((BASE, CHANGE)):
        (tmp_path / f"layer{number}").write_bytes(layer)
        parent = ours("import-layer", "-f", str(tmp_path / f"layer{number}"), *parent).ok().lines
    config = config_of((BASE, CHANGE))
    kind = "application/vnd.oci.image"
    layers = [
        {"mediaType": f"{kind}.layer.v1.tar", "digest": sha(layer), "size": len(layer)} for layer in (BASE, CHANGE)
    ]
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", "digest": sha(config), "size": len(config)},
        "layers": layers,
    }
    raw = json.dumps(manifest).encode()
    ours("create-image", "-i", sha(config)[7:], "-n", "localhost/made:1", *parent).ok()
    for item, data in (("manifest", raw), (f"manifest-{sha(raw)}", raw), (sha(config), config)):
        ours("set-image-data", "localhost/made:1", item, stdin=data).ok()
    return manifest


def test_podman_buildah_and_skopeo_use_what_cstore_made(
    ours: Runner, theirs: Runner, call: Call, roots: StoreRoots, made: dict[str, Any]
) -> None:
    """It is inspected, mounted, built upon and copied; its size is the same for all; Podman deletes it."""
    identity = made["config"]["digest"][7:]
    assert ours("image", "--json", "localhost/made:1").ok().stdout == theirs("image", "--json", identity).ok().stdout
    assert call("podman", "images", "--no-trunc", "--format", "{{.ID}}") == f"sha256:{identity}"
    (told,) = json.loads(call("podman", "image", "inspect", "localhost/made:1"))
    assert told["RootFS"]["Layers"] == [sha(BASE), sha(CHANGE)]
    assert told["Size"] == int(ours("image", identity).ok().lines[-1].removeprefix("Size: "))

    place = f"containers-storage:[{roots.driver}@{roots.graph}+{roots.run}]localhost/made:1"
    assert json.loads(call("skopeo", "inspect", place))["Layers"] == [sha(BASE), sha(CHANGE)]
    path = call("podman", "image", "mount", "localhost/made:1")
    assert sorted(os.listdir(path)) == ["bin", "etc", "new"]
    call("podman", "image", "umount", "localhost/made:1")
    working = call("buildah", "from", "localhost/made:1")
    assert ours("delete-image", identity).code == 1
    call("buildah", "rm", working)
    call("podman", "rmi", "localhost/made:1")
    assert ours("images").ok().stdout == ours("layers").ok().stdout == ""
