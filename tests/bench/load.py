"""Loading an image of three layers, against `skopeo copy`: `python -m tests.bench.load [--rounds N]`.

The bottom layer is a real Debian root; above it a package of middling files, and many small ones.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from typing import TYPE_CHECKING

from tests.bench.timing import DURABLE, NO_SYNC, Result, Tool, interleaved, timed
from tests.builders import make_tar, regular
from tests.compat.corpora import make_corpus
from tests.disk import fresh_disk
from tests.unit.transfer.archives import Members, as_tar, docker_archive, oci_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOAL = 0.5
NAME = "example.org/bench:1"


def layers(folder: str) -> list[bytes]:
    """The three layers."""
    with open(make_corpus("debian", folder).path("tar"), "rb") as file:
        bottom = file.read()
    chance = random.Random(1)
    middle = make_tar(*(regular(f"opt/pkg/f{n}", chance.randbytes(15_000) * 3) for n in range(1200)))
    top = make_tar(*(regular(f"srv/d{n % 40}/f{n}", b"small %d\n" % n * 40) for n in range(4000)))
    return [bottom, middle, top]


def archives(folder: str) -> Iterator[tuple[str, str]]:
    """Write the archives; yields skopeo's name for the form, and the path."""
    parts = layers(folder)
    forms: dict[str, Callable[[], Members]] = {
        "docker-archive": lambda: docker_archive(parts, (NAME,)),
        "oci-archive": lambda: oci_layout(parts, zipped=True),
    }
    for form, make in forms.items():
        path = os.path.join(folder, f"{form}.tar")
        with open(path, "wb") as file:
            file.write(as_tar(make()))
        yield form, path


def loads(rounds: int) -> Iterator[Result]:
    """Load each archive into an empty overlay store."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for form, path in archives(folder):

            def ours(tool: Tool, path: str = path) -> Callable[[], float]:
                def run() -> float:
                    with fresh_disk() as disk:
                        return timed([*tool.on(disk, "overlay"), "load", "-q", path])

                return run

            def theirs(form: str = form, path: str = path) -> float:
                with fresh_disk() as disk:
                    target = f"containers-storage:[overlay@{disk}/graph+{disk}/run]{NAME}"
                    return timed(["skopeo", "--insecure-policy", "copy", "-q", f"{form}:{path}", target])

            attempts = {tool.name: ours(tool) for tool in (NO_SYNC, DURABLE)} | {"peer": theirs}
            yield interleaved(f"load {form}", GOAL, attempts, rounds)


def main() -> None:
    """Measure, and print a line a form."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs that count (default: %(default)s)")
    for result in loads(parser.parse_args().rounds):
        shown = "  ".join(f"{name} {seconds:.2f} s" for name, seconds in result.seconds.items())
        print(f"{result.job:22} {shown}  ratio {result.ratio(NO_SYNC.name):.2f} (goal {GOAL})", flush=True)


if __name__ == "__main__":
    main()
