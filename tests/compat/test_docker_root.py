"""Data roots of a real daemon: read as the daemon sees them, imported as skopeo would have, left as they were."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from cstore.config import Overrides, load_config
from cstore.digests import digest_of
from cstore.docker import DockerRoot
from cstore.docker.root import import_notes
from cstore.errors import ArchiveHostile
from cstore.store import open_store
from cstore.transfer import export_docker_image
from cstore.transfer import import_docker_image as import_image
from tests.builders import (
    differences,
    directory,
    hardlink,
    make_tar,
    node,
    regular,
    symlink,
    tree_manifest,
    whiteout,
)
from tests.conftest import find_peer
from tests.disk import fresh_disk
from tests.dockerd import docker_daemon
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cstore.store import Store

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

FIXTURE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data", "docker")
BASE = make_tar(
    directory("etc"),
    regular("etc/old", b"old\n"),
    regular("etc/empty"),
    directory("usr/"),
    regular("usr/tool", b"x" * 70_000, mode=0o4755),
    hardlink("usr/same", "usr/tool", mode=0o4755),
    regular("usr/" + "long" * 40, b"a name that needs a PAX record"),
    regular("usr/na\u00efve", b"a name that is not ASCII"),
)
"""Without an entry for the root: the peer leaves that as it is, whatever the entry says."""
ABOVE = make_tar(
    directory("etc"),
    whiteout("etc/old"),
    regular("etc/new", b"new\n", uid=7, gid=8),
    hardlink("etc/again", "etc/new"),
    symlink("etc/link", "../usr"),
    node("etc/null", b"3", (1, 3)),
)


@dataclass
class Written:
    """A data root, and what its daemon says of it."""

    path: str
    images: list[dict[str, Any]]
    container: str
    saved: dict[str, str]


def archive() -> bytes:
    """A docker-archive of one image."""
    layers = {"one.tar": BASE, "two.tar": ABOVE}
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2023-11-14T22:13:21Z",
            "config": {"Cmd": ["/nothing"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(data) for data in layers.values()]},
        }
    ).encode()
    manifest = [{"Config": "config.json", "RepoTags": ["app:1"], "Layers": list(layers)}]
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in {**layers, "config.json": config, "manifest.json": json.dumps(manifest).encode()}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture(scope="module", params=["overlay2", "vfs"])
def written(request: pytest.FixtureRequest) -> Iterator[Written]:
    """Let a daemon load an image, commit a container, and end."""
    with fresh_disk() as disk:
        loaded, extra = (os.path.join(disk, name) for name in ("load.tar", "extra"))
        saved = {name: os.path.join(disk, f"{name[:-2]}.tar") for name in ("app:1", "more:1")}
        with open(loaded, "wb") as file:
            file.write(archive())
        with open(extra, "w", encoding="utf-8") as text:
            text.write("extra")
        with docker_daemon(disk, request.param) as docker:
            docker("load", "-i", loaded)
            box = docker("create", "--network", "none", "--name", "box", "app:1")
            docker("cp", extra, "box:/extra")
            docker("commit", "box", "more:1")
            for (
                name,
                path,
            ) in saved.items():  # not together: skopeo 1.9 takes a link to a layer for a layer of that size
                docker("save", "-o", path, name)
            images = json.loads(docker("image", "inspect", "app:1", "more:1"))
            data = docker.data
        yield Written(data, images, box, saved)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An overlay store of ours."""
    yield ours(tmp_path)
    detach_all(str(tmp_path))


def ours(top: Path) -> Store:
    overrides = Overrides(graph_root=str(top / "graph"), run_root=str(top / "run"), driver="overlay")
    return open_store(load_config(overrides, environ={"HOME": str(top)}))


def bring(path: str, store: Store) -> None:
    """Import every image of a data root."""
    source = DockerRoot(path)
    assert source.flaws == []
    for image in source.images.values():
        import_image(source, image, store)


def test_it_is_listed_as_the_daemon_lists_it(written: Written) -> None:
    """IDs, sizes, names, layers, the container and what it wrote."""
    source = DockerRoot(written.path)
    told = {
        f"sha256:{image.id}": ([*image.names], image.size, list(image.config.rootfs.diff_ids))
        for image in source.images.values()
    }

    assert told == {
        image["Id"]: (image["RepoTags"], image["Size"], image["RootFS"]["Layers"]) for image in written.images
    }
    (box,) = source.containers
    assert (box.id, box.name, box.state, source.container_size(box)) == (written.container, "box", "created", 5)
    assert (source.warnings, source.orphans) == ([], [])
    assert source.image("more:1").parent == source.image("app:1").id


