"""Data items of all three kinds: one mechanism, and what each kind's record says of them."""

from __future__ import annotations

import io
import json
import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import (
    ContainerUnknown,
    DataItemNeeded,
    DataItemUnknown,
    ImageUnknown,
    InvalidDataName,
    InvalidDigest,
    LayerUnknown,
    SystemFailure,
)
from cstore.store import NewImage, NewLayer, Store
from cstore.store.bigdata import data_digest, data_names, data_size, delete_data, get_data, open_data, set_data
from cstore.store.item_journal import begin_removal, item_directory
from cstore.store.places import ItemKind
from cstore.store.session import writing
from tests.builders import digest, listing
from tests.unit.store.test_removal import write_records

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.store.context import Context

VALUE = bytes(range(256))
UNKNOWN = {ItemKind.LAYERS: LayerUnknown, ItemKind.IMAGES: ImageUnknown, ItemKind.CONTAINERS: ContainerUnknown}


@pytest.fixture
def context(store: Store, graph: str) -> Context:
    """A store with one item of each kind, all called `it`."""
    store.layers.create(NewLayer(id="it"))
    store.images.create(NewImage(id="it"))
    record: dict[str, object] = {
        "id": "it",
        "names": ["its-name"],
        "image": "",
        "layer": "own",
        "created": "2026-01-01T00:00:00Z",
    }
    write_records(graph, "container", [record])
    return store._context


@pytest.mark.parametrize("item_kind", ItemKind)
def test_data_comes_back_with_its_size_and_digest(context: Context, item_kind: ItemKind) -> None:
    """Under names that no file could have, in the order of their making."""
    for key in ("Some/Key\u2603", "manifest"):
        set_data(context, item_kind, "it", key, VALUE)
    set_data(context, item_kind, "it", "Some/Key\u2603", b"new")

    assert data_names(context, item_kind, "i") == ("Some/Key\u2603", "manifest")
    assert get_data(context, item_kind, "it", "Some/Key\u2603") == b"new"
    assert data_size(context, item_kind, "it", "manifest") == 256
    assert data_digest(context, item_kind, "it", "Some/Key\u2603") == digest(b"new")


@pytest.mark.parametrize("item_kind", ItemKind)
def test_what_is_not_there_is_named(context: Context, item_kind: ItemKind) -> None:
    """Owner, item, or both."""
    for ask in (get_data, data_size, data_digest):
        for key in ("nothing", "", "..", "a/b/c/"):
            with pytest.raises(DataItemUnknown):
                ask(context, item_kind, "it", key)
        with pytest.raises(UNKNOWN[item_kind]):
            ask(context, item_kind, "nothing", "key")
    with pytest.raises(UNKNOWN[item_kind]):
        data_names(context, item_kind, "nothing")
    with pytest.raises(UNKNOWN[item_kind]):
        set_data(context, item_kind, "nothing", "key", b"")


@pytest.mark.parametrize("item_kind", ItemKind)
@pytest.mark.parametrize("key", ["", ".", "..", "/", "\udcff", "x" * 300, "a\0"])
def test_bad_names_are_refused(context: Context, item_kind: ItemKind, key: str) -> None:
    """Nothing is written."""
    with pytest.raises(InvalidDataName):
        set_data(context, item_kind, "it", key, b"")
    assert data_names(context, item_kind, "it") == ()


def test_an_item_without_bookkeeping_is_measured(context: Context, graph: str) -> None:
    """Another program put the file there, or died before it saved the record."""
    path = os.path.join(graph, "vfs-containers", "it")
    os.makedirs(path)
    with open(os.path.join(path, "stray"), "wb") as file:
        file.write(VALUE)

    assert data_size(context, ItemKind.CONTAINERS, "its-name", "stray") == 256
    assert data_digest(context, ItemKind.CONTAINERS, "its-name", "stray") == digest(VALUE)


def test_the_first_manifest_gives_an_image_its_digest_for_good(context: Context, store: Store, graph: str) -> None:
    """A later one is only a second digest."""
    for value in (b"one", b"two"):
        set_data(context, ItemKind.IMAGES, "it", "manifest", value)

    assert store.images.get("it").digest == digest(b"one")
    with open(os.path.join(graph, "vfs-images", "images.json"), encoding="utf-8") as file:
        record = json.load(file)[0]
    assert (record["digest"], record["big-data-digests"]["manifest"]) == (digest(b"one"), digest(b"two"))


def test_a_bad_digest_is_refused(context: Context, store: Store) -> None:
    """With one in the records, the peer could not read any image."""
    with pytest.raises(InvalidDigest):
        set_data(context, ItemKind.IMAGES, "it", "manifest", b"", "sha256:short")
    assert store.images.data_names("it") == ()


BIG = bytes(range(256)) * 20_000
"""More than is kept in memory."""


