"""Whoever keeps what it has read learns of every change by the token in a lock file, as the Go tools do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.errors import InvalidOption
from cstore.fs.lockfile import TOKEN_SIZE, LockFile
from cstore.store import NewContainer, NewImage, NewLayer, Store, open_store
from cstore.store.reading import load_table

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.store.context import Context
    from cstore.store.places import ItemKind

RECORDS = {
    "graph/vfs-layers/layers.lock": "graph/vfs-layers/layers.json",
    "graph/vfs-images/images.lock": "graph/vfs-images/images.json",
    "graph/vfs-containers/containers.lock": "graph/vfs-containers/containers.json",
    "run/vfs-layers/mountpoints.lock": "run/vfs-layers/mountpoints.json",
}
"""Each lock file and what it protects."""


class LongLivedReader:
    """Reads a file again only if the token in its lock file is another one than before."""

    def __init__(self, top: Path, lock: str, file: str) -> None:
        self._lock, self._file = top / lock, top / file
        self._token, self.seen = b"", b""

    def look(self) -> bool:
        """Read it, if the token says so; whether what was seen last is what is there."""
        token = self._lock.read_bytes()[:TOKEN_SIZE] if self._lock.exists() else b""
        there = self._file.read_bytes() if self._file.exists() else b""
        if token != self._token:
            self._token, self.seen = token, there
        return self.seen == there


CHANGES: dict[str, Callable[[Store], object]] = {
    "the first layer": lambda store: store.layers.create(NewLayer(id="layer")),
    "the first image": lambda store: store.images.create(NewImage(id="image", layer="layer", data={"item": b"1"})),
    "the first container": lambda store: store.containers.create(NewContainer(id="container", image="image")),
    "a name": lambda store: store.add_names("image", ["name"]),
    "a data item of an image": lambda store: store.images.set_data("image", "item", b"2"),
    "a data item of a container": lambda store: store.containers.set_data("container", "item", b"3"),
    "a data item of a layer": lambda store: store.layers.set_data("layer", "item", b"4"),
    "a mount": lambda store: store.mount("layer"),
    "an unmount": lambda store: store.unmount("layer"),
    "the end of a container": lambda store: store.containers.delete("container"),
    "the end of an image": lambda store: store.images.delete("image"),
    "the end of everything": lambda store: store.wipe(),
}
"""What changes a store, one after the other."""


def test_a_long_lived_reader_sees_every_change(store: Store, tmp_path: Path) -> None:
    """It looks at the token of each lock file, and reads again when that is new: so it is never behind."""
    readers = {lock: LongLivedReader(tmp_path, lock, file) for lock, file in RECORDS.items()}
    for name, change in CHANGES.items():
        change(store)
        assert [lock for lock, reader in readers.items() if not reader.look()] == [], name


def test_a_shutdown_tells_who_has_the_store_open(store: Store, tmp_path: Path) -> None:
    """By the token of the graph lock, which nothing else writes."""
    store.layers.create(NewLayer(id="layer"))
    tokens = []
    for _ in range(2):
        store.shutdown()
        tokens.append((tmp_path / "graph" / "storage.lock").read_bytes()[:TOKEN_SIZE])

    assert [len(token) for token in tokens] == [TOKEN_SIZE] * 2
    assert tokens[0] != tokens[1]


def test_an_image_from_before_there_was_an_image_store_is_marked_where_it_is(tmp_path: Path) -> None:
    """Its end is told by the lock file beside its record."""
    roots = Overrides(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="vfs")
    before = open_store(load_config(roots, environ={"HOME": str(tmp_path)}))
    before.layers.create(NewLayer(id="layer"))
    before.images.create(NewImage(id="image", layer="layer"))
    reader = LongLivedReader(tmp_path, "graph/vfs-images/images.lock", "graph/vfs-images/images.json")
    assert reader.look()

    with_images = roots.with_(image_store=str(tmp_path / "images"))
    store = open_store(load_config(with_images, environ={"HOME": str(tmp_path)}))
    store.images.delete("image")

    assert reader.look()
    assert reader.seen == b"[]"


def test_mount_counts_that_a_repair_sets_are_told(store: Store, tmp_path: Path) -> None:
    """As those of a mount are."""
    from cstore.check.repair import RepairOptions, repair_store

    store.layers.create(NewLayer(id="layer"))
    store.mount("layer")
    lock, counts = "run/vfs-layers/mountpoints.lock", tmp_path / "run/vfs-layers/mountpoints.json"
    counts.write_bytes(b'[{"id":"layer","path":"/elsewhere","count":1}]')
    reader = LongLivedReader(tmp_path, lock, RECORDS[lock])
    assert reader.look()

    done = repair_store(store.context, RepairOptions(workers=1))

    assert [step.what for step in done.done] == ["set the mount counts to the actual mounts"]
    assert reader.look()
    assert reader.seen != b'[{"id":"layer","path":"/elsewhere","count":1}]'


@pytest.mark.parametrize("damage", ["a row twice", "no list"])
def test_records_that_a_repair_writes_again_are_told(store: Store, tmp_path: Path, damage: str) -> None:
    """As those of any other writer are."""
    from cstore.check.repair import RepairOptions, repair_store

    store.layers.create(NewLayer(id="a" * 64))
    lock, records = "graph/vfs-layers/layers.lock", tmp_path / "graph/vfs-layers/layers.json"
    row = records.read_bytes()[1:-1]
    records.write_bytes(b"[" + row + b"," + row + b"]" if damage == "a row twice" else b"{")
    reader = LongLivedReader(tmp_path, lock, RECORDS[lock])
    assert reader.look()

    done = repair_store(store.context, RepairOptions(workers=1))

    assert done.done
    assert reader.look()
    assert reader.seen == records.read_bytes()


def test_a_file_that_is_made_before_its_first_record_is_told(store: Store, tmp_path: Path) -> None:
    """Whoever makes it may die before there is a record, and nobody would learn of the file then."""
    from cstore.store.places import ItemKind
    from cstore.store.session import writing

    store.layers.create(NewLayer(id="layer"))
    reader = LongLivedReader(tmp_path, "graph/vfs-images/images.lock", "graph/vfs-images/images.json")
    assert reader.look()
    with writing(store.context, ItemKind.IMAGES) as writer:
        writer.establish(ItemKind.IMAGES)

    assert reader.look()
    assert reader.seen == b"[]"


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The kinds of records that writers read from the disk."""
    loaded: list[str] = []

    def load(context: Context, item_kind: ItemKind, *, degraded: bool) -> object:
        loaded.append(item_kind.value)
        return load_table(context, item_kind, degraded=degraded)

    monkeypatch.setattr("cstore.store.session.load_table", load)
    return loaded