def test_an_import_is_what_skopeo_makes_of_a_saved_image(written: Written, store: Store, tmp_path: Path) -> None:
    """The same records, data files and trees, times of creation aside."""
    bring(written.path, store)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    for name, saved in written.saved.items():
        full = f"docker.io/library/{name}"
        target = f"containers-storage:[overlay@{theirs / 'graph'}+{theirs / 'run'}]{full}"
        peer(theirs, "skopeo", "--insecure-policy", "copy", f"docker-archive:{saved}:{full}", target)
    mine, other = str(tmp_path / "graph"), str(theirs / "graph")

    for records in ("overlay-layers/layers.json", "overlay-images/images.json"):
        assert by_id(mine, records) == by_id(other, records)
    for image in store.images.list():
        assert files(f"{mine}/overlay-images/{image.id}") == files(f"{other}/overlay-images/{image.id}")
    for layer in store.layers.list():
        trees = [tree_manifest(f"{graph}/overlay/{layer.id}/diff") for graph in (mine, other)]
        found = differences(*trees)
        assert [line for line in found if not line.startswith("b'etc/old': mtime")] == [], "a whiteout is of now"
    detach_all(str(theirs))


def peer(top: Path, program: str, *words: str) -> str:
    """Run a peer on the overlay store below a directory; return what it printed."""
    config = top / "storage.conf"
    roots = f'graphroot = "{top / "graph"}"\nrunroot = "{top / "run"}"\n'
    config.write_text(f'[storage]\ndriver = "overlay"\n{roots}', "utf-8")
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": str(config)}
    done = subprocess.run(
        [find_peer(program), *words], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def by_id(graph: str, records: str) -> dict[str, dict[str, Any]]:
    """Records by ID, without what differs from run to run, or from one age of the Go library to the next."""
    with open(os.path.join(graph, records), encoding="utf-8") as file:
        found = {record["id"]: record for record in json.load(file)}
    for record in found.values():
        record["created"] = record["created"] if "images" in records else ""
        record.pop("metadata", None)
        for key in ("big-data-names", "big-data-sizes", "big-data-digests"):
            items = record.get(key, [])
            kept = [name for name in items if not name.startswith("signature-")]
            record[key] = kept if isinstance(items, list) else {name: items[name] for name in kept}
    return found


def files(folder: str) -> dict[str, bytes]:
    """The data items of an image that are not empty."""
    found = {}
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as file:
            found[name] = file.read()
    return {name: data for name, data in found.items() if data}


def test_podman_lists_what_was_imported(written: Written, store: Store, tmp_path: Path) -> None:
    """Docker's notes, which lie beside, do not disturb it."""
    bring(written.path, store)
    for image in DockerRoot(written.path).images.values():
        import_notes(image, store)
    listed = peer(tmp_path, "podman", "images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}", "--no-trunc")

    expected = [f"{image['Id']} docker.io/library/{image['RepoTags'][0]}" for image in written.images]
    assert sorted(listed.split("\n")) == sorted(expected)


def test_skopeo_reads_an_exported_image(written: Written, tmp_path: Path) -> None:
    """It copies it out of the docker-archive, which holds every layer to its digest."""
    source, path = DockerRoot(written.path), str(tmp_path / "more.tar")
    with open(path, "wb") as file:
        export_docker_image(source, source.image("more:1"), file)
    peer(tmp_path, "skopeo", "--insecure-policy", "copy", f"docker-archive:{path}", f"dir:{tmp_path / 'copy'}")

    config = source.image("more:1").config
    assert (tmp_path / "copy" / config.id).read_bytes() == config.raw


def test_a_read_only_root_is_enough(written: Written, tmp_path: Path, store: Store) -> None:
    """Mounted read-only, it gives the same; and nothing is different afterwards."""
    before = tree_manifest(written.path)
    place = tmp_path / "read-only"
    place.mkdir()
    subprocess.run(["mount", "--bind", written.path, place], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        bring(str(place), store)
    finally:
        subprocess.run(["umount", place], check=True)

    assert len(store.images.list()) == 2
    assert differences(before, tree_manifest(written.path)) == []


@pytest.fixture(scope="module")
def old_root() -> Iterator[str]:
    """What Docker 28.3 left of eighteen odd images."""
    with fresh_disk() as disk:
        subprocess.run(
            [
                "tar",
                "--xattrs",
                "--xattrs-include=*",
                "-xJf",
                os.path.join(FIXTURE, "overlay2-28.3.tar.xz"),
                "-C",
                disk,
            ],
            check=True,
        )
        yield os.path.join(disk, "data")


def test_every_layer_of_docker_28_comes_out(old_root: str) -> None:
    """Each has the digest that it is known by: `write_layer` holds it against that."""
    source = DockerRoot(old_root)

    class Hashed:
        def __init__(self) -> None:
            self.hash = hashlib.sha256()

        def write(self, data: bytes | memoryview) -> None:
            self.hash.update(data)

    assert (len(source.images), len(source.layers), source.flaws, source.orphans) == (18, 20, [], [])
    for chain, layer in source.layers.items():
        out = Hashed()
        source.write_layer(chain, out)
        assert f"sha256:{out.hash.hexdigest()}" == layer.diff_id


def test_every_image_of_docker_28_but_the_hostile_one_comes_in(old_root: str, store: Store) -> None:
    """An entry that climbs out of its layer is refused, though Docker took it."""
    source = DockerRoot(old_root)
    refused = []
    for image in source.images.values():
        try:
            import_image(source, image, store)
        except ArchiveHostile:
            refused.append(image.names)

    assert refused == [("esc:1",)]
    assert len(store.images.list()) == 17
