"""Which item a word means: by ID, by name, by unique ID prefix; in one kind, or in all three."""

from __future__ import annotations

from cstore.errors import ContainerUnknown, ImageUnknown, LayerUnknown, ReadOnlyStore, UnknownItem
from cstore.records.layers import children
from cstore.store.places import Shelf
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from cstore.layout import Layout
    from cstore.records.model import Container, Image, Layer
    from cstore.records.table import Table
    from cstore.store.extra_stores import ExtraStore

    class Tables(Protocol):
        """Whatever shows the three tables: a reader or a writer."""

        @property
        def layers(self) -> Table[Layer]: ...  # noqa: D102  - the protocol's names say it
        @property
        def images(self) -> Table[Image]: ...  # noqa: D102  - as above
        @property
        def containers(self) -> Table[Container]: ...  # noqa: D102  - as above

        additional: list[ExtraStore]


LAYER_FIRST = (Shelf.LAYERS, Shelf.IMAGES, Shelf.CONTAINERS)
"""The order of `exists`, names and metadata (semantics 4)."""

CONTAINER_FIRST = (Shelf.CONTAINERS, Shelf.IMAGES, Shelf.LAYERS)
"""The order of `delete` (cli 2.1)."""


class Item(Value):
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


def find_own_layer(tables: Tables, word: str) -> Layer | None:
    """Find a layer of the store itself; one that is being made or removed is not there yet, or no longer."""
    layer = tables.layers.resolve(word)
    return None if layer is None or layer.incomplete else layer


def get_own_layer(tables: Tables, word: str) -> Layer:
    """Find a layer that may be changed.

    Raises:
        LayerUnknown: no layer of the store itself, or more than one, answers to `word`.
    """
    layer = find_own_layer(tables, word)
    if layer is None:
        raise LayerUnknown(word)
    return layer


def find_layer(tables: Tables, word: str) -> Layer | None:
    """Find a layer in the store itself, or else in an additional one."""
    own = find_own_layer(tables, word)
    if own is not None:
        return own
    found = (extra.layers.resolve(word) for extra in tables.additional)
    return next((layer for layer in found if layer is not None), None)


def nowhere(tables: Tables, word: str, error: UnknownItem) -> UnknownItem:
    """The error for a word that nothing in the store itself answers to; it says so if an additional store knows it."""
    for extra in tables.additional:
        for noun, table in (("layer", extra.layers), ("image", extra.images)):
            if table.resolve(word) is not None:
                return error.only_in(extra.layout.graph_root, noun)
    return error


def layer_by_id(tables: Tables, layer: str) -> Layer | None:
    """Find the layer that a record refers to, in the store itself or in an additional one: by its whole ID only."""
    own = tables.layers.get(layer)
    if own is not None and not own.incomplete:
        return own
    found = (extra.layers.get(layer) for extra in tables.additional)
    return next((layer for layer in found if layer is not None), None)


def get_layer(tables: Tables, word: str) -> Layer:
    """Find a layer to read.

    Raises:
        LayerUnknown: no layer, or more than one, answers to `word`.
    """
    layer = find_layer(tables, word)
    if layer is None:
        raise LayerUnknown(word)
    return layer


def layout_of_layer(tables: Tables, own: Layout, layer: str) -> Layout:
    """Say where a layer's files are: in the store itself, or in the additional store that knows it."""
    if layer in tables.layers:
        return own
    return next((extra.layout for extra in tables.additional if layer in extra.layers), own)


def find_image(tables: Tables, word: str) -> Image | None:
    """Find an image in the store itself, or else in an additional one.

    An additional store's image is hidden by one of the store's own with the same ID, even if that one lost the name.
    """
    own = tables.images.resolve(word)
    if own is not None:
        return own
    found = (extra.images.resolve(word) for extra in tables.additional)
    return next((image for image in found if image is not None and image.id not in tables.images), None)


def get_image(tables: Tables, word: str) -> Image:
    """Find an image to read.

    Raises:
        ImageUnknown: no image, or more than one, answers to `word`.
    """
    image = find_image(tables, word)
    if image is None:
        raise ImageUnknown(word)
    return image


