"""What scripts are made of: small commands, one process for each or all in one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.timing import DURABLE, PEER_TOOL, interleaved, timed
from tests.builders import make_tar, regular
from tests.disk import fresh_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.timing import Result


def small_commands(rounds: int) -> Iterator[Result]:
    """Small commands on a small store, first against a bare interpreter, then against the Go tool."""
    bare = partial(timed, [sys.executable, "-I", "-c", "pass"])
    with fresh_disk() as disk:
        archive = _small_archive(disk)
        store = DURABLE.on(disk)
        timed([*store, "create-layer", "--name", "base"])
        timed([*store, "import-layer", "--name", "small", "--file", archive])
        for words, goal in (
            (["layers"], 1.6),
            (["exists", "base"], 1.6),
            (["layer", "base"], 1.6),
            (["mounted", "base"], 1.6),
            (["add-names", "--name", "other", "base"], 2.2),
            (["create-layer"], 2.2),
            (["changes", "small"], 2.4),
            (["diff", "--uncompressed", "small"], 2.4),
            (["import-layer", "--file", archive], 4.2),
        ):
            attempts: dict[str, Callable[[], float]] = {"cstore": partial(timed, [*store, *words]), "peer": bare}
            yield interleaved(f"{words[0]} ÷ bare interpreter", goal, attempts, rounds * 5)
            if words[0] != "mounted":  # which Debian's tool does not have for a layer that nobody mounted
                attempts["peer"] = partial(timed, [*PEER_TOOL.on(disk), *words])
                yield interleaved(words[0], None, attempts, rounds * 5)


def batches(rounds: int, many: int) -> Iterator[Result]:
    """`many` commands in one batch against as many processes of the Go tool."""
    for job, goal, line in (
        ("exists", 0.33, "exists base"),
        ("add-names", 0.33, "add-names --name name{number} base"),
        ("create-layer", 0.33, "create-layer"),
        ("import-layer", 1.0, "import-layer --file {archive}"),
    ):
        with fresh_disk() as disk, tempfile.TemporaryDirectory() as folder:
            archive = _small_archive(folder)
            timed([*DURABLE.on(disk), "create-layer", "--name", "base"])
            lines = [line.format(number=number, archive=archive) for number in range(many)]
            attempts = {"cstore": partial(_batch, disk, lines), "peer": partial(_processes, disk, lines)}
            yield interleaved(f"{many} {job} in a batch", goal, attempts, max(1, rounds // 2))


def _batch(disk: str, lines: list[str]) -> float:
    text = "".join(f"{line}\n" for line in lines).encode()
    began = time.perf_counter()
    words = [*DURABLE.on(disk), "batch", "--json", "--jobs", "32"]
    subprocess.run(words, input=text, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _processes(disk: str, lines: list[str]) -> float:
    return sum(timed([*PEER_TOOL.on(disk), *line.split()]) for line in lines)


def _small_archive(folder: str) -> str:
    path = os.path.join(folder, "small.tar")
    with open(path, "wb") as file:
        file.write(make_tar(*(regular(f"file{number}", b"text") for number in range(12))))
    return path
