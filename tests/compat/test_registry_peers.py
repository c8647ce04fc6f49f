"""Registries, beside skopeo and Podman: what one pushes the others pull, and all come to the same image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.builders import differences, tree_manifest
from tests.compat.test_load_save import LAYERS, NAME, _options, on, podman, skopeo, tool
from tests.conftest import OverlayRoots
from tests.unit.transfer.archives import as_directory, oci_layout, platforms_layout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Runner
    from tests.registries import Registry

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]
PLAIN = "--tls-verify=false"


@pytest.fixture(scope="module")
def name(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image there that skopeo has pushed."""
    layout = as_directory(oci_layout(LAYERS), str(tmp_path_factory.mktemp("layout")))
    skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:{NAME}", f"docker://{registry.host}/app:1")
    return f"{registry.host}/app:1"


def records(roots: OverlayRoots) -> dict[str, object]:
    """What the records say of images and layers, without times and what only skopeo notes of signatures."""
    with open(f"{roots.graph}/overlay-images/images.json", encoding="utf-8") as file:
        images = json.load(file)
    with open(f"{roots.graph}/overlay-layers/layers.json", encoding="utf-8") as file:
        layers = json.load(file)
    of_image = ("id", "digest", "names", "layer")
    of_layer = ("id", "parent", "diff-digest", "diff-size", "compressed-diff-digest", "compressed-size", "compression")
    return {
        "images": [{key: image.get(key) for key in of_image} for image in images],
        "data": [
            {key: value for key, value in image["big-data-digests"].items() if not key.startswith("signature")}
            for image in images
        ],
        "layers": sorted(([layer.get(key) for key in of_layer] for layer in layers), key=str),
    }


def layers_of(roots: OverlayRoots) -> list[str]:
    """The IDs of the layers in a store."""
    with open(f"{roots.graph}/overlay-layers/layers.json", encoding="utf-8") as file:
        return [layer["id"] for layer in json.load(file)]


def test_a_pull_gives_what_podman_and_skopeo_pull(ours: Runner, roots: OverlayRoots, name: str, short: str) -> None:
    """The same records and trees, and Podman lists and mounts the image."""
    theirs, third = OverlayRoots(f"{short}/g2", f"{short}/r2"), OverlayRoots(f"{short}/g3", f"{short}/r3")
    out = ours("pull", PLAIN, name).ok().stdout.strip()
    assert podman(theirs, "pull", "-q", PLAIN, name).strip() == out
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", on(third, name))

    assert records(roots) == records(theirs) == records(third)
    trees = [
        tree_manifest(f"{each.graph}/overlay/{layer}/diff", times=False)
        for layer in layers_of(roots)
        for each in (roots, theirs)
    ]
    assert not any(differences(*pair) for pair in zip(trees[::2], trees[1::2], strict=True))
    assert json.loads(podman(roots, "images", "--format", "json"))[0]["Names"] == [name]
    assert ours("check").ok().stdout == ""


def test_a_push_is_taken_by_podman_and_skopeo(ours: Runner, name: str, registry: Registry, short: str) -> None:
    """The same ID; to the registry that it came from the same digest; layers that skopeo finds in order."""
    theirs = OverlayRoots(f"{short}/g2", f"{short}/r2")
    identifier = ours("pull", PLAIN, name).ok().stdout.strip()
    digest = json.loads(skopeo("inspect", PLAIN, f"docker://{name}"))["Digest"]
    assert ours("push", PLAIN, name, f"docker://{registry.host}/app:again").ok().stdout.strip() == digest

    pushed = ours("push", PLAIN, "--compression", "zstd", name, f"{registry.host}/zstd:1").ok().stdout.strip()
    told = json.loads(skopeo("inspect", PLAIN, f"docker://{registry.host}/zstd:1"))
    assert told["Digest"] == pushed
    assert podman(theirs, "pull", "-q", PLAIN, f"{registry.host}/zstd:1").strip() == identifier


def test_an_index_is_the_same_for_all(ours: Runner, registry: Registry, tmp_path: Path, short: str) -> None:
    """Whoever copies it, and whoever pulls from it."""
    layout = as_directory(platforms_layout("amd64", "arm64"), str(tmp_path / "many"))
    goal = f"docker://{registry.host}/many:1"
    ours("copy-image", PLAIN, "--all", f"oci:{layout}", goal).ok()
    skopeo("copy", "--all", "--src-tls-verify=false", goal, f"dir:{tmp_path}/theirs")
    ours("copy-image", PLAIN, "--all", goal, f"dir:{tmp_path}/ours").ok()

    both = [tree_manifest(f"{tmp_path}/{who}", times=False) for who in ("theirs", "ours")]
    assert not differences(*both)
    theirs = OverlayRoots(f"{short}/g2", f"{short}/r2")
    mine = ours("pull", PLAIN, f"{registry.host}/many:1").ok().stdout.strip()
    assert podman(theirs, "pull", "-q", PLAIN, f"{registry.host}/many:1").strip() == mine


@pytest.mark.parametrize(
    "form", ["oci:{0}/l:v", "oci-archive:{0}/l.tar:v", "dir:{0}/d", "docker-archive:{0}/a.tar:a/b:1"]
)
def test_what_copy_image_writes_skopeo_reads(ours: Runner, name: str, tmp_path: Path, form: str) -> None:
    """And what skopeo writes is read here: the ID stays."""
    place, other = form.format(tmp_path), form.format(tmp_path).replace(str(tmp_path), f"{tmp_path}/theirs", 1)
    (tmp_path / "theirs").mkdir()
    identifier = ours("pull", PLAIN, name).ok().stdout.strip()
    ours("copy-image", name, place).ok()
    skopeo("copy", place, other)

    assert ours("copy-image", other, "back:1").ok().stdout.strip() == identifier


