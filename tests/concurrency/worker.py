"""One of many who work on a store at once, and remember what they left in it.

Run as `python -m tests.concurrency.worker KIND NAME SEED SECONDS GRAPH RUN DRIVER`: KIND says how the store is reached.
Every worker touches only layers that it made, so what it remembers must be what the store holds in the end. It prints
that as one JSON object: {"layers": {ID: {"names": […], "parent": …, "tar": digest or ""}}, "steps": number}.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tests.builders import digest, make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable

BASE_NAMES = {f"base{number}" for number in range(10)}
"""Files in the layer `base`, on which everything is built."""
TIMEOUT = 90
"""Seconds that no single step may take, with everybody else in the way: a deadlock shows as this."""


class Hands(Protocol):
    """The ways to reach the store."""

    def create(self, layer: str, parent: str, name: str) -> None:
        """Make an empty layer."""

    def put(self, layer: str, parent: str, archive: bytes) -> None:
        """Import one."""

    def rename(self, layer: str, names: list[str]) -> None:
        """Replace its names."""

    def delete(self, layer: str) -> None:
        """Delete it."""

    def diff(self, layer: str) -> bytes:
        """Export it."""

    def mount(self, layer: str) -> str:
        """Mount it; return where."""

    def unmount(self, layer: str) -> None:
        """Unmount it."""

    def listed(self) -> set[str]:
        """All layers there are, of every worker."""


@dataclass
class Command:
    """A program with the peer's command line: cstore's own or the Go one."""

    program: list[str]

    def create(self, layer: str, parent: str, name: str) -> None:
        """Make an empty layer."""
        self._run("create-layer", "--id", layer, "--name", name, parent)

    def put(self, layer: str, parent: str, archive: bytes) -> None:
        """Import one."""
        self._run("import-layer", "--id", layer, parent, stdin=archive)

    def rename(self, layer: str, names: list[str]) -> None:
        """Replace its names."""
        self._run("set-names", *(word for name in names for word in ("--name", name)), layer)

    def delete(self, layer: str) -> None:
        """Delete it."""
        self._run("delete-layer", layer)

    def diff(self, layer: str) -> bytes:
        """Export it."""
        return self._run("diff", "--uncompressed", layer)

    def mount(self, layer: str) -> str:
        """Mount it; return where."""
        return os.fsdecode(self._run("mount", layer)).rstrip("\n")

    def unmount(self, layer: str) -> None:
        """Unmount it."""
        self._run("unmount", layer)

    def listed(self) -> set[str]:
        """All layers there are."""
        return {record["id"] for record in json.loads(self._run("layers", "--json")) or []}

    def _run(self, *words: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run([*self.program, *words], input=stdin, capture_output=True, check=False, timeout=TIMEOUT)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: exit {done.returncode}: {done.stderr.decode()}")
        return done.stdout


class Library:
    """One process that keeps its store open, and so must notice what others change."""

    def __init__(self, graph: str, run: str, driver: str) -> None:
        from cstore import Overrides, load_config, open_store

        overrides = Overrides(graph_root=graph, run_root=run, driver=driver, lock_timeout=TIMEOUT)
        self.store = open_store(load_config(overrides))

    def create(self, layer: str, parent: str, name: str) -> None:
        """Make an empty layer."""
        from cstore import NewLayer

        self.store.layers.create(NewLayer(id=layer, parent=parent, names=(name,)))

    def put(self, layer: str, parent: str, archive: bytes) -> None:
        """Import one."""
        from cstore import NewLayer

        source = os.memfd_create("archive")
        try:
            os.write(source, archive)
            os.lseek(source, 0, os.SEEK_SET)
            self.store.layers.put(NewLayer(id=layer, parent=parent), source)
        finally:
            os.close(source)

    def rename(self, layer: str, names: list[str]) -> None:
        """Replace its names."""
        self.store.set_names(layer, names)

    def delete(self, layer: str) -> None:
        """Delete it."""
        self.store.layers.delete(layer)

    def diff(self, layer: str) -> bytes:
        """Export it."""
        from cstore import Compression

        pieces: list[bytes] = []

        class Pieces:
            def write(self, data: bytes | memoryview) -> object:
                pieces.append(bytes(data))
                return None

        self.store.layers.diff(layer, Pieces(), compression=Compression.NONE)
        return b"".join(pieces)

    def mount(self, layer: str) -> str:
        """Mount it; return where."""
        return self.store.mount(layer)

    def unmount(self, layer: str) -> None:
        """Unmount it."""
        self.store.unmount(layer)

    def listed(self) -> set[str]:
        """All layers there are."""
        return set(self.store.layers.ids())


@dataclass
class Worker:
    """Does one random thing after the other, each with layers of its own only."""

    name: str
    hands: Hands
    choice: random.Random
    layers: dict[str, dict[str, object]] = field(default_factory=dict)
    steps: int = 0

    def step(self) -> None:
        """Do one thing, and look whether the store says so."""
        doings: list[Callable[[], None]] = [
            self.create, self.put, self.rename, self.rename, self.look, self.enter, self.delete,
        ]  # fmt: skip
        self.choice.choice(doings[:2] if len(self.layers) < 2 else doings)()
        self.steps += 1

    def create(self) -> None:
        """Make an empty layer on the common base, or on one of the worker's own."""
        layer, parent = f"{self.name}-{self.steps}", self.choice.choice(["base", *self.layers])
        self.hands.create(layer, parent, f"{layer}-name")
        self.layers[layer] = {"names": [f"{layer}-name"], "parent": parent, "tar": ""}

    def put(self) -> None:
        """Import a small layer."""
        layer, parent = f"{self.name}-{self.steps}", self.choice.choice(["base", *self.layers])
        files = (regular(f"f{n}", self.choice.randbytes(self.choice.randrange(20_000))) for n in range(12))
        archive = make_tar(*files)
        self.hands.put(layer, parent, archive)
        self.layers[layer] = {"names": [], "parent": parent, "tar": digest(archive)}

    def rename(self) -> None:
        """Give a layer other names."""
        layer = self.choice.choice(list(self.layers))
        names = [f"{layer}-{self.steps}-{number}" for number in range(self.choice.randrange(3))]
        self.hands.rename(layer, names)
        self.layers[layer]["names"] = names

    def look(self) -> None:
        """All of the worker's layers are listed, and one of them is what was imported."""
        missing = {*self.layers, "base"} - self.hands.listed()
        if missing:
            raise RuntimeError(f"lost: {missing}")
        layer = self.choice.choice(list(self.layers))
        tar = self.layers[layer]["tar"]
        if tar and digest(self.hands.diff(layer)) != tar:
            raise RuntimeError(f"{layer} is not what was imported")

    def enter(self) -> None:
        """Mount a layer once or twice, find the common files in it until the last unmount."""
        layer = self.choice.choice(list(self.layers))
        places = [self.hands.mount(layer) for _ in range(self.choice.randrange(1, 3))]
        if missing := BASE_NAMES - set(os.listdir(places[0])):
            raise RuntimeError(f"{layer}, mounted on {places}, lacks {missing}")
        for place in places:
            if not os.path.exists(os.path.join(place, "base0")):
                raise RuntimeError(f"{layer} went away from {places} before its last unmount")
            self.hands.unmount(layer)

    def delete(self) -> None:
        """Delete a layer on which nothing builds, now and then while it is mounted."""
        parents = {about["parent"] for about in self.layers.values()}
        layer = self.choice.choice([layer for layer in self.layers if layer not in parents])
        if self.choice.randrange(3) == 0:
            self.hands.mount(layer)
        self.hands.delete(layer)
        del self.layers[layer]
        if layer in self.hands.listed():
            raise RuntimeError(f"{layer} is still there")


def main(kind: str, name: str, seed: str, seconds: str, graph: str, run: str, driver: str) -> None:
    """Work until the time is over, then print what must be there."""
    options = ["--graph", graph, "--run", run, "--storage-driver", driver]
    ways: dict[str, Callable[[], Hands]] = {
        "command": lambda: Command([sys.executable, "-m", "cstore", *options]),
        "peer": lambda: Command(["containers-storage", *options]),
        "library": lambda: Library(graph, run, driver),
    }
    worker = Worker(name, ways[kind](), random.Random(int(seed)))
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        worker.step()
    print(json.dumps({"layers": worker.layers, "steps": worker.steps}))


if __name__ == "__main__":
    main(*sys.argv[1:])
