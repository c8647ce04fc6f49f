"""Which item a word means: an exact ID or name of any kind goes before the beginning of an ID of any kind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.store import NewContainer, NewImage, NewLayer, Store, open_store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def crowd(store: Store) -> Store:
    """A container, a layer and an image whose IDs begin with the names of others."""
    store.layers.create(NewLayer(id="beef01", names=("base",)))
    store.images.create(NewImage(layer="beef01", id="face01", names=("cafe",)))
    store.containers.create(NewContainer(image="face01", id="cafe01", names=("web",)))
    store.layers.create(NewLayer(id="dead01", names=("face",)))
    store.containers.create(NewContainer(image="", id="dead02", names=("beef",)))
    return store


@pytest.mark.parametrize(
    ("word", "kind", "item"),
    [
        ("cafe", "image", "face01"),  # and the beginning of a container's ID
        ("face", "layer", "dead01"),  # and the beginning of an image's
        ("beef", "container", "dead02"),  # and the beginning of a layer's
        ("cafe0", "container", "cafe01"),
        ("dead02", "container", "dead02"),
        ("beef0", "layer", "beef01"),
    ],
)
def test_a_name_goes_before_the_beginning_of_an_id_of_another_kind(
    crowd: Store, word: str, kind: str, item: str
) -> None:
    found = crowd.find(word)
    assert found is not None
    assert (found.kind, found.id) == (kind, item)


def test_delete_takes_the_image_of_that_name_and_leaves_the_container_whose_id_begins_so(crowd: Store) -> None:
    crowd.delete("cafe")
    assert crowd.images.find("face01") is None
    assert crowd.containers.find("cafe01") is not None


def test_delete_takes_what_a_prefix_means_where_nothing_has_that_name(crowd: Store) -> None:
    crowd.delete("cafe0")
    assert crowd.containers.find("cafe01") is None
    assert crowd.images.find("face01") is not None


def test_names_and_metadata_go_to_what_has_the_name(crowd: Store) -> None:
    crowd.add_names("beef", ["new"])
    crowd.set_metadata("face", "of the layer")
    assert crowd.names("dead02") == ("new", "beef")
    assert crowd.names("beef") == ("new", "beef")
    assert crowd.metadata("dead01") == "of the layer"
    assert crowd.metadata("face01") == ""


def test_mount_means_the_layer_of_that_name_and_not_a_container_whose_id_begins_so(crowd: Store) -> None:
    crowd.layers.create(NewLayer(id="1234", names=("cafe0",)))
    crowd.mount("cafe0")
    assert crowd.mounted("1234")
    assert not crowd.mounted("cafe01")
    crowd.unmount("cafe0")
    assert not crowd.mounted("1234")


def test_a_name_in_an_additional_store_goes_before_a_prefix_in_the_own_one(crowd: Store, tmp_path: Path) -> None:
    overrides = Overrides(
        graph_root=str(tmp_path / "over"), run_root=str(tmp_path / "over-run"), driver="vfs",
        driver_options=(f"vfs.imagestore={crowd.config.graph_root}",),
    )  # fmt: skip
    over = open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))
    over.layers.create(NewLayer(id="base77"))
    over.images.create(NewImage(layer="base77", id="cafe77"))
    assert over.layers.get("base").id == "beef01"
    assert over.images.get("cafe").id == "face01"
    assert over.layers.get("base7").id == "base77"


def test_an_unfinished_layer_hides_its_name_from_prefixes(crowd: Store) -> None:
    crowd.delete("dead02")  # from now on only one ID begins so
    crowd.layers.create(NewLayer(id="9999", names=("dead0",)))
    path = os.path.join(crowd.config.graph_root, "vfs-layers", "layers.json")
    with open(path) as file:
        text = file.read().replace('"id":"9999"', '"id":"9999","flags":{"incomplete":true}')
    with open(path, "w") as file:
        file.write(text)
    assert crowd.layers.find("dead0") is None
    assert crowd.layers.find("dead01") is not None