def get_own_image(tables: Tables, word: str) -> Image:
    """Find an image that may be changed.

    Raises:
        ImageUnknown: no image of the store itself, or more than one, answers to `word`.
    """
    image = tables.images.resolve(word)
    if image is None:
        raise ImageUnknown(word)
    return image


def layout_of_image(tables: Tables, own: Layout, image: str) -> Layout:
    """Say where an image's files are: in the store itself, or in the first additional store that knows it."""
    if image in tables.images:
        return own
    return next((extra.layout for extra in tables.additional if image in extra.images), own)


def get_container(tables: Tables, word: str) -> Container:
    """Find a container.

    Raises:
        ContainerUnknown: none, or more than one, answers to `word`.
    """
    container = tables.containers.resolve(word)
    if container is None:
        raise ContainerUnknown(word)
    return container


def find_item(tables: Tables, word: str, order: tuple[Shelf, ...] = LAYER_FIRST) -> Item | None:
    """Find an item of any kind, the first kind in `order` that knows `word`."""
    for shelf in order:
        record = _FINDERS[shelf](tables, word)
        if record is not None:
            return Item(shelf, record.id)
    return None


def find_record(tables: Tables, word: str) -> Layer | Image | Container | None:
    """Find the record of a layer, image or container to read."""
    for shelf in LAYER_FIRST:
        record = _FINDERS[shelf](tables, word)
        if record is not None:
            return record
    return None


def find_own_item(tables: Tables, word: str, order: tuple[Shelf, ...] = LAYER_FIRST) -> Item | None:
    """Find an item of any kind that may be changed, the first kind in `order` that knows `word`."""
    for shelf in order:
        record = find_own_layer(tables, word) if shelf is Shelf.LAYERS else table_of(tables, shelf).resolve(word)
        if record is not None:
            return Item(shelf, record.id)
    return None


def _find_container(tables: Tables, word: str) -> Container | None:
    return tables.containers.resolve(word)


_FINDERS: dict[Shelf, Callable[[Tables, str], Layer | Image | Container | None]] = {
    Shelf.LAYERS: find_layer,
    Shelf.IMAGES: find_image,
    Shelf.CONTAINERS: _find_container,
}


def layer_or_container_layer(tables: Tables, own: Layout, word: str) -> Layer:
    """Find the layer that `mount` and its kin mean: a container's own, or the named one.

    Raises:
        LayerUnknown: neither is there.
        ReadOnlyStore: the layer belongs to an additional store.
    """
    container = tables.containers.resolve(word)
    if container is None:
        layer = get_layer(tables, word)
        if layer.id not in tables.layers:
            raise ReadOnlyStore("mount layers", layout_of_layer(tables, own, layer.id).graph_root)
        return layer
    own_layer = tables.layers.get(container.layer)
    if own_layer is None or own_layer.incomplete:
        raise LayerUnknown(container.layer)
    return own_layer


def container_of_layer(tables: Tables, layer: str) -> Container | None:
    """The container whose own layer this is."""
    return next((container for container in tables.containers if container.layer == layer), None)


def image_of_layer(tables: Tables, layer: str) -> Image | None:
    """An image that has this layer on top."""
    return next((image for image in tables.images if image.layer == layer), None)


def referenced(tables: Tables) -> set[str]:
    """The IDs of all layers that another layer, an image or a container needs, whether they are there or not."""
    parents = {layer.parent for layer in tables.layers}
    tops = {top for image in tables.images for top in (image.layer, *image.mapped_layers)}
    return parents | tops | {container.layer for container in tables.containers}


def tree_names(layers: Table[Layer]) -> set[str]:
    """The directories of layers that the peer's vfs driver does not call by the whole ID: it takes their last part."""
    return {identifier.rstrip("/").rpartition("/")[2] for identifier in layers.ids() if "/" in identifier}


def children_of_layer(tables: Tables, layer: str) -> list[str]:
    """The layers that build directly on this one."""
    return [child.id for child in children(tables.layers, layer)]
