"""One way to name things: by ID, name, digest, short name or unique beginning, over all kinds; and a path in them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.errors import (
    AmbiguousItem,
    ContainerUnknown,
    ImageUnknown,
    ImageWithoutLayers,
    InvalidOption,
    LayerMissing,
    LayerUnknown,
    NotAnItem,
)
from cstore.store import NewContainer, NewImage, NewLayer, Store, open_store
from tests.builders import digest, make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.records.model import Layer

TAR = make_tar(regular("f", b"contents"))
MANIFEST = b'{"schemaVersion":2}'
HERE, DOCKERS, OTHERS = "1" * 64, "2" * 64, "3" * 64


@pytest.fixture
def town(store: Store, put: Callable[..., Layer]) -> Store:
    """Layers, images with names of several hosts, containers; some with the names of others."""
    put(TAR, id="beef01", names=("base",))
    store.layers.create(NewLayer(id="beef02", names=("app",), parent="beef01"))
    store.images.create(NewImage(layer="beef01", id=HERE, names=("localhost/app:latest", "localhost/app:1.0")))
    store.images.create(NewImage(layer="beef02", id=DOCKERS, names=("docker.io/library/app:latest", "web")))
    store.images.create(NewImage(layer="beef02", id=OTHERS, names=("quay.io/team/tool:2", "reg.example:5000/tool:3")))
    store.images.set_data(OTHERS, "manifest", MANIFEST)
    store.images.create(NewImage(id="dead01"))
    store.containers.create(NewContainer(image=HERE, id="cafe01", names=("web", "box")))
    return store


@pytest.mark.parametrize(
    ("text", "kind", "item"),
    [
        ("beef01", "layer", "beef01"),
        ("base", "layer", "beef01"),
        ("app", "layer", "beef02"),  # a name goes before what is short for a name
        ("app:latest", "image", HERE),
        ("app:1.0", "image", HERE),
        ("library/app", "image", DOCKERS),
        ("docker.io/app", "image", DOCKERS),
        ("localhost/app", "image", HERE),
        ("tool:2", "image", OTHERS),
        ("team/tool:2", "image", OTHERS),
        ("reg.example:5000/tool:3", "image", OTHERS),
        ("box", "container", "cafe01"),
        (f"sha256:{HERE}", "image", HERE),
        ("sha256:11", "image", HERE),
        (digest(MANIFEST), "image", OTHERS),
        (digest(MANIFEST)[:20], "image", OTHERS),
        (f"quay.io/team/tool@{digest(MANIFEST)}", "image", OTHERS),
        (f"quay.io/team/tool:9@{digest(MANIFEST)}", "image", OTHERS),  # the digest decides
        (digest(TAR), "layer", "beef01"),
        (digest(TAR)[:15], "layer", "beef01"),
        ("11", "image", HERE),
        ("caf", "container", "cafe01"),
    ],
)
def test_an_item_is_found_in_every_way(town: Store, text: str, kind: str, item: str) -> None:
    """Whole IDs and names before digests, those before short names, those before the beginnings of IDs."""
    found = town.resolve(text)

    assert (found.kind, found.id) == (kind, item)


def test_a_containers_layer_is_a_layer(town: Store) -> None:
    """Its ID is the container's, too, for who asks for a container."""
    layer = town.containers.get("cafe01").layer

    assert town.resolve(layer).kind == "layer"
    assert town.resolve(layer, "container").id == "cafe01"


@pytest.mark.parametrize("text", ["", "nothing", "tool", f"other@{digest(MANIFEST)}", digest(b"other"), "sha256:"])
def test_nothing_is_found_for_want_of_an_item(town: Store, text: str) -> None:
    """No tag but `latest` is made up, no digest is believed to have another name, and no text means everything."""
    with pytest.raises(NotAnItem):
        town.resolve(text)


@pytest.mark.parametrize(
    ("kind", "error"), [("layer", LayerUnknown), ("image", ImageUnknown), ("container", ContainerUnknown)]
)
def test_the_error_says_which_kind_was_asked_for(town: Store, kind: str, error: type[Exception]) -> None:
    """As with the commands of one kind."""
    with pytest.raises(error):
        town.resolve("nothing", kind)


def test_several_items_are_told_and_a_kind_settles_it(town: Store) -> None:
    """The error lists them; asked for one kind, that one is found."""
    with pytest.raises(AmbiguousItem) as raised:
        town.resolve("web")

    told = {(one["kind"], one["id"]) for one in raised.value.candidates}
    assert told == {("container", "cafe01"), ("image", DOCKERS)}
    assert "--kind" in raised.value.hint
    assert "container cafe01 (web)" in raised.value.message
    assert town.resolve("web", "container").id == "cafe01"
    assert town.resolve("web", "image").id == DOCKERS
    with pytest.raises(InvalidOption):
        town.resolve("web", "thing")


