"""Looking into layers without a mount: one path in a chain of a hundred, and a name in all images, against find(1)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.config import Overrides, load_config
from cstore.store import NewImage, NewLayer, open_store
from tests.bench.timing import DURABLE, interleaved, timed
from tests.builders import directory, make_tar, regular
from tests.disk import fresh_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bench.timing import Result
    from tests.builders import Entry

DEPTH, FOLDERS, FILES, IMAGES = 100, 1500, 100, 5


def looking(rounds: int) -> Iterator[Result]:
    """The peers are ls(1), cat(1) and find(1) on the layers' own directories."""
    with fresh_disk() as disk:
        top = _make_chain(disk)
        home = os.path.join(disk, "graph", "overlay")
        for job, words, peer in (
            ("ls, 100 layers", ["ls", f"{top}:/usr/lib"], ["ls", f"{home}/{top}/diff/usr/lib"]),
            ("cat, 100 layers", ["cat", f"{top}:/etc/passwd"], ["cat", f"{home}/layer0/diff/etc/passwd"]),
            ("stat, 100 layers", ["stat", f"{top}:/etc/passwd"], ["stat", f"{home}/layer0/diff/etc/passwd"]),
        ):
            yield interleaved(job, None, _attempts(disk, words, peer), rounds)
    with fresh_disk() as disk:
        _make_images(disk)
        trees = [f"{disk}/graph/overlay/{name}/diff" for name in ("base", *(f"top{n}" for n in range(IMAGES)))]
        for words, test in (
            (["--name", "file7.txt"], ["-name", "file7.txt"]),
            (["--type", "l"], ["-type", "l"]),
            (["--size", "+10M"], ["-size", "+10M"]),
            (["--setuid"], ["-perm", "/6000"]),
        ):
            attempts = _attempts(disk, ["find", "--all", *words], ["find", *trees, *test])
            yield interleaved(f"find --all {words[0]}, {FOLDERS * FILES:,} files", None, attempts, rounds)


def _attempts(disk: str, words: list[str], peer: list[str]) -> dict[str, Callable[[], float]]:
    ours = [*DURABLE.on(disk, "overlay"), *words]
    return {DURABLE.name: lambda: timed(ours), "peer": lambda: timed(peer)}


def _put(disk: str, name: str, parent: str, entries: list[Entry]) -> None:
    overrides = Overrides(graph_root=f"{disk}/graph", run_root=f"{disk}/run", driver="overlay", sync=False)
    store = open_store(load_config(overrides))
    store.layers.put(NewLayer(id=name, parent=parent), make_tar(*entries))
    if name.startswith("top"):
        store.images.create(NewImage(layer=name, id=f"image-{name}"))


def _make_chain(disk: str) -> str:
    parent = ""
    for number in range(DEPTH):
        entries = [directory("usr"), directory("usr/lib"), regular(f"usr/lib/file{number}", b"x")]
        _put(disk, f"layer{number}", parent, entries + ([] if parent else [regular("etc/passwd", b"root\n")]))
        parent = f"layer{number}"
    return parent


def _make_images(disk: str) -> None:
    entries: list[Entry] = []
    for folder in range(FOLDERS):
        entries += [directory(f"d{folder}"), *(regular(f"d{folder}/file{n}.txt", b"x") for n in range(FILES))]
    _put(disk, "base", "", entries)
    for number in range(IMAGES):
        _put(disk, f"top{number}", "base", [regular(f"own{number}", b"x")])
