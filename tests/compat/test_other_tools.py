"""An image that skopeo copied and Podman uses: cstore sees the same layers, counts the same mounts, breaks nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import differences, tree_manifest, typical_tar
from tests.conftest import find_peer

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Runner, StoreRoots

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

TAR = typical_tar()
DIGEST = hashlib.sha256(TAR).hexdigest()
NAME = "localhost/one:latest"


@pytest.fixture
def bundle(needs_root: None, store_roots: StoreRoots, tmp_path: Path) -> str:
    """Let umoci make an image of one layer and skopeo copy it into the store; returns where umoci unpacked it too."""
    layout, unpacked, archive = str(tmp_path / "oci"), str(tmp_path / "bundle"), str(tmp_path / "layer.tar")
    with open(archive, "wb") as file:
        file.write(TAR)
    umoci = find_peer("umoci")
    for words in (
        ["init", "--layout", layout],
        ["new", "--image", f"{layout}:one"],
        ["raw", "add-layer", "--image", f"{layout}:one", archive],
        ["unpack", "--image", f"{layout}:one", unpacked],
    ):
        subprocess.run([umoci, *words], check=True, capture_output=True)
    target = f"containers-storage:[vfs@{store_roots.graph}+{store_roots.run}]{NAME}"
    call(store_roots, "skopeo", "--insecure-policy", "copy", f"oci:{layout}:one", target)
    return unpacked


def call(roots: StoreRoots, program: str, *words: str) -> str:
    """Run a peer that takes its roots from storage.conf alone; returns its standard output."""
    config = os.path.join(os.path.dirname(roots.graph), "peer.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[storage]\ndriver = "vfs"\ngraphroot = "{roots.graph}"\nrunroot = "{roots.run}"\n')
    environment = {**os.environ, "CONTAINERS_STORAGE_CONF": config}
    done = subprocess.run(
        [find_peer(program), *words], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_pulled_layer_reads_alike(bundle: str, run: Runner, peer: Runner, store_roots: StoreRoots) -> None:
    """The layer that skopeo wrote is listed with its image, is the tree that umoci unpacked, and comes out bytewise."""
    assert run("layers").ok().stdout == peer("layers").ok().stdout
    assert run("layers", "--json").ok().stdout == peer("layers", "--json").ok().stdout
    assert differences(tree_manifest(os.path.join(bundle, "rootfs")), tree_manifest(store_roots.tree(DIGEST))) == []
    assert run("diff", "--uncompressed", DIGEST).ok().output == TAR
    assert run("exists", "--image", NAME).ok().stdout == f"{NAME}: true\n"


@pytest.mark.usefixtures("bundle")
def test_mounts_are_counted_together(run: Runner, store_roots: StoreRoots) -> None:
    """What Podman mounted is mounted for cstore, and stays so when cstore mounts and unmounts it once more."""
    path = call(store_roots, "podman", "image", "mount", NAME)

    assert run("mounted", DIGEST).ok().stdout == f"{DIGEST} mounted\n"
    assert run("mount", DIGEST).ok().stdout == path + "\n"
    assert run("unmount", DIGEST).ok().stdout == ""
    assert run("mounted", DIGEST).ok().stdout == f"{DIGEST} mounted\n"

    call(store_roots, "podman", "image", "umount", NAME)

    assert run("mounted", DIGEST).ok().stdout == ""


@pytest.mark.usefixtures("bundle")
def test_what_podman_uses_cannot_be_deleted(run: Runner, store_roots: StoreRoots) -> None:
    """A layer of an image and a layer of a container are refused by name; removing both with Podman frees them."""
    container = call(store_roots, "podman", "create", NAME, "true")
    before = run("layers").ok().stdout
    writable = [line for line in run("layers", "--quiet").ok().lines if line != DIGEST]

    assert len(writable) == 1
    assert f"\tcontainer: {container}" in before.splitlines()
    for word in (DIGEST, DIGEST[:12], writable[0]):
        refused = run("delete-layer", word)
        assert refused.code == 1
        assert len(refused.stderr.splitlines()) == 1
    assert run("layers").ok().stdout == before

    call(store_roots, "podman", "rm", container)
    call(store_roots, "podman", "rmi", NAME)

    assert run("layers").ok().stdout == ""


@pytest.mark.usefixtures("bundle")
def test_podman_keeps_working_beside_cstore(run: Runner, store_roots: StoreRoots) -> None:
    """After cstore imported, named and deleted layers, Podman still lists its image and makes a container of it."""
    run("import-layer", "--id", "mine", "--name", "mine", stdin=TAR).ok()
    run("create-layer", "--id", "child", DIGEST).ok()
    run("set-names", "--name", "other", "mine").ok()
    run("delete-layer", "child").ok()
    run("gc").ok()

    assert call(store_roots, "podman", "images", "--format", "{{.Repository}}:{{.Tag}}") == NAME
    call(store_roots, "podman", "create", NAME, "true")

    assert run("get-names", "mine").ok().stdout == "other\n"
    assert run("diff", "--uncompressed", "mine").ok().output == TAR