def test_the_beginning_of_several_ids_is_told(town: Store) -> None:
    """More digits are needed then, whatever the kind."""
    with pytest.raises(AmbiguousItem) as raised:
        town.resolve("beef")

    assert [one["id"] for one in raised.value.candidates] == ["beef01", "beef02"]
    assert raised.value.hint == "give the full ID"


def test_items_of_one_layer_are_one_where_the_layer_counts(town: Store) -> None:
    """An image and its top layer may have one name: who looks into it need not say which is meant."""
    town.add_names(DOCKERS, ["both"])
    town.add_names("beef02", ["both"])
    with pytest.raises(AmbiguousItem):
        town.resolve("both")

    assert town.resolve("both", by_layer=True).id == DOCKERS
    with pytest.raises(AmbiguousItem):
        town.resolve("web", by_layer=True)


def test_where_a_layer_is_asked_for_an_image_means_its_top_layer(town: Store) -> None:
    """And a container its own; an image without layers, and a lost layer, are errors of their own."""
    assert town.layer_of(town.resolve("app:latest")).id == "beef01"
    assert town.layer_of(town.resolve("box")).id == town.containers.get("box").layer
    assert town.layer_of(town.resolve("base")).id == "beef01"
    with pytest.raises(ImageWithoutLayers):
        town.layer_of(town.resolve("dead01"))
    town.delete("beef02")
    with pytest.raises(LayerMissing):
        town.layer_of(town.resolve(DOCKERS))


@pytest.mark.parametrize(
    ("text", "item", "path"),
    [
        ("base:/etc/passwd", "beef01", "/etc/passwd"),
        ("base", "beef01", ""),
        ("base:", "beef01", ""),
        ("base:/a:b", "beef01", "/a:b"),
        ("app:1.0:/etc", HERE, "/etc"),
        ("app:1.0", HERE, ""),
        ("app:/1.0", "beef02", "/1.0"),
        ("app:2.0:/etc", "beef02", "2.0:/etc"),  # no image has that tag
        ("reg.example:5000/tool:3:etc", OTHERS, "etc"),
        (f"sha256:{HERE}:/f", HERE, "/f"),
        (f"quay.io/team/tool@{digest(MANIFEST)}:/f", OTHERS, "/f"),
    ],
)
def test_the_longest_beginning_that_names_an_item_goes_before_the_path(
    town: Store, text: str, item: str, path: str
) -> None:
    """Names have colons, and so have paths."""
    found = town.resolve_path(text)

    assert (found.item.id, found.path) == (item, path)


def test_a_path_in_nothing_names_what_is_unknown(town: Store) -> None:
    """The shortest reading is the one that somebody who mistypes has in mind; several items are told as such."""
    with pytest.raises(NotAnItem) as raised:
        town.resolve_path("nothing:/etc/a:b")
    assert raised.value.item == "nothing"
    with pytest.raises(AmbiguousItem):
        town.resolve_path("web:/etc")
    assert town.resolve_path("web:/etc", "image").item.id == DOCKERS


def test_layers_that_are_being_made_are_not_found(town: Store, graph: str) -> None:
    """Neither by name nor by the beginning of their ID."""
    path = os.path.join(graph, "vfs-layers", "layers.json")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace('"id":"beef02",', '"id":"beef02","flags":{"incomplete":true},'))

    assert town.resolve("bee").id == "beef01"
    assert town.resolve("app").kind == "image"


def test_items_of_additional_stores_are_found(town: Store, graph: str, tmp_path: Path) -> None:
    """By name, digest, short name and beginning; what the store itself has goes first."""
    overrides = Overrides(
        graph_root=str(tmp_path / "own"),
        run_root=str(tmp_path / "run2"),
        driver="vfs",
        driver_options=(f"vfs.imagestore={graph}",),
    )
    own = open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))
    own.layers.create(NewLayer(id="beef01"))

    assert own.resolve("beef01").id == "beef01"
    assert own.resolve("tool:2").id == OTHERS
    assert own.resolve(digest(MANIFEST)).id == OTHERS
    assert own.resolve("33").id == OTHERS
    assert own.layer_of(own.resolve("tool:2")).id == "beef02"
    assert own.resolve("beef02").kind == "layer"
    del town
