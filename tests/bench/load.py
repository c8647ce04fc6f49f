"""Loading and saving an image of three layers, against skopeo and Podman: `python -m tests.bench.load [--rounds N]`.

The ratios are against `skopeo copy`.

The bottom layer is a real Debian root; above it a package of middling files, and many small ones.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from tests.bench.timing import DURABLE, NO_SYNC, Result, Tool, interleaved, timed
from tests.builders import make_tar, regular
from tests.compat.corpora import make_corpus
from tests.disk import fresh_disk
from tests.unit.transfer.archives import Members, as_tar, docker_archive, oci_layout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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


def stored(disk: str) -> str:
    """Skopeo's name for the image in the store of a disk."""
    return f"containers-storage:[overlay@{disk}/graph+{disk}/run]{NAME}"


def skopeo(source: str, target: str) -> float:
    """Copy an image."""
    return timed(["skopeo", "--insecure-policy", "copy", "-q", source, target])


def cstore(tool: Tool, words: Sequence[str], disk: str) -> float:
    """Run cstore on the store of a disk."""
    return timed([*tool.on(disk, "overlay"), *words])


def podman(words: Sequence[str], disk: str) -> float:
    """Run Podman on the store of a disk."""
    roots = ["--root", f"{disk}/graph", "--runroot", f"{disk}/run", "--storage-driver", "overlay"]
    return timed(["podman", *roots, *words])


def attempts(words: Sequence[str]) -> dict[str, Callable[[str], float]]:
    """Let all but skopeo do it: they speak alike."""
    return {
        NO_SYNC.name: partial(cstore, NO_SYNC, words),
        DURABLE.name: partial(cstore, DURABLE, words),
        "podman": partial(podman, words),
    }


def on_new_disk(load: Callable[[str], float]) -> float:
    """Load into a store that nobody has used."""
    with fresh_disk() as disk:
        return load(disk)


def loads(rounds: int) -> Iterator[Result]:
    """Load each archive into an empty overlay store."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        for form, path in archives(folder):

            def peer(disk: str, source: str = f"{form}:{path}") -> float:
                return skopeo(source, stored(disk))

            wanted = {**attempts(["load", "-q", "-i", path]), "peer": peer}
            fresh = {name: partial(on_new_disk, attempt) for name, attempt in wanted.items()}
            yield interleaved(f"load {form}", GOAL, fresh, rounds)


def to_new_file(save: Callable[[str], float], disk: str, target: str) -> float:
    """Save where there is no file yet."""
    if os.path.exists(target):
        os.unlink(target)
    return save(disk)


def saves(rounds: int) -> Iterator[Result]:
    """Write the image out of one store, in each form."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, fresh_disk() as disk:
        source = next(path for _, path in archives(folder))
        skopeo(f"docker-archive:{source}", stored(disk))
        target = os.path.join(folder, "saved.tar")
        for form in ("docker-archive", "oci-archive"):

            def peer(disk: str, place: str = f"{form}:{target}:{NAME}") -> float:
                return skopeo(stored(disk), place)

            wanted = {**attempts(["save", "-q", "--format", form, "-o", target, NAME]), "peer": peer}
            anew = {name: partial(to_new_file, attempt, disk, target) for name, attempt in wanted.items()}
            yield interleaved(f"save {form}", GOAL, anew, rounds)


def main() -> None:
    """Measure, and print a line a form."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs that count (default: %(default)s)")
    rounds = parser.parse_args().rounds
    for result in chain(loads(rounds), saves(rounds)):
        shown = "  ".join(f"{name} {seconds:.2f} s" for name, seconds in result.seconds.items())
        ratios = f"ratio {result.ratio(DURABLE.name):.2f}, --no-sync {result.ratio(NO_SYNC.name):.2f} (goal {GOAL})"
        print(f"{result.job:22} {shown}  {ratios}", flush=True)


if __name__ == "__main__":
    main()
