"""Writable layers: named, mounted by count, compared with what lies below, never showing their init layer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.docker import LayerStore, make_engine_files
from cstore.errors import (
    ChainUnknown,
    DriverError,
    InvalidOption,
    LayerNotRetained,
    SystemFailure,
    WritableLayerTaken,
    WritableLayerUnknown,
)
from tests.builders import make_tar, regular, symlink
from tests.unit.docker.conftest import Collected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.docker.layer import ReadOnlyLayer, WritableLayer
    from cstore.store import Store
    from tests.unit.docker.conftest import Register

NOWHERE = "sha256:" + "0" * 64


def change(layer: WritableLayer) -> None:
    """Remove, add and rewrite, as a container does."""
    path = layer.mount()
    os.unlink(os.path.join(path, "two.txt"))
    os.mkdir(os.path.join(path, "d"))
    for name, text in (("new", "fresh"), ("three.txt", "rewrite\n")):
        with open(os.path.join(path, name), "w", encoding="utf-8") as file:
            file.write(text)
    layer.unmount()


def mark(path: str) -> None:
    """An init layer with one file."""
    with open(os.path.join(path, "init"), "w", encoding="utf-8") as file:
        file.write("never shown")


@pytest.fixture
def written(chain: list[ReadOnlyLayer], layers: LayerStore) -> WritableLayer:
    """A writable layer over an init layer over three layers, with changes."""
    layer = layers.writable.create("box", chain[2].chain_id, init=mark)
    change(layer)
    return layer


def test_changes_sizes_and_stream(written: WritableLayer) -> None:
    """What the init layer holds is in none of them."""
    out = Collected()
    written.write_tar(out)

    assert [(change.kind.name[0], change.path) for change in written.changes()] == [
        ("A", b"/d"),
        ("A", b"/new"),
        ("M", b"/three.txt"),
        ("D", b"/two.txt"),
    ]
    assert written.size() == 13
    assert sorted(out.names) == [".wh.two.txt", "d", "new", "three.txt"]


def test_the_init_layer_shows_inside(written: WritableLayer) -> None:
    """It lies below the writable layer, and is no parent of it."""
    path = written.mount()
    assert os.path.exists(os.path.join(path, "init"))
    written.unmount()

    assert written.parent is not None
    assert written.parent.depth == 3


def test_a_limit_needs_a_disk_that_keeps_it(layers: LayerStore, store: Store, driver: str) -> None:
    """Rather none than one that is not kept; and there is no other storage option."""
    with pytest.raises(DriverError) as no_quota:
        layers.writable.create("box", storage_options={"size": "10M"})
    assert no_quota.value.go_text.startswith("--storage-opt is ")
    with pytest.raises(InvalidOption) as unknown:
        layers.writable.create("box", storage_options={"weight": "1"})
    assert unknown.value.go_text == ("Storage opt weight not supported" if driver == "vfs" else "Unknown option weight")
    assert store.layers.list() == []


def test_names(layers: LayerStore, chain: list[ReadOnlyLayer]) -> None:
    """Docker's errors for names that are taken, unknown, or have no parent."""
    box = layers.writable.create("box", chain[0].chain_id)

    for refused, kind, words in (
        (lambda: layers.writable.create("box"), WritableLayerTaken, "mount already exists with name"),
        (lambda: layers.writable.create("other", NOWHERE), ChainUnknown, "layer does not exist"),
        (lambda: layers.writable.get("nope"), WritableLayerUnknown, "mount does not exist"),
        (lambda: layers.writable.mount_id("nope"), WritableLayerUnknown, "mount does not exist"),
    ):
        with pytest.raises(kind) as told:
            refused()
        assert told.value.go_text == words
    assert layers.writable.mount_id("box") == box.layer
    assert layers.writable.names() == ["box"]


