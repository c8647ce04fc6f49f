"""The jobs that are measured, each with the ratio that it should reach."""

from __future__ import annotations

import os
import subprocess
import tempfile
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.big_store import make_big_store
from tests.bench.timing import DURABLE, NO_SYNC, PEER_TOOL, Result, Tool, interleaved, timed
from tests.disk import fresh_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.compat.corpora import Corpus

IMPORTERS = (NO_SYNC, DURABLE, PEER_TOOL)
GOALS = {"tar": 0.42, "gzip": 0.48, "zstd": 0.42}


def imports(corpus: Corpus, rounds: int) -> Iterator[Result]:
    """Import one archive into an empty store, plain and compressed."""
    for form, goal in GOALS.items():
        archive = corpus.path(form)
        os.system(f"cat {archive} > /dev/null")  # noqa: S605  - our own path; it only warms the page cache

        def attempt(tool: Tool, archive: str = archive) -> Callable[[], float]:
            def run() -> float:
                with fresh_disk() as disk:
                    return timed([*tool.on(disk), "import-layer", "--file", archive])

            return run

        attempts = {tool.name: attempt(tool) for tool in IMPORTERS}
        yield interleaved(f"import {corpus.name}.{form}", goal, attempts, rounds)


def exports(corpus: Corpus, rounds: int) -> Iterator[Result]:
    """Export one layer from a store that the peer filled: rebuilt, compressed, and packed without a tar-split."""
    with fresh_disk() as disk:
        peer = PEER_TOOL.on(disk)
        timed([*peer, "import-layer", "--id", "imported", "--file", corpus.path("gzip")])
        timed([*peer, "create-layer", "--id", "made"])
        for name in os.listdir(corpus.tree):
            subprocess.run(["cp", "-a", f"{corpus.tree}/{name}", f"{disk}/graph/vfs/dir/made/"], check=True)
        for job, goal, words in (
            ("export", 0.5, ["diff", "--uncompressed", "imported"]),
            ("export as gzip", 0.71, ["diff", "--gzip", "imported"]),
            ("export without tar-split", 0.8, ["diff", "--uncompressed", "made"]),
        ):
            yield _repeated(f"{job} {corpus.name}", goal, disk, words, rounds)


def children(corpus: Corpus, rounds: int) -> Iterator[Result]:
    """Make a layer above a real one: vfs copies it."""

    def attempt(tool: Tool) -> Callable[[], float]:
        def run() -> float:
            with fresh_disk() as disk:
                timed([*PEER_TOOL.on(disk), "import-layer", "--id", "base", "--file", corpus.path("tar")])
                os.sync()
                return timed([*tool.on(disk), "create-layer", "base"])

        return run

    yield interleaved(f"vfs layer above {corpus.name}", 0.67, {tool.name: attempt(tool) for tool in IMPORTERS}, rounds)


def start_up(rounds: int) -> Iterator[Result]:
    """List a store without a layer: only the start of the program counts."""
    with tempfile.TemporaryDirectory() as disk:
        yield _repeated("layers, empty store", 12.0, disk, ["layers"], rounds * 5)


def scale(rounds: int) -> Iterator[Result]:
    """Ask a store of ten thousand layers."""
    with fresh_disk() as disk:
        big = make_big_store(disk)
        for job, goal, words in (
            ("layers, 10,000", None, ["layers"]),
            ("layers --json, 10,000", None, ["layers", "--json"]),
            ("exists by ID, 10,000", 0.67, ["exists", big.layer]),
            ("exists by name, 10,000", 0.67, ["exists", big.name]),
        ):
            yield _repeated(job, goal, disk, words, rounds * 3)
        # The Go tool answers none of these: its list of the layers is what it takes to find out by hand.
        for job, words in (("df", ["df"]), ("why", ["why", big.layer]), ("whois", ["whois", big.layer])):
            yield interleaved(f"{job}, 10,000", 1.0, _reading(disk, words, ["layers"]), rounds * 3)
        # Debian's containers-storage is too old for --quiet: the list without names is held against the one with them.
        quiet = _reading(disk, ["layers", "--quiet"], ["layers"])
        yield interleaved("layers --quiet, 10,000", 0.67, quiet, rounds * 3)
    with fresh_disk() as disk:
        make_big_store(disk)
        tools = {tool.name: partial(timed, [*tool.on(disk), "create-layer"]) for tool in IMPORTERS}
        yield interleaved("create-layer, 10,000", 0.4, tools, rounds * 3)


def _repeated(job: str, goal: float | None, disk: str, words: list[str], rounds: int) -> Result:
    """Let cstore and the peer read the same store."""
    return interleaved(job, goal, _reading(disk, words, words), rounds)


def _reading(disk: str, own: list[str], theirs: list[str]) -> dict[str, Callable[[], float]]:
    pairs = ((DURABLE, own), (PEER_TOOL, theirs))
    return {tool.name: partial(timed, [*tool.on(disk), *words]) for tool, words in pairs}
