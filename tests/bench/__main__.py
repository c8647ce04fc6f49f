"""Measure cstore against the Go tool and print the ratios."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.bench import jobs, overlay
from tests.bench.containers import many_containers
from tests.bench.contents import looking
from tests.bench.images import many_images
from tests.bench.registry import registry
from tests.bench.scripts import batches, small_commands
from tests.bench.timing import PEER
from tests.compat.corpora import NAMES, make_corpus
from tests.disk import can_make_disks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.timing import Result

ON_CORPORA = {"import": jobs.imports, "export": jobs.exports, "child": jobs.children, "overlay": overlay.on_real_layers}
ALONE = {
    "start": jobs.start_up,
    "scale": jobs.scale,
    "images": many_images,
    "containers": many_containers,
    "mounts": overlay.mounts,
    "contents": looking,
    "registry": registry,
    "small": small_commands,
}


def main() -> None:
    """Read the command line, run what it names, print a line a job."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    known = ", ".join([*ALONE, "batch", *ON_CORPORA])
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"any of {known}; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="runs that count, for each tool (default: %(default)s)")
    parser.add_argument("--corpus", action="append", choices=NAMES, help="only this real layer; may be repeated")
    parser.add_argument("--many", type=int, default=200, help="commands in a batch (default: %(default)s)")
    chosen = parser.parse_args()
    alone: dict[str, Callable[[int], Iterator[Result]]] = {**ALONE, "batch": partial(batches, many=chosen.many)}
    wanted = chosen.jobs or [*alone, *ON_CORPORA]
    unknown = sorted({*wanted} - {*alone, *ON_CORPORA})
    if unknown:
        parser.error(f"no such job: {', '.join(unknown)}")
    if shutil.which(PEER[0]) is None:
        sys.exit(f"{PEER[0]} is not installed, and the ratios are against it")
    os.environ["CONTAINERS_STORAGE_CONF"] = _private_config()
    if not can_make_disks():
        print("no fresh file system a run (that takes root and mkfs.ext4): expect noise")
    print(f"{'job':34} {'peer s':>8} {'cstore':>8} {'no-sync':>8} {'goal':>8}   ratios are cstore ÷ peer")
    for name in wanted:
        if name in alone:
            _print_all(partial(alone[name], chosen.rounds))
    _on_corpora([name for name in wanted if name in ON_CORPORA], chosen.corpus or NAMES, chosen.rounds)


def _on_corpora(wanted: list[str], names: list[str] | tuple[str, ...], rounds: int) -> None:
    if os.geteuid() != 0 and wanted:
        print(f"{', '.join(wanted)}: left out, the peer wants root")
        return
    for corpus_name in names if wanted else ():
        with tempfile.TemporaryDirectory() as folder:
            try:
                corpus = make_corpus(corpus_name, folder)
            except pytest.skip.Exception as absent:
                print(f"{corpus_name}: left out, {absent}")
                continue
            for name in wanted:
                _print_all(partial(ON_CORPORA[name], corpus, rounds))


def _print_all(job: Callable[[], Iterator[Result]]) -> None:
    for result in job():
        unsynced = f"{result.ratio('cstore --no-sync'):8.2f}" if "cstore --no-sync" in result.seconds else " " * 8
        goal = " " * 8 if result.goal is None else f"{result.goal:8.2f}"
        line = f"{result.job:34} {result.seconds['peer']:8.3f} {result.ratio('cstore'):8.2f} {unsynced} {goal}"
        print(line.rstrip(), flush=True)


def _private_config() -> str:
    """A storage.conf that names places where nothing is, so that the machine's own is not read."""
    descriptor, path = tempfile.mkstemp(suffix=".conf")
    with os.fdopen(descriptor, "w") as file:
        file.write(f'[storage]\ndriver = "vfs"\ngraphroot = "{path}.graph"\nrunroot = "{path}.run"\n')
    return path


if __name__ == "__main__":
    main()