@pytest.mark.parametrize("value", [b"", VALUE, BIG[: 1 << 20], BIG])
@pytest.mark.parametrize("item_kind", ItemKind)
def test_data_is_streamed_both_ways(context: Context, item_kind: ItemKind, value: bytes, tmp_path: Path) -> None:
    """From a path, a file or a pipe, and out again; size and digest are those of what came."""
    (tmp_path / "value").write_bytes(value)
    for key, source in (("path", tmp_path / "value"), ("file", io.BytesIO(value))):
        set_data(context, item_kind, "it", key, source)
        with open_data(context, item_kind, "it", key) as file:
            assert file.read() == value
        assert data_size(context, item_kind, "it", key) == len(value)
        assert data_digest(context, item_kind, "it", key) == digest(value)


def test_a_source_that_breaks_changes_nothing(context: Context) -> None:
    """The old item stays, and nothing waits beside the store."""

    class Breaks(io.BytesIO):
        def readinto(self, buffer: object, /) -> int:
            if self.tell() > 3_000_000:
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)  # type: ignore[arg-type]

    set_data(context, ItemKind.LAYERS, "it", "key", b"old")
    before = listing(context.layout.graph_root)
    with pytest.raises(SystemFailure):
        set_data(context, ItemKind.LAYERS, "it", "key", Breaks(BIG))
    assert get_data(context, ItemKind.LAYERS, "it", "key") == b"old"
    assert listing(context.layout.graph_root) == before


def test_large_data_costs_little_memory(context: Context, tmp_path: Path) -> None:
    """A fifth of the item at most, which would otherwise be there once at least."""
    import tracemalloc

    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(20 << 20)
    tracemalloc.start()
    set_data(context, ItemKind.IMAGES, "it", "large", path)
    with open_data(context, ItemKind.IMAGES, "it", "large") as stream:
        while stream.read(1 << 16):
            pass
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 5 << 20


# ── deletion ──


@pytest.mark.parametrize("item_kind", ItemKind)
def test_a_deleted_item_is_gone_from_record_and_disk(context: Context, item_kind: ItemKind) -> None:
    """The others stay, and the same name can be used again."""
    for key in ("one", "Two"):
        set_data(context, item_kind, "it", key, VALUE)
    files = len(os.listdir(item_directory(context.layout, item_kind, "it")))

    delete_data(context, item_kind, "it", "Two")

    assert data_names(context, item_kind, "it") == ("one",)
    with pytest.raises(DataItemUnknown):
        get_data(context, item_kind, "it", "Two")
    assert len(os.listdir(item_directory(context.layout, item_kind, "it"))) == files - 1
    with pytest.raises(DataItemUnknown):
        delete_data(context, item_kind, "it", "Two")
    set_data(context, item_kind, "it", "Two", b"again")
    assert data_size(context, item_kind, "it", "Two") == 5


@pytest.mark.parametrize("item_kind", ItemKind)
def test_nothing_is_deleted_of_what_is_not_there(store: Store, item_kind: ItemKind) -> None:
    """And no store is made for it."""
    with pytest.raises(UNKNOWN[item_kind]):
        delete_data(store._context, item_kind, "it", "key")
    assert not store.is_made


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("item_kind", ItemKind)
def test_a_deletion_that_was_killed_is_finished_or_never_was(
    context: Context, item_kind: ItemKind, saved: bool
) -> None:
    """The record decides: whoever writes next removes the file if the record does not list it, and only then."""
    set_data(context, item_kind, "it", "key", VALUE)
    with writing(context, item_kind) as writer:
        begin_removal(writer, item_kind, "it", "key")
        if saved:
            record = writer.table(item_kind).get("it")
            assert record is not None
            rest = () if item_kind is ItemKind.LAYERS else ("data_sizes", "data_digests")
            writer.table(item_kind).replace(record.with_(data_names=(), **{name: {} for name in rest}))
            writer.save(item_kind)
    with writing(context, item_kind):
        pass

    assert data_names(context, item_kind, "it") == (() if saved else ("key",))
    if saved:
        with pytest.raises(DataItemUnknown):
            get_data(context, item_kind, "it", "key")
    else:
        assert get_data(context, item_kind, "it", "key") == VALUE


def test_an_image_keeps_what_it_cannot_be_without(context: Context) -> None:
    """Without its manifest it would be damaged, and Podman would list no image of the store."""
    config = digest(b"{}")
    for key in ("manifest", config, "note"):
        set_data(context, ItemKind.IMAGES, "it", key, b"{}")

    for key in ("manifest", config):
        with pytest.raises(DataItemNeeded):
            delete_data(context, ItemKind.IMAGES, "it", key)
    delete_data(context, ItemKind.IMAGES, "it", "note")
    assert data_names(context, ItemKind.IMAGES, "it") == ("manifest", config)
