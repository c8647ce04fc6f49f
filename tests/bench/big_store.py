"""A store of ten thousand layers that nobody imported: records and empty trees, enough for listing and lookup."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass

LAYERS = 10_000
IMAGES = 1_000


@dataclass(frozen=True)
class BigStore:
    """What can be asked of it: an ID and a name from its middle."""

    layer: str
    name: str


def make_big_store(disk: str) -> BigStore:
    """Write the records of ten-layer chains, each below an image, under `disk`/graph."""
    choice = random.Random(10)
    graph = os.path.join(disk, "graph")
    for folder in ("vfs/dir", "vfs-layers", "vfs-images", "vfs-containers"):
        os.makedirs(os.path.join(graph, folder), mode=0o700)
    layers: list[dict[str, object]] = []
    images: list[dict[str, object]] = []
    while len(layers) < LAYERS:
        parent = ""
        for depth in range(LAYERS // IMAGES):
            layers.append(_layer(choice, parent, len(layers), named=depth == 3))
            parent = str(layers[-1]["id"])
            os.mkdir(os.path.join(graph, "vfs/dir", parent))
        images.append(_image(choice, parent, len(images)))
    _write(os.path.join(graph, "vfs-layers/layers.json"), layers)
    _write(os.path.join(graph, "vfs-images/images.json"), images)
    asked = layers[LAYERS // 2 + 3]
    names = asked["names"]
    assert isinstance(names, list)
    return BigStore(str(asked["id"]), str(names[0]))


def _layer(choice: random.Random, parent: str, number: int, *, named: bool) -> dict[str, object]:
    digest, size = f"{choice.getrandbits(256):064x}", choice.randrange(1, 10**9)
    record: dict[str, object] = {"id": f"{choice.getrandbits(256):064x}"}
    if named:
        record["names"] = [f"team/layer-{number}"]
    if parent:
        record["parent"] = parent
    record |= {
        "created": f"2026-01-{1 + number % 28:02}T10:{number % 60:02}:00.{choice.randrange(10**8, 10**9)}Z",
        "compressed-diff-digest": f"sha256:{choice.getrandbits(256):064x}",
        "compressed-size": size // 3 + 1,
        "diff-digest": f"sha256:{digest}",
        "diff-size": size,
        "compression": 2,
        "uidset": [0],
        "gidset": [0, 8, 42, 43, 50],
    }
    return record


def _image(choice: random.Random, layer: str, number: int) -> dict[str, object]:
    names = [f"registry.example/team{number % 20}/app{number}:v1"]
    manifest = f"sha256:{choice.getrandbits(256):064x}"
    identity = f"{choice.getrandbits(256):064x}"
    items = ["manifest", f"sha256:{identity}"]
    return {
        "id": identity,
        "digest": manifest,
        "names": names,
        "names-history": names,
        "layer": layer,
        "metadata": "{}",
        "big-data-names": items,
        "big-data-sizes": dict.fromkeys(items, 1000),
        "big-data-digests": {"manifest": manifest, f"sha256:{identity}": f"sha256:{identity}"},
        "created": "2026-01-01T10:00:00Z",
    }


def _write(path: str, records: list[dict[str, object]]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(records, file, separators=(",", ":"))
    os.chmod(path, 0o600)
