"""After a repair the others find the store sound: what they put in is listed, mounted and copied out as before."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from tests.compat.test_load_save import LAYERS, NAME, on, podman, skopeo, write
from tests.unit.transfer.archives import as_tar, docker_archive

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import OverlayRoots, Runner

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]


def copied_out(roots: OverlayRoots, target: Path) -> dict[str, object]:
    """The manifest with which skopeo gives the image out: its digests tell of every layer and of the config."""
    skopeo("copy", "-q", on(roots), f"oci:{target}:copy")
    with open(target / "index.json", encoding="utf-8") as file:
        digest = json.load(file)["manifests"][0]["digest"].partition(":")[2]
    with open(target / "blobs" / "sha256" / digest, encoding="utf-8") as file:
        manifest: dict[str, object] = json.load(file)
    return manifest["config"]  # type: ignore[return-value]  # a descriptor


@pytest.mark.parametrize("lost", ["layers/layers.json", "images/images.json", "both"])
def test_skopeo_and_podman_go_on_with_what_was_healed(
    ours: Runner, roots: OverlayRoots, tmp_path: Path, lost: str
) -> None:
    """An image that skopeo brought has the same digests after its records were lost and made again."""
    archive = write(tmp_path / "image.tar", as_tar(docker_archive(LAYERS)))
    skopeo("copy", "-q", f"docker-archive:{archive}", on(roots))
    before = copied_out(roots, tmp_path / "before")
    image = podman(roots, "images", "-q", "--no-trunc").split()[0].removeprefix("sha256:")
    for name in ["layers/layers.json", "images/images.json"] if lost == "both" else [lost]:
        os.truncate(f"{roots.graph}/overlay-{name}", 0)

    ours("repair", "--yes", "--name", f"{image}={NAME}").ok()

    assert ours("check").ok().stdout == ""
    assert NAME in podman(roots, "images", "--format", "{{.Repository}}:{{.Tag}}").split()
    assert copied_out(roots, tmp_path / "after") == before
    mounted = podman(roots, "image", "mount", NAME).strip()
    assert sorted(os.listdir(mounted))
    podman(roots, "image", "unmount", NAME)
    podman(roots, "rmi", NAME)
    assert ours("layers").ok().stdout == ""
