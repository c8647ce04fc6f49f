"""How long a full check takes, of ten layers beside one another and of a chain of seven: `python -m tests.bench.check`.

Debian's containers-storage is older than the Go tool's check. What stands for it is the part of that check which even
Debian's can do: to give every layer back, one after the other. The whole check of the newer tool hashes it as well,
mounts every layer and walks through what it sees, so the true ratio is lower than the one that is printed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.timing import DURABLE, PEER_TOOL, Result, interleaved, timed
from tests.builders import many_files
from tests.disk import fresh_disk

if TYPE_CHECKING:
    from collections.abc import Callable

FILES, LARGE, LARGE_SIZE = 2000, 4, 8 << 20
"""In a layer: small files, large files, and bytes in each of these."""


def main() -> None:
    """Measure both stores with both drivers."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.check", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--driver", action="append", choices=["overlay", "vfs"])
    chosen = parser.parse_args()
    for driver in chosen.driver or ["overlay"]:
        for name, layers, chained in (("ten layers", 10, False), ("chain of seven", 7, True)):
            result = measure(f"{name}, {driver}", driver, layers, chosen.rounds, chained=chained)
            times = ", ".join(f"{tool} {seconds:.2f} s" for tool, seconds in result.seconds.items())
            print(f"{result.job}: {times}; ratio {result.ratio('cstore'):.2f}, quick {result.ratio('quick'):.2f}")


def measure(job: str, driver: str, layers: int, rounds: int, *, chained: bool) -> Result:
    """Fill a store, and check it by turns."""
    with fresh_disk() as disk, tempfile.TemporaryDirectory(dir=disk) as folder:
        ids = [f"layer{number}" for number in range(layers)]
        for number, layer in enumerate(ids):
            tree = many_files(os.path.join(folder, layer, f"part{number}"), FILES, seed=number)
            for place in range(LARGE):
                with open(os.path.join(tree, f"large{place}"), "wb") as file:
                    file.write(os.urandom(LARGE_SIZE))
            archive = os.path.join(folder, "archive.tar")
            subprocess.run(["tar", "-cf", archive, "-C", os.path.join(folder, layer), "."], check=True)
            above = ids[number - 1 : number] if chained else []
            timed([*DURABLE.on(disk, driver), "import-layer", "--id", layer, "--file", archive, *above])
            subprocess.run(["rm", "-rf", os.path.join(folder, layer), archive], check=True)
        check = [*DURABLE.on(disk, driver), "check"]
        attempts: dict[str, Callable[[], float]] = {
            "cstore": partial(timed, [*check]),
            "quick": partial(timed, [*check, "--quick"]),
            "peer": lambda: sum(timed([*PEER_TOOL.on(disk, driver), "diff", "--uncompressed", layer]) for layer in ids),
        }
        return interleaved(job, 0.3, attempts, rounds)


if __name__ == "__main__":
    main()
