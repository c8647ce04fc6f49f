"""What the overlay driver is measured by: real layers in and out, and the short commands that Podman lives on."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cstore.kernel import mount
from tests.bench.jobs import IMPORTERS
from tests.bench.timing import PEER_TOOL, Result, Tool, interleaved, timed
from tests.disk import fresh_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.compat.corpora import Corpus

DRIVER = "overlay"


def on_real_layers(corpus: Corpus, rounds: int) -> Iterator[Result]:
    """Import a real layer into an empty store, and delete it again."""
    archive = corpus.path("tar")
    os.system(f"cat {archive} > /dev/null")  # noqa: S605  - our own path; it only warms the page cache

    def importing(tool: Tool) -> Callable[[], float]:
        def run() -> float:
            with overlay_disk() as disk:
                return timed([*tool.on(disk, DRIVER), "import-layer", "--file", archive])

        return run

    def deleting(tool: Tool) -> Callable[[], float]:
        def run() -> float:
            with overlay_disk() as disk:
                timed([*PEER_TOOL.on(disk, DRIVER), "import-layer", "--id", "made", "--file", archive])
                os.sync()
                return timed([*tool.on(disk, DRIVER), "delete-layer", "made"])

        return run

    yield _compared(f"overlay: import {corpus.name}.tar", 0.5, importing, rounds)
    yield _compared(f"overlay: delete {corpus.name}", None, deleting, rounds)


def mounts(rounds: int) -> Iterator[Result]:
    """Make, mount, unmount and delete a layer that holds next to nothing: start-up counts, and how often a disk waits.

    Each tool has the store to itself for all four.
    """
    verbs = {
        "create-layer": ["create-layer", "--id", "made", "base"],
        "mount": ["mount", "made"],
        "unmount": ["unmount", "made"],
        "delete-layer": ["delete-layer", "made"],
    }
    with overlay_disk() as disk:
        timed([*PEER_TOOL.on(disk, DRIVER), "create-layer", "--id", "base"])
        taken: dict[str, dict[str, list[float]]] = {verb: {} for verb in verbs}

        def attempt(tool: Tool) -> Callable[[], float]:
            def run() -> float:
                for verb, words in verbs.items():
                    taken[verb].setdefault(tool.name, []).append(timed([*tool.on(disk, DRIVER), *words]))
                return 0.0

            return run

        interleaved("", None, {tool.name: attempt(tool) for tool in IMPORTERS}, rounds * 3)
    for verb, seconds in taken.items():
        yield Result.of_medians(f"overlay: {verb}", 12.0, {name: times[1:] for name, times in seconds.items()})


@contextmanager
def overlay_disk() -> Iterator[str]:
    """A fresh disk, from which everything is unmounted in the end that the tools left mounted."""
    with fresh_disk() as disk:
        try:
            yield disk
        finally:
            home = os.path.join(disk, "graph", DRIVER)
            while os.path.ismount(home):
                mount.unmount(home, mount.MNT_DETACH)


def _compared(job: str, goal: float | None, attempt: Callable[[Tool], Callable[[], float]], rounds: int) -> Result:
    return interleaved(job, goal, {tool.name: attempt(tool) for tool in IMPORTERS}, rounds)
