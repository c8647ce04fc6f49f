"""A thousand containers of a thousand images above ten thousand layers: listing them, describing one, making one."""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

from tests.bench.big_store import make_big_store
from tests.bench.timing import DURABLE, NO_SYNC, PEER_TOOL, Tool, interleaved, timed
from tests.disk import fresh_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.timing import Result


def many_containers(rounds: int) -> Iterator[Result]:
    """Ask a store with a container of every image, and add to it."""
    with fresh_disk() as disk:
        make_big_store(disk)
        image, container = _add_containers(os.path.join(disk, "graph"))
        for job, words, goal in (
            ("containers", ["containers"], None),
            ("containers --json", ["containers", "--json"], None),
            ("container", ["container", "--json", container], None),
            ("exists, of a container", ["exists", container], 0.67),
            ("layers", ["layers"], None),
        ):
            attempts = {tool.name: _running(tool, disk, words) for tool in (DURABLE, PEER_TOOL)}
            yield interleaved(f"{job}, 1,000 containers", goal, attempts, rounds * 2)
        making = ["create-container", image]
        attempts = {tool.name: _running(tool, disk, making) for tool in (NO_SYNC, DURABLE, PEER_TOOL)}
        yield interleaved("create-container, 1,000", 0.8, attempts, rounds * 2)


def _running(tool: Tool, disk: str, words: list[str]) -> Callable[[], float]:
    return lambda: timed([*tool.on(disk), *words])


def _add_containers(graph: str) -> tuple[str, str]:
    """Write the records of a container and its layer for each image; give the ID of an image and of a container."""
    choice = random.Random(20)
    images = _read(f"{graph}/vfs-images/images.json")
    layers = _read(f"{graph}/vfs-layers/layers.json")
    containers: list[dict[str, object]] = []
    for number, image in enumerate(images):
        made = {"created": f"2026-02-{1 + number % 28:02}T10:00:00.5Z"}
        layer = {"id": f"{choice.getrandbits(256):064x}", "parent": image["layer"], **made}
        os.mkdir(f"{graph}/vfs/dir/{layer['id']}")
        layers.append(layer)
        containers.append(
            {
                "id": f"{choice.getrandbits(256):064x}",
                "names": [f"app-{number}"],
                "image": image["id"],
                "layer": layer["id"],
                "metadata": "{}",
                **made,
                "flags": {"MountLabel": "", "ProcessLabel": ""},
            }
        )
    _write(f"{graph}/vfs-layers/layers.json", layers)
    _write(f"{graph}/vfs-containers/containers.json", containers)
    return str(images[500]["id"]), str(containers[500]["id"])


def _read(path: str) -> list[dict[str, object]]:
    with open(path, encoding="utf-8") as file:
        found: list[dict[str, object]] = json.load(file)
    return found


def _write(path: str, records: list[dict[str, object]]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(records, file, separators=(",", ":"))
    os.chmod(path, 0o600)
