"""Which item a word means: by ID, by name, by unique ID prefix; in one kind, or in all three."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from cstore.errors import LayerUnknown
from cstore.records.layers import children
from cstore.store.places import Shelf

if TYPE_CHECKING:
    from cstore.records.model import Container, Image, Layer
    from cstore.records.table import Table

LAYER_FIRST = (Shelf.LAYERS, Shelf.IMAGES, Shelf.CONTAINERS)
"""The order of `exists`, names and metadata (semantics 4)."""

CONTAINER_FIRST = (Shelf.CONTAINERS, Shelf.IMAGES, Shelf.LAYERS)
"""The order of `delete` (cli 2.1)."""


class Tables(Protocol):
    """Whatever shows the three tables: a reader or a writer."""

    @property
    def layers(self) -> Table[Layer]: ...  # noqa: D102  - the protocol's names say it
    @property
    def images(self) -> Table[Image]: ...  # noqa: D102  - as above
    @property
    def containers(self) -> Table[Container]: ...  # noqa: D102  - as above


class Item(msgspec.Struct, frozen=True):
    """An item and its kind."""

    shelf: Shelf
    id: str

    @property
    def kind(self) -> str:
        """`layer`, `image` or `container`."""
        return self.shelf.value


def table_of(tables: Tables, shelf: Shelf) -> Table[Any]:
    """The table of one kind."""
    if shelf is Shelf.LAYERS:
        return tables.layers
    return tables.images if shelf is Shelf.IMAGES else tables.containers


def find_layer(tables: Tables, word: str) -> Layer | None:
    """Find a layer that is whole; a layer that is being made or removed is not there yet, or no longer."""
    layer = tables.layers.resolve(word)
    return None if layer is None or layer.incomplete else layer


def get_layer(tables: Tables, word: str) -> Layer:
    """Find a layer.

    Raises:
        LayerUnknown: no layer, or more than one, answers to `word`.
    """
    layer = find_layer(tables, word)
    if layer is None:
        raise LayerUnknown(word)
    return layer


def find_item(tables: Tables, word: str, order: tuple[Shelf, ...] = LAYER_FIRST) -> Item | None:
    """Find an item of any kind, the first kind in `order` that knows `word`."""
    for shelf in order:
        record = find_layer(tables, word) if shelf is Shelf.LAYERS else table_of(tables, shelf).resolve(word)
        if record is not None:
            return Item(shelf, record.id)
    return None


def layer_or_container_layer(tables: Tables, word: str) -> Layer:
    """Find the layer that `mount` and its kin mean: a container's own, or the named one.

    Raises:
        LayerUnknown: neither is there.
    """
    container = tables.containers.resolve(word)
    if container is None:
        return get_layer(tables, word)
    layer = tables.layers.get(container.layer)
    if layer is None or layer.incomplete:
        raise LayerUnknown(container.layer)
    return layer


def container_of_layer(tables: Tables, layer: str) -> Container | None:
    """The container whose own layer this is."""
    return next((container for container in tables.containers if container.layer == layer), None)


def image_of_layer(tables: Tables, layer: str) -> Image | None:
    """An image that has this layer on top."""
    return next((image for image in tables.images if image.layer == layer), None)


def children_of_layer(tables: Tables, layer: str) -> list[str]:
    """The layers that build directly on this one."""
    return [child.id for child in children(tables.layers, layer)]
