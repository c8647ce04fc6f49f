"""Pulling and pushing an image of three layers, against skopeo and Podman: `python -m tests.bench.registry`.

The ratios are against `skopeo copy`, in the same run, from a registry on this machine; with --rate through a proxy that
gives no more than that. The image is the one of `tests.bench.load`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.load import NAME, archives, on_new_disk, stored
from tests.bench.timing import DURABLE, NO_SYNC, Result, Tool, interleaved, timed
from tests.disk import fresh_disk
from tests.fault_proxy import FaultProxy
from tests.registries import running_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PULL_GOAL, PUSH_GOAL = 0.4, 0.6
_COPY = ("skopeo", "--insecure-policy", "copy", "-q")


def pulls(name: str, shown: str, rounds: int) -> Iterator[Result]:
    """Pull into an empty overlay store."""

    def by_cstore(tool: Tool, disk: str) -> float:
        return timed([*tool.on(disk, "overlay"), "pull", "-q", "--tls-verify=false", name])

    def by_podman(disk: str) -> float:
        roots = ["--root", f"{disk}/graph", "--runroot", f"{disk}/run", "--storage-driver", "overlay"]
        return timed(["podman", *roots, "pull", "-q", "--tls-verify=false", name])

    def by_skopeo(disk: str) -> float:
        return timed([*_COPY, "--src-tls-verify=false", f"docker://{name}", stored(disk)])

    wanted: dict[str, Callable[[str], float]] = {
        NO_SYNC.name: partial(by_cstore, NO_SYNC),
        DURABLE.name: partial(by_cstore, DURABLE),
        "podman": by_podman,
        "peer": by_skopeo,
    }
    fresh = {each: partial(on_new_disk, attempt) for each, attempt in wanted.items()}
    yield interleaved(shown, PULL_GOAL, fresh, rounds)


def pushes(archive: str, folder: str, rounds: int) -> Iterator[Result]:
    """Push from an overlay store to a registry that has nothing yet: skopeo remembers what one has."""
    with fresh_disk() as disk:
        timed([*_COPY, f"docker-archive:{archive}", stored(disk)])

        def pushed(command: Callable[[str], list[str]]) -> float:
            with tempfile.TemporaryDirectory(dir=folder) as root, running_registry(root) as registry:
                return timed(command(f"docker://{registry.host}/pushed:1"))

        def by_cstore(tool: Tool) -> float:
            words = [*tool.on(disk, "overlay"), "push", "-q", "--tls-verify=false", NAME]
            return pushed(lambda goal: [*words, goal])

        def by_skopeo() -> float:
            return pushed(lambda goal: [*_COPY, "--dest-tls-verify=false", stored(disk), goal])

        wanted: dict[str, Callable[[], float]] = {
            NO_SYNC.name: partial(by_cstore, NO_SYNC),
            DURABLE.name: partial(by_cstore, DURABLE),
            "peer": by_skopeo,
        }
        yield interleaved("push", PUSH_GOAL, wanted, rounds)


def results(rounds: int, rate: int = 0) -> Iterator[Result]:
    """Measure everything, from a registry of our own."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.mkdir(os.path.join(folder, "registry"))
        paths = dict(archives(folder))
        with running_registry(os.path.join(folder, "registry")) as registry:
            to = f"docker://{registry.host}/bench:1"
            timed([*_COPY, "--dest-tls-verify=false", f"oci-archive:{paths['oci-archive']}", to])
            yield from pulls(f"{registry.host}/bench:1", "pull", rounds)
            if rate:
                with FaultProxy(registry.host) as proxy:
                    proxy.rate = rate
                    yield from pulls(f"{proxy.host}/bench:1", f"pull, {rate} B/s", rounds)
        yield from pushes(paths["docker-archive"], folder, rounds)


def registry(rounds: int) -> Iterator[Result]:
    """Measure pull and push for `python -m tests.bench`."""
    yield from results(rounds)


def main() -> None:
    """Measure, and print a line a job."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.registry", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs that count (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=0, help="bytes a second of a slow line to measure as well")
    chosen = parser.parse_args()
    for result in results(chosen.rounds, chosen.rate):
        shown = "  ".join(f"{name} {seconds:.2f} s" for name, seconds in result.seconds.items())
        ratios = f"ratio {result.ratio(DURABLE.name):.2f}, --no-sync {result.ratio(NO_SYNC.name):.2f}"
        print(f"{result.job:22} {shown}  {ratios} (goal {result.goal})", flush=True)


if __name__ == "__main__":
    main()
