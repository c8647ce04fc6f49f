"""Data items of all three kinds: one mechanism, and what each kind's record says of them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ContainerUnknown, DataItemUnknown, ImageUnknown, InvalidDataName, InvalidDigest, LayerUnknown
from cstore.store import NewImage, NewLayer, Store
from cstore.store.bigdata import data_digest, data_names, data_size, get_data, set_data
from cstore.store.places import Shelf
from tests.builders import digest
from tests.unit.store.test_removal import write_records

if TYPE_CHECKING:
    from cstore.store.context import Context

VALUE = bytes(range(256))
UNKNOWN = {Shelf.LAYERS: LayerUnknown, Shelf.IMAGES: ImageUnknown, Shelf.CONTAINERS: ContainerUnknown}


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


@pytest.mark.parametrize("shelf", Shelf)
def test_data_comes_back_with_its_size_and_digest(context: Context, shelf: Shelf) -> None:
    """Under names that no file could have, in the order of their making."""
    for key in ("Some/Key\u2603", "manifest"):
        set_data(context, shelf, "it", key, VALUE)
    set_data(context, shelf, "it", "Some/Key\u2603", b"new")

    assert data_names(context, shelf, "i") == ("Some/Key\u2603", "manifest")
    assert get_data(context, shelf, "it", "Some/Key\u2603") == b"new"
    assert data_size(context, shelf, "it", "manifest") == 256
    assert data_digest(context, shelf, "it", "Some/Key\u2603") == digest(b"new")


@pytest.mark.parametrize("shelf", Shelf)
def test_what_is_not_there_is_named(context: Context, shelf: Shelf) -> None:
    """Owner, item, or both."""
    for ask in (get_data, data_size, data_digest):
        for key in ("nothing", "", "..", "a/b/c/"):
            with pytest.raises(DataItemUnknown):
                ask(context, shelf, "it", key)
        with pytest.raises(UNKNOWN[shelf]):
            ask(context, shelf, "nothing", "key")
    with pytest.raises(UNKNOWN[shelf]):
        data_names(context, shelf, "nothing")
    with pytest.raises(UNKNOWN[shelf]):
        set_data(context, shelf, "nothing", "key", b"")


@pytest.mark.parametrize("shelf", Shelf)
@pytest.mark.parametrize("key", ["", ".", "..", "/", "\udcff", "x" * 300, "a\0"])
def test_bad_names_are_refused(context: Context, shelf: Shelf, key: str) -> None:
    """Nothing is written."""
    with pytest.raises(InvalidDataName):
        set_data(context, shelf, "it", key, b"")
    assert data_names(context, shelf, "it") == ()


def test_an_item_without_bookkeeping_is_measured(context: Context, graph: str) -> None:
    """Another program put the file there, or died before it saved the record."""
    path = os.path.join(graph, "vfs-containers", "it")
    os.makedirs(path)
    with open(os.path.join(path, "stray"), "wb") as file:
        file.write(VALUE)

    assert data_size(context, Shelf.CONTAINERS, "its-name", "stray") == 256
    assert data_digest(context, Shelf.CONTAINERS, "its-name", "stray") == digest(VALUE)


def test_the_first_manifest_gives_an_image_its_digest_for_good(context: Context, store: Store, graph: str) -> None:
    """A later one is only a second digest."""
    for value in (b"one", b"two"):
        set_data(context, Shelf.IMAGES, "it", "manifest", value)

    assert store.images.get("it").digest == digest(b"one")
    with open(os.path.join(graph, "vfs-images", "images.json"), encoding="utf-8") as file:
        record = json.load(file)[0]
    assert (record["digest"], record["big-data-digests"]["manifest"]) == (digest(b"one"), digest(b"two"))


def test_a_bad_digest_is_refused(context: Context, store: Store) -> None:
    """With one in the records, the peer could not read any image."""
    with pytest.raises(InvalidDigest):
        set_data(context, Shelf.IMAGES, "it", "manifest", b"", "sha256:short")
    assert store.images.data_names("it") == ()
