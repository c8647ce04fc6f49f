"""Which layer a container with an ID map is built on, and the mapped layers that are made for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.errors import ImageUnknown, InvalidIDMap, LayerUnknown
from cstore.idmap import IDENTITY, IDMap, IDRange
from cstore.records.model import Image
from cstore.records.table import Location
from cstore.store import Store, creation, mapped_layers
from cstore.store.mapped_layers import base_layer
from cstore.store.places import ItemKind
from cstore.store.session import writing
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from cstore.records.model import Layer
    from cstore.store.context import Context
    from tests.unit.store.conftest import Import

pytestmark = pytest.mark.usefixtures("needs_root")
MAP = IDMap((IDRange(0, 100000, 1000),), (IDRange(0, 200000, 1000),))
OTHER = IDMap((IDRange(0, 300000, 1000),), (IDRange(0, 300000, 1000),))


@pytest.fixture
def image(store: Store, put: Import) -> Image:
    """An image of two layers."""
    base = put(make_tar(regular("base", uid=1)))
    top = put(make_tar(regular("f", b"text", uid=5, gid=6)), parent=base.id, mount_label="label")
    image = Image(id="image", layer=top.id)
    with writing(store._context, ItemKind.IMAGES) as writer:
        writer.images.add(image, Location.STABLE)
        writer.save(ItemKind.IMAGES)
    return image


def test_without_a_map_the_top_layer_does(store: Store, image: Image) -> None:
    """Nothing is made."""
    layer, chown = base_layer(store._context, image, IDENTITY)
    assert (layer.id, chown) == (image.layer, False)
    assert len(store.layers.list()) == 2


def test_a_twin_is_made_once_for_each_map(store: Store, image: Image) -> None:
    """It has the owners of the map, all that the top layer has besides, and is kept with the image."""
    top = store.layers.get(image.layer)
    mapped_layer, chown = base_layer(store._context, image, MAP)
    again, _ = base_layer(store._context, image, MAP)
    other, _ = base_layer(store._context, image, OTHER)

    assert not chown
    assert mapped_layer.id == again.id
    assert (mapped_layer.parent, mapped_layer.mount_label, mapped_layer.diff_digest, mapped_layer.uids) == (
        top.parent,
        "label",
        top.diff_digest,
        top.uids,
    )
    assert mapped_layer.id_map == MAP
    status = os.stat(os.path.join(store.mount(mapped_layer.id), "f"))
    assert (status.st_uid, status.st_gid) == (100005, 200006)
    assert store.images.get("image").mapped_layers == (mapped_layer.id, other.id)


def test_a_twin_is_no_ones_when_the_image_goes_meanwhile(
    store: Store, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is taken back."""
    create = creation.create_layer

    def late(context: Context, request: creation.NewLayer) -> Layer:
        made = create(context, request)
        with writing(context, ItemKind.IMAGES) as writer:
            writer.images.remove("image")  # as if somebody had been faster
            writer.save(ItemKind.IMAGES)
        return made

    monkeypatch.setattr(creation, "create_layer", late)
    with pytest.raises(ImageUnknown):
        base_layer(store._context, image, MAP)
    assert len(store.layers.list()) == 2


def test_of_two_equal_twins_the_first_stays(store: Store, image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers that start at once make two; the second is taken back."""
    make = mapped_layers._make_mapped_layer

    def race(*arguments: object) -> object:
        monkeypatch.setattr(mapped_layers, "_make_mapped_layer", make)
        make(*arguments)  # type: ignore[arg-type]
        return make(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(mapped_layers, "_make_mapped_layer", race)
    layer, _ = base_layer(store._context, image, MAP)
    assert store.images.get("image").mapped_layers == (layer.id,)
    assert len(store.layers.list()) == 3


def test_an_image_that_is_only_read_gets_no_twin(store: Store, image: Image) -> None:
    """Its container's own layer has to change the owners."""
    layer, chown = base_layer(store._context, Image(id="elsewhere", layer=image.layer), MAP)
    assert (layer.id, chown) == (image.layer, True)


def test_owners_that_do_not_fit_leave_no_twin(store: Store, image: Image) -> None:
    """The map is at fault, and nothing stays."""
    with pytest.raises(InvalidIDMap):
        base_layer(store._context, image, IDMap((IDRange(0, 1000, 2),), (IDRange(0, 1000, 2),)))
    assert len(store.layers.list()) == 2
    assert store.images.get("image").mapped_layers == ()


def test_a_missing_top_layer_is_named(store: Store) -> None:
    """There is nothing to build on."""
    with pytest.raises(LayerUnknown, match="gone"):
        base_layer(store._context, Image(id="image", layer="gone"), MAP)
