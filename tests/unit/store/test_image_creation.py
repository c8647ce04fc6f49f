"""New images: what they take over, what is refused, and what a failure leaves."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.errors import (
    IDTaken,
    InvalidDataName,
    InvalidDigest,
    InvalidID,
    InvalidName,
    InvalidTime,
    LayerUnknown,
    NameTaken,
)
from cstore.store import NewImage, NewLayer, Store
from cstore.store.session import Writer
from tests.builders import digest, listing

if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.store.places import ItemKind

MANIFEST = b'{"schemaVersion":2}'


def records(graph: str) -> Any:
    """The image records as they are on disk."""
    with open(os.path.join(graph, "vfs-images", "images.json"), encoding="utf-8") as file:
        return json.load(file)


def test_an_image_is_made_with_all_that_was_asked_for(store: Store, graph: str) -> None:
    """Its layer is recorded by ID, its names enter no history, its digest is that of its manifest."""
    store.layers.create(NewLayer(id="base", names=("the-base",)))
    request = NewImage(
        names=("one", "two", "one"),
        layer="the-base",
        metadata="m",
        created="2020-02-02T02:02:02.5+01:00",
        names_history=("zero",),
        flags={"k": 1},
        data={"manifest": MANIFEST, "Config": b"{}"},
    )

    image = store.images.create(request)

    assert len(image.id) == 64
    assert (image.names, image.layer, image.names_history) == (("one", "two"), "base", ("zero",))
    assert image.digest == digest(MANIFEST)
    assert records(graph)[0]["created"] == "2020-02-02T02:02:02.5+01:00"
    assert records(graph)[0]["big-data-sizes"] == {"Config": 2, "manifest": len(MANIFEST)}
    assert store.images.get("two") == image
    assert store.images.get_data("one", "Config") == b"{}"


def test_known_digests_are_not_computed(store: Store) -> None:
    """A signed manifest's digest is not that of its bytes."""
    known = digest(b"something else")
    image = store.images.create(NewImage(data={"manifest": MANIFEST}, data_digests={"manifest": known}))

    assert (image.digest, store.images.data_digest(image.id, "manifest")) == (known, known)


def test_an_image_needs_no_layer(store: Store) -> None:
    """Nor anything else."""
    assert store.images.create(NewImage(id="bare")).layer == ""


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (NewImage(layer="nothing"), LayerUnknown),
        (NewImage(id="first"), IDTaken),
        (NewImage(names=("free", "its-name")), NameTaken),
        (NewImage(digest="sha256:1"), InvalidDigest),
        (NewImage(data={"manifest": b""}, data_digests={"manifest": "nonsense"}), InvalidDigest),
        (NewImage(created="yesterday"), InvalidTime),
        (NewImage(created="2020-13-01T00:00:00Z"), InvalidTime),
        (NewImage(created="2020-01-01T00:00:00+99:00"), InvalidTime),
        (NewImage(data={"": b""}), InvalidDataName),
        (NewImage(data={"fine": b"1", "..": b""}), InvalidDataName),
        (NewImage(data={"fine": b"1", "userdata": b""}), InvalidDataName),
        (NewImage(id="../x"), InvalidID),
        (NewImage(id="a\0b"), InvalidID),
        (NewImage(id="x" * 300), InvalidID),
        (NewImage(id="\udcff"), InvalidID),
        (NewImage(id="images.json"), InvalidID),
        (NewImage(names=("\udcff",)), InvalidName),
        (NewImage(names=("a\0b",)), InvalidName),
    ],
    ids=repr,
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    store: Store, graph: str, request_: NewImage, error: type[Exception]
) -> None:
    """Not a byte changes."""
    store.images.create(NewImage(id="first", names=("its-name",), data={"manifest": MANIFEST}))
    before = listing(graph), records(graph)

    with pytest.raises(error):
        store.images.create(request_)

    assert (listing(graph), records(graph)) == before


def test_a_mistake_makes_no_store(store: Store, graph: str) -> None:
    """The directory does not even appear."""
    with pytest.raises(LayerUnknown):
        store.images.create(NewImage(layer="nothing"))
    assert not os.path.exists(graph)


@pytest.mark.parametrize("kill_at", ["data", "record"])
def test_an_interrupted_creation_leaves_no_image_and_blocks_nothing(
    store: Store, reopen: Callable[[], Store], monkeypatch: pytest.MonkeyPatch, kill_at: str
) -> None:
    """Even the first image of a store: data without a list of images would pass for a lost record file."""

    def killed(*_: object, **__: object) -> None:
        os._exit(9)

    child = os.fork()
    if child == 0:
        if kill_at == "record":
            monkeypatch.setattr(Writer, "save", killed)
        else:
            monkeypatch.setattr("cstore.records.bigdata.write_file", killed)
        store.images.create(NewImage(id="it", data={"manifest": MANIFEST, "stray": b"1"}))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

    assert reopen().images.list() == []
    reopen().images.create(NewImage(id="it", data={"manifest": MANIFEST}))
    assert reopen().images.get_data("it", "manifest") == MANIFEST
    with pytest.raises(Exception, match="stray"):
        reopen().images.get_data("it", "stray")


def test_a_failed_creation_leaves_nothing(store: Store, graph: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither data nor record."""
    store.images.create(NewImage(id="first"))

    def fails(self: Writer, *item_kinds: ItemKind) -> None:
        raise LayerUnknown("it")

    with monkeypatch.context() as patched:
        patched.setattr(Writer, "save", fails)
        with pytest.raises(LayerUnknown):
            store.images.create(NewImage(id="it", data={"manifest": MANIFEST}))

    assert not os.path.exists(os.path.join(graph, "vfs-images", "it"))
    assert [record["id"] for record in records(graph)] == ["first"]