def test_a_writer_does_not_read_again_what_it_wrote(store: Store, loads: list[str]) -> None:
    """As long as nobody else writes."""
    store.layers.create(NewLayer(id="layer"))
    loads.clear()
    for number in range(3):
        store.add_names("layer", [f"name{number}"])
        store.layers.create(NewLayer(id=f"layer{number}", parent="layer"))
    store.layers.delete("layer1")
    loads[:] = [kind for kind in loads if kind == "layer"]

    assert loads == []
    assert store.names("layer") == ("name2", "name1", "name0")
    assert sorted(layer.id for layer in store.layers.list()) == ["layer", "layer0", "layer2"]


@pytest.mark.parametrize("forked", [False, True])
def test_what_others_write_between_is_seen(
    store: Store, reopen: Callable[[], Store], loads: list[str], *, forked: bool
) -> None:
    """Also by a child that has what its parent kept."""
    store.layers.create(NewLayer(id="layer"))
    for number in range(3):
        store.add_names("layer", [f"own{number}"])
        if not forked:
            reopen().add_names("layer", [f"other{number}"])
        elif (child := os.fork()) == 0:
            try:
                store.add_names("layer", [f"other{number}"])
            finally:
                os._exit(0)
        else:
            os.waitpid(child, 0)
        loads.clear()
        store.add_names("layer", [f"last{number}"])
        assert "layer" in loads

    assert store.names("layer") == tuple(f"{who}{number}" for number in (2, 1, 0) for who in ("last", "other", "own"))


def test_a_file_that_looks_the_same_is_read_again_if_the_token_is_anothers(store: Store, tmp_path: Path) -> None:
    """Inodes are used again, and two writes may have the same time."""
    store.layers.create(NewLayer(id="layer", names=("before",)))
    records, lock = tmp_path / "graph/vfs-layers/layers.json", tmp_path / "graph/vfs-layers/layers.lock"
    status = records.stat()
    with records.open("r+b") as file:
        file.write(records.read_bytes().replace(b'"before"', b'"others"'))
    os.utime(records, ns=(status.st_atime_ns, status.st_mtime_ns))
    with LockFile(str(lock)).exclusive() as held:
        held.mark()

    assert store.add_names("layer", ["name"]) == ("name", "others")


def test_nothing_is_kept_of_a_change_that_failed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been half made in memory."""
    store.layers.create(NewLayer(id="layer"))

    def fail(*_: object, **__: object) -> None:
        raise InvalidOption("no")

    with monkeypatch.context() as patch:
        patch.setattr("cstore.records.section.Section.save", fail)
        with pytest.raises(InvalidOption):
            store.add_names("layer", ["half"])

    assert store.names("layer") == ()
    assert store.add_names("layer", ["whole"]) == ("whole",)