def test_buildah_and_cstore_give_each_other_images(
    ours: Runner, name: str, registry: Registry, short: str, tmp_path: Path
) -> None:
    """The same IDs and digests, both ways, also of an image that Buildah has built on one that cstore pushed."""
    theirs = [*_options(OverlayRoots(f"{short}/g2", f"{short}/r2"))]
    base, built = f"{registry.host}/of/cstore:1", f"{registry.host}/of/buildah:1"
    identifier = ours("pull", PLAIN, name).ok().stdout.strip()
    digest = ours("push", PLAIN, name, f"docker://{base}").ok().stdout.strip()

    assert tool("buildah", *theirs, "pull", "-q", PLAIN, base).strip() == identifier
    assert json.loads(tool("buildah", *theirs, "images", "--json"))[0]["digest"] == digest
    (tmp_path / "file").write_text("from Buildah")
    tool("buildah", *theirs, "from", "--name", "making", base)
    tool("buildah", *theirs, "add", "making", str(tmp_path / "file"), "/there")
    told = str(tmp_path / "digest")
    made = tool("buildah", *theirs, "commit", "-q", "making", built).strip()
    tool("buildah", *theirs, "push", "-q", PLAIN, "--digestfile", told, built, f"docker://{built}")

    assert ours("pull", PLAIN, built).ok().stdout.strip() == made
    images = {image["id"]: image["digest"] for image in json.loads(ours("images", "--json").ok().stdout)}
    with open(told, encoding="utf-8") as file:
        assert images[made] == file.read().strip()
    assert ours("cat", f"{built}:/there").ok().stdout == "from Buildah"
    # What Buildah has just pushed is there under its digest: to push it again sends nothing new.
    assert (
        ours("push", PLAIN, built, f"docker://{registry.host}/of/buildah:2").ok().stdout.strip()
        == json.loads(skopeo("inspect", PLAIN, f"docker://{built}"))["Digest"]
    )
    assert ours("check").ok().stdout == ""


def test_buildah_goes_on_with_a_working_container_that_was_kept_elsewhere(
    ours: Runner, roots: OverlayRoots, name: str, registry: Registry, short: str, tmp_path: Path
) -> None:
    """In another store: listed as its own, with what it has noted and written, and ready to be committed."""
    other = OverlayRoots(f"{short}/g2", f"{short}/r2")
    here, there = _options(roots), _options(other)
    ours("pull", PLAIN, name).ok()
    (tmp_path / "file").write_text("from Buildah")
    container = tool("buildah", *here, "from", "--name", "making", name).strip()
    tool("buildah", *here, "config", "--env", "STEP=3", "making")
    tool("buildah", *here, "add", "making", str(tmp_path / "file"), "/there")
    was = json.loads(tool("buildah", *here, "inspect", "making"))
    kept = f"docker://{registry.host}/kept"

    ours("sync", PLAIN, "--scoped", "--containers", "containers-storage:", kept).ok()
    ours("sync", PLAIN, "--scoped", "--containers", f"{kept}/", on(other, "")).ok()

    (found,) = json.loads(tool("buildah", *there, "containers", "--json"))
    assert (found["containername"], found["builder"]) == (container, True)
    now = json.loads(tool("buildah", *there, "inspect", "making"))
    assert now["OCIv1"] == was["OCIv1"]
    assert "STEP=3" in now["OCIv1"]["config"]["Env"]
    tool("buildah", *there, "commit", "-q", "making", "localhost/built:1")
    ours("copy-image", on(other, "localhost/built:1"), "localhost/built:1").ok()
    assert ours("cat", "localhost/built:1:/there").ok().stdout == "from Buildah"


def test_umoci_and_cstore_give_each_other_images(ours: Runner, name: str, registry: Registry, tmp_path: Path) -> None:
    """What cstore puts into a layout umoci unpacks and adds to, and what comes of that goes to a registry and back."""
    layout, bundle = f"{tmp_path}/layout", f"{tmp_path}/bundle"
    ours("copy-image", PLAIN, f"docker://{name}", f"oci:{layout}:given").ok()
    tool("umoci", "unpack", "--image", f"{layout}:given", bundle)
    with open(f"{bundle}/rootfs/from-umoci", "w", encoding="utf-8") as file:
        file.write("from umoci")
    tool("umoci", "repack", "--image", f"{layout}:made", bundle)
    with open(f"{layout}/index.json", encoding="utf-8") as file:
        entries = {
            each["annotations"]["org.opencontainers.image.ref.name"]: each for each in json.load(file)["manifests"]
        }

    goal = f"{registry.host}/of/umoci:1"
    ours("copy-image", PLAIN, f"oci:{layout}:made", f"docker://{goal}").ok()

    assert entries["given"]["digest"] == json.loads(skopeo("inspect", PLAIN, f"docker://{name}"))["Digest"]
    assert entries["made"]["digest"] == json.loads(skopeo("inspect", PLAIN, f"docker://{goal}"))["Digest"]
    ours("pull", PLAIN, goal).ok()
    assert ours("cat", f"{goal}:/from-umoci").ok().stdout == "from umoci"
