"""Layers and images that a source store has under the very ID that is missing here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.check.findings import of_container, of_image
from cstore.check.repair.from_stores import _put, can_be_made, image_from_store, layers_from_store
from cstore.check.repair.survivors import ExpectedLayer
from cstore.digests import digest_of
from cstore.errors import ContentDamaged, SourceUnusable
from cstore.records.model import Image, Layer
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from tests.unit.check.tables import Tables, planned, write

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.check.repair.plan import Step

CHAIN = Layer(id="base"), Layer(id="middle", parent="base"), Layer(id="top", parent="middle", names=("theirs", "taken"))
FINDING = of_image("image-layer-missing", "image", "x", layer="top")


def test_what_is_missing_of_a_chain_comes_lowest_first(tmp_path: Path) -> None:
    """What is here stays; with one that no source has, nothing is begun."""
    other = Tables(tmp_path / "other", *CHAIN)
    own = Tables(tmp_path / "own", Layer(id="base"))
    root = other.context.layout.graph_root

    assert planned(layers_from_store(own.view(root), FINDING, "top")) == [("add-layer", "middle"), ("add-layer", "top")]
    other.records(ItemKind.LAYERS, [CHAIN[2]])
    assert planned(layers_from_store(own.view(root), FINDING, "top")) == []
    ring = Layer(id="one", parent="two"), Layer(id="two", parent="one")
    other.records(ItemKind.LAYERS, ring)
    assert planned(layers_from_store(own.view(root), FINDING, "one")) == []


NAMED = {"named": b"archive", "other": b"another"}


def test_a_layer_that_can_be_made(tmp_path: Path) -> None:
    """From a store by its ID, or from an archive by the digest that a config names."""
    other = Tables(tmp_path / "other", Layer(id="stored"))
    write(str(tmp_path / "archive"), b"archive")
    expected = {name: ExpectedLayer("image", "", digest_of(data)) for name, data in NAMED.items()}
    sources = other.context.layout.graph_root, str(tmp_path / "archive")
    view = Tables(tmp_path / "own").view(*sources, expected=expected)

    assert [can_be_made(view, layer) for layer in ("stored", "named", "other", "unknown")] == [True, True, False, False]


def carry_out(tables: Tables, source: str, steps: list[Step]) -> None:
    """Do the steps, with a source."""
    with tables.repairing(source) as repair:
        for step in steps:
            step.act(repair)


def test_a_layer_is_as_it_is_there(tmp_path: Path) -> None:
    """With parent, items, metadata and the names that nobody here has."""
    other = Tables(tmp_path / "other", CHAIN[0], CHAIN[2].with_(parent="base", metadata="m", data_names=("key",)))
    other.item("layer", "top", "key", b"value")
    write(f"{other.tree('top')}/file", b"contents")
    own = Tables(tmp_path / "own", CHAIN[0], Layer(id="holder", names=("taken",)))
    root = other.context.layout.graph_root
    steps = list(layers_from_store(own.view(root), FINDING, "top"))

    carry_out(own, root, steps)
    layer = Reader(own.context).layers.get("top")
    assert layer is not None
    assert (layer.parent, layer.metadata, layer.names, layer.data_names) == ("base", "m", ("theirs",), ("key",))
    carry_out(own, root, steps)  # it is there by now, and stays


IMAGE = Image(
    id="image", layer="base", names=("theirs", "taken"), data_names=("key",), data_sizes={"key": 5},
    data_digests={"key": digest_of(b"value")}, metadata="m",
)  # fmt: skip


def test_an_image_is_as_it_is_there(tmp_path: Path) -> None:
    other = Tables(tmp_path / "other", CHAIN[0], IMAGE)
    other.item("image", "image", "key", b"value")
    own = Tables(tmp_path / "own", Image(id="holder", names=("taken",)))
    root = other.context.layout.graph_root
    steps = list(image_from_store(own.view(root), of_container("container-image-missing", "box", "x"), "image"))

    assert planned(steps) == [("add-layer", "base"), ("add-image", "image")]
    carry_out(own, root, steps)
    image = Reader(own.context).images.get("image")
    assert image is not None
    assert (image.layer, image.names, image.metadata) == ("base", ("theirs",), "m")
    assert image.data_digests == IMAGE.data_digests
    carry_out(own, root, steps)  # it is there by now, and stays


def test_a_layer_with_another_digest_is_not_taken_over(tmp_path: Path) -> None:
    """The other store may have lost it, too."""
    digest = "sha256:" + "1" * 64
    other, own = Tables(tmp_path / "other", Layer(id="top", diff_digest=digest)), Tables(tmp_path / "own")
    root = other.context.layout.graph_root
    stored = own.view(root).sources.stored_layer("top")
    assert stored is not None

    with own.repairing(root) as repair, pytest.raises(ContentDamaged):
        _put(stored, repair)
    assert "top" not in Reader(own.context).layers


def test_an_item_with_another_digest_is_not_taken_over(tmp_path: Path) -> None:
    """The other store is damaged as well: nothing of the image is made."""
    other = Tables(tmp_path / "other", CHAIN[0], IMAGE)
    other.item("image", "image", "key", b"VALUE")
    own = Tables(tmp_path / "own", CHAIN[0])
    root = other.context.layout.graph_root
    steps = list(image_from_store(own.view(root), of_container("container-image-missing", "box", "x"), "image"))

    with pytest.raises(SourceUnusable, match="another digest"):
        carry_out(own, root, steps)
    assert Reader(own.context).images.get("image") is None


def test_an_image_without_all_of_its_layers_is_left(tmp_path: Path) -> None:
    other = Tables(tmp_path / "other", IMAGE)
    own = Tables(tmp_path / "own")

    view, finding = own.view(other.context.layout.graph_root), of_container("container-image-missing", "box", "x")
    assert planned(image_from_store(view, finding, "image")) == []