def test_mounts_are_counted(layers: LayerStore, chain: list[ReadOnlyLayer]) -> None:
    """Twice mounted, twice unmounted; once more is harmless."""
    box = layers.writable.create("box", chain[2].chain_id)
    path = box.mount()
    assert box.mount() == path
    box.unmount()
    assert os.path.exists(os.path.join(path, "one.txt"))
    box.unmount()
    box.unmount()


def test_release_takes_the_init_layer_and_cascades(
    written: WritableLayer, layers: LayerStore, chain: list[ReadOnlyLayer], store: Store
) -> None:
    """The last reference does it; a mount does not keep it."""
    for layer in chain:
        layers.release(layer)
    again = layers.writable.get("box")
    written.mount()

    assert layers.writable.release(written) == []
    with pytest.raises(LayerNotRetained):
        layers.writable.release(written)
    assert [freed.chain_id for freed in layers.writable.release(again)] == [layer.chain_id for layer in reversed(chain)]
    assert layers.writable.release(again) == []
    assert store.layers.list() == []
    assert list(store.layers.trees()) == []


def test_a_reopened_store_finds_and_releases(
    written: WritableLayer, chain: list[ReadOnlyLayer], reopen: Callable[[], Store]
) -> None:
    """By name, with its changes, and down to the last layer."""
    again = LayerStore(reopen())
    box = again.writable.get("box")

    assert (box.layer, box.size()) == (written.layer, 13)
    assert len(again.writable.release(box)) == 3


def test_a_failing_init_leaves_nothing(layers: LayerStore, chain: list[ReadOnlyLayer], store: Store) -> None:
    """Neither a layer nor a mount."""

    def fail(path: str) -> None:
        raise SystemFailure("write", path, OSError(28, ""))

    before = list(store.layers.ids())
    with pytest.raises(SystemFailure):
        layers.writable.create("box", chain[0].chain_id, init=fail)
    assert list(store.layers.ids()) == before
    assert not store.layers.mount_points()


def test_a_writable_layer_on_nothing(layers: LayerStore) -> None:
    """It has no parent, and its stream is all of it."""
    box = layers.writable.create("box")
    mark(box.mount())
    box.unmount()
    out = Collected()
    box.write_tar(out)

    assert (box.parent, out.names) == (None, ["init"])
    assert box.metadata()
    assert layers.writable.release(box) == []


def test_an_archive_can_be_applied(layers: LayerStore, chain: list[ReadOnlyLayer], tmp_path: Path) -> None:
    """And what is written afterwards is in its stream too."""
    box = layers.writable.create("box", chain[0].chain_id)
    (tmp_path / "more").write_bytes(make_tar(regular("added", b"12345")))
    with (tmp_path / "more").open("rb") as source:
        assert box.apply_diff(source.fileno()) == 5
    mark(box.mount())
    box.unmount()
    out = Collected()
    box.write_tar(out)

    assert sorted(out.names) == ["added", "init"]
    assert set(layers.map()) == {layer.chain_id for layer in chain}, "it is no registered layer"


def test_the_engines_files(layers: LayerStore, register: Register, tmp_path: Path) -> None:
    """They replace what is in their way and follow no link out of the layer."""
    outside = tmp_path / "outside"
    outside.mkdir()
    entries = symlink("etc", str(outside)), regular("proc", b"a file"), regular(".dockerenv", b"old")
    hostile = register(make_tar(*entries))
    box = layers.writable.create("box", hostile.chain_id, init=make_engine_files)
    path = box.mount()

    assert os.readlink(os.path.join(path, "etc/mtab")) == "/proc/mounts"
    for name in ("dev/pts", "dev/shm", "proc", "sys"):
        assert os.path.isdir(os.path.join(path, name)), name
    for name in (".dockerenv", "etc/resolv.conf", "etc/hosts", "etc/hostname", "dev/console"):
        status = os.lstat(os.path.join(path, name))
        assert (status.st_size, status.st_mode & 0o7777) == (0, 0o755), name
    assert list(outside.iterdir()) == []
    box.unmount()
    assert box.changes() == []
