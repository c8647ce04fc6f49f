"""A thousand images above ten thousand layers: listing them all, describing one, looking for a digest, making one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from tests.bench.big_store import make_big_store
from tests.bench.timing import DURABLE, NO_SYNC, PEER_TOOL, Tool, interleaved, timed
from tests.disk import fresh_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.timing import Result


def many_images(rounds: int) -> Iterator[Result]:
    """Ask a store of a thousand images, and add to it."""
    with fresh_disk() as disk:
        make_big_store(disk)
        with open(os.path.join(disk, "graph/vfs-images/images.json"), encoding="utf-8") as file:
            asked = json.load(file)[500]
        for words, goal in (
            (["images", "-q"], None),
            (["images"], 1.0),
            (["images", "--json"], 1.0),
            (["images-by-digest", "-q", asked["digest"]], None),
            (["image", asked["names"][0]], 0.67),
            (["exists", "-i", asked["names"][0]], 1.0),
            (["exists", "-i", asked["id"]], 1.0),
            (["add-names", "--name", "another", asked["id"]], 1.0),
            (["delete-image", "--test", asked["id"]], 1.0),
        ):
            attempts = {tool.name: _asking(tool, disk, words) for tool in (DURABLE, PEER_TOOL)}
            option = "".join(word for word in words if word.startswith("-"))
            yield interleaved(f"{words[0]} {option}".strip() + ", 1,000", goal, attempts, rounds * 2)
        attempts = {tool.name: _making(tool, disk, asked["layer"]) for tool in (NO_SYNC, DURABLE, PEER_TOOL)}
        yield interleaved("create-image, 1,000", 0.8, attempts, rounds * 2)


def _asking(tool: Tool, disk: str, words: list[str]) -> Callable[[], float]:
    return lambda: timed([*tool.on(disk), *words])


def _making(tool: Tool, disk: str, layer: str) -> Callable[[], float]:
    return lambda: timed([*tool.on(disk), "create-image", layer])
