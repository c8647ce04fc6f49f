"""Resolve references to items: by ID, by name, or by unique ID prefix, in one kind or in all three.

A whole ID or a name takes precedence over a prefix, even in another kind or an additional store. So a few digits that
are one item's name never match another item's ID.
"""

from __future__ import annotations

from cstore import errors
from cstore.records.layers import children, follow
from cstore.records.table import Table
from cstore.store.places import ItemKind
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any, Protocol

    from cstore.layout import Layout
    from cstore.records.model import Container, Image, Layer
    from cstore.store.extra_stores import ExtraStore

    Record = Layer | Image | Container
    Way = Callable[[Table[Any], str], Any]
    Finder = Callable[["Tables", str, Way], Any]

    class Tables(Protocol):
        """Any object with the three tables: a reader or a writer."""

        @property
        def layers(self) -> Table[Layer]: ...  # noqa: D102  - the protocol's names say it
        @property
        def images(self) -> Table[Image]: ...  # noqa: D102  - as above
        @property
        def containers(self) -> Table[Container]: ...  # noqa: D102  - as above

        additional: list[ExtraStore]


LAYER_FIRST = (ItemKind.LAYERS, ItemKind.IMAGES, ItemKind.CONTAINERS)
"""The order of `exists`, names and metadata (semantics 4)."""

CONTAINER_FIRST = (ItemKind.CONTAINERS, ItemKind.IMAGES, ItemKind.LAYERS)
"""The order of `delete` (cli 2.1)."""

MOUNT_FIRST = (ItemKind.CONTAINERS, ItemKind.LAYERS, ItemKind.IMAGES)
"""The order of `unmount`: a container's layer before a layer, and a layer before an image."""

WAYS: tuple[Way, ...] = (Table.exact, Table.by_prefix)
"""The ways to look up a reference; the second is tried only if the first fails in all kinds and stores."""


class Item(Value):
    """The kind and ID of an item."""

    item_kind: ItemKind
    id: str

    @property
    def kind(self) -> str:
        """`layer`, `image` or `container`."""
        return self.item_kind.value


def table_of(tables: Tables, item_kind: ItemKind) -> Table[Any]:
    """Return the table of one kind."""
    if item_kind is ItemKind.LAYERS:
        return tables.layers
    return tables.images if item_kind is ItemKind.IMAGES else tables.containers


def find_own_layer(tables: Tables, ref: str) -> Layer | None:
    """Find a complete layer of the store itself."""
    layer: Layer | None = _by_ways(tables, ref, _own_layer)
    return layer


def _by_ways(tables: Tables, ref: str, finder: Finder) -> Any:
    found = (finder(tables, ref, way) for way in WAYS)
    return next((record for record in found if record is not None), None)


def _own_layer(tables: Tables, ref: str, way: Way) -> Layer | None:
    layer: Layer | None = way(tables.layers, ref)
    if layer is None or layer.incomplete:
        return None
    hidden = way is not Table.exact and tables.layers.exact(ref) is not None  # by an incomplete layer
    return None if hidden else layer


def get_own_layer(tables: Tables, ref: str) -> Layer:
    """Find a layer that may be changed.

    Raises:
        LayerUnknown: no layer of the store itself, or more than one, matches `ref`.
        ReadOnlyStore: `ref` matches a layer of an additional store.
    """
    layer = find_own_layer(tables, ref)
    if layer is None:
        raise nowhere(tables, ref, errors.LayerUnknown(ref))
    return layer


def find_layer(tables: Tables, ref: str) -> Layer | None:
    """Find a layer in the store itself, or else in an additional one."""
    layer: Layer | None = _by_ways(tables, ref, _layer)
    return layer


def _layer(tables: Tables, ref: str, way: Way) -> Layer | None:
    own = _own_layer(tables, ref, way)
    if own is not None:
        return own
    found = (way(extra.layers, ref) for extra in tables.additional)
    return next((layer for layer in found if layer is not None), None)


def nowhere(tables: Tables, ref: str, error: errors.UnknownItem) -> errors.UnknownItem | errors.ReadOnlyStore:
    """Return the error for a reference that the store itself lacks; another one if an additional store has it."""
    for extra in tables.additional:
        for noun, table in (("layer", extra.layers), ("image", extra.images)):
            if table.resolve(ref) is not None:
                return error.only_in(extra.layout.graph_root, noun)
    return error


def layer_by_id(tables: Tables, layer: str) -> Layer | None:
    """Find the layer that a record refers to, in the store itself or in an additional one, by its whole ID."""
    own = tables.layers.get(layer)
    if own is not None and not own.incomplete:
        return own
    found = (extra.layers.get(layer) for extra in tables.additional)
    return next((layer for layer in found if layer is not None), None)


def chain_of_layer(tables: Tables, top: str) -> tuple[dict[str, Layer], str]:
    """Return a layer and its ancestors, in any store, and the problem of the chain, if any; see `follow`."""
    return follow(lambda layer: layer_by_id(tables, layer), top)


def get_layer(tables: Tables, ref: str) -> Layer:
    """Find a layer for reading.

    Raises:
        LayerUnknown: no layer, or more than one, matches `ref`.
    """
    layer = find_layer(tables, ref)
    if layer is None:
        raise errors.LayerUnknown(ref)
    return layer


def layout_of_layer(tables: Tables, own: Layout, layer: str) -> Layout:
    """Return the layout with a layer's files: the store's own, or that of the additional store with the layer."""
    if layer in tables.layers:
        return own
    return next((extra.layout for extra in tables.additional if layer in extra.layers), own)


def find_image(tables: Tables, ref: str) -> Image | None:
    """Find an image in the store itself, or else in an additional one.

    An additional store's image is hidden by one of the store's own with the same ID, even if that one lost the name.
    """
    image: Image | None = _by_ways(tables, ref, _image)
    return image


def _own_image(tables: Tables, ref: str, way: Way) -> Image | None:
    image: Image | None = way(tables.images, ref)
    return image


def _image(tables: Tables, ref: str, way: Way) -> Image | None:
    own = _own_image(tables, ref, way)
    if own is not None:
        return own
    found = (way(extra.images, ref) for extra in tables.additional)
    return next((image for image in found if image is not None and image.id not in tables.images), None)


def get_image(tables: Tables, ref: str) -> Image:
    """Find an image for reading.

    Raises:
        ImageUnknown: no image, or more than one, matches `ref`.
    """
    image = find_image(tables, ref)
    if image is None:
        raise errors.ImageUnknown(ref)
    return image


def get_own_image(tables: Tables, ref: str) -> Image:
    """Find an image that may be changed.

    Raises:
        ImageUnknown: no image of the store itself, or more than one, matches `ref`.
        ReadOnlyStore: `ref` matches an image of an additional store.
    """
    image = tables.images.resolve(ref)
    if image is None:
        raise nowhere(tables, ref, errors.ImageUnknown(ref))
    return image


def layout_of_image(tables: Tables, own: Layout, image: str) -> Layout:
    """Return the layout with an image's files: the store's own, or that of the first additional store with it."""
    if image in tables.images:
        return own
    return next((extra.layout for extra in tables.additional if image in extra.images), own)


def get_container(tables: Tables, ref: str) -> Container:
    """Find a container.

    Raises:
        ContainerUnknown: none, or more than one, matches `ref`.
    """
    container = tables.containers.resolve(ref)
    if container is None:
        raise errors.ContainerUnknown(ref)
    return container


def find_item(tables: Tables, ref: str, order: tuple[ItemKind, ...] = LAYER_FIRST) -> Item | None:
    """Find an item of any kind; the first kind in `order` that matches `ref` wins."""
    return _item(_first(tables, ref, order, _READABLE))


def known_exactly(tables: Tables, ref: str, item_kind: ItemKind) -> Any:
    """Return the record of one kind with the ID or name `ref`, or the container with that layer; else None."""
    return _READABLE[item_kind](tables, ref, Table.exact)


def find_record(tables: Tables, ref: str) -> Record | None:
    """Find the record of a layer, image or container for reading."""
    found = _first(tables, ref, LAYER_FIRST, _READABLE)
    return None if found is None else found[1]


def find_own_item(tables: Tables, ref: str, order: tuple[ItemKind, ...] = LAYER_FIRST) -> Item | None:
    """Find an item of any kind that may be changed; the first kind in `order` that matches `ref` wins."""
    return _item(_first(tables, ref, order, _CHANGEABLE))


def find_renamable(tables: Tables, ref: str) -> Item | None:
    """Find an item whose names may be changed: one of the store itself, or an image of an additional store."""
    return _item(_first(tables, ref, LAYER_FIRST, {**_CHANGEABLE, ItemKind.IMAGES: _image}))


def _first(
    tables: Tables, ref: str, order: tuple[ItemKind, ...], finders: dict[ItemKind, Finder]
) -> tuple[ItemKind, Any] | None:
    for way in WAYS:
        for item_kind in order:
            record = finders[item_kind](tables, ref, way)
            if record is not None:
                return item_kind, record
    return None


def _item(found: tuple[ItemKind, Any] | None) -> Item | None:
    return None if found is None else Item(found[0], found[1].id)


_READABLE: dict[ItemKind, Finder] = {
    ItemKind.LAYERS: _layer,
    ItemKind.IMAGES: _image,
    ItemKind.CONTAINERS: lambda tables, ref, way: way(tables.containers, ref),
}
_CHANGEABLE = {**_READABLE, ItemKind.LAYERS: _own_layer, ItemKind.IMAGES: _own_image}


def layer_or_container_layer(tables: Tables, own: Layout, ref: str) -> Layer:
    """Find the layer for `mount` and similar commands: a container's own, or the named one.

    Raises:
        LayerUnknown: there is neither.
        ReadOnlyStore: the layer belongs to an additional store.
    """
    found = _first(tables, ref, (ItemKind.CONTAINERS, ItemKind.LAYERS), _READABLE)
    if found is None:
        raise errors.LayerUnknown(ref)
    item_kind, record = found
    if item_kind is ItemKind.LAYERS:
        layer: Layer = record
        if layer.id not in tables.layers:
            raise errors.ReadOnlyStore("mount layers", layout_of_layer(tables, own, layer.id).graph_root)
        return layer
    container: Container = record
    own_layer = tables.layers.get(container.layer)
    if own_layer is None or own_layer.incomplete:
        raise errors.LayerUnknown(container.layer)
    return own_layer


def container_of_layer(tables: Tables, layer: str) -> Container | None:
    """Return the container that owns this layer; None if there is none."""
    return next((one for one in tables.containers.mentioning(layer) if one.layer == layer), None)


def image_of_layer(tables: Tables, layer: str) -> Image | None:
    """Return an image with this top layer; None if there is none."""
    return next((image for image in tables.images.mentioning(layer) if image.layer == layer), None)


def referenced(tables: Tables, without: Collection[str] = ()) -> set[str]:
    """Return the IDs of all layers that another layer, an image or a container needs, including missing ones.

    The parents of the layers in `without` do not count.
    """
    parents = {parent for layer, parent in tables.layers.columns("id", "parent") if layer not in without}
    tops = {top for image in tables.images for top in (image.layer, *image.mapped_layers)}
    return parents | tops | {container.layer for container in tables.containers}


def chain_of(tables: Tables, layer: Layer) -> list[Layer]:
    """Return a layer and its ancestors, from the top down, in the store itself and in additional ones.

    Raises:
        ParentUnknown: one of them has no record.
    """
    found, problem = follow(lambda each: layer if each == layer.id else layer_by_id(tables, each), layer.id)
    chain = list(found.values())
    if problem:
        raise errors.ParentUnknown(chain[-1].id, chain[-1].parent)
    return chain


def users_of(tables: Tables, layer: str) -> list[Item]:
    """Return the direct users of a layer, by its ID: child layers, images, and the container that owns it."""
    above = [Item(ItemKind.LAYERS, each) for each in children_of_layer(tables, layer)]
    mentions = tables.images.mentioning(layer)
    images = [Item(ItemKind.IMAGES, each.id) for each in mentions if layer in (each.layer, *each.mapped_layers)]
    return [*above, *images, *(Item(ItemKind.CONTAINERS, each.id) for each in tables.containers if each.layer == layer)]


def tree_names(layers: Table[Layer]) -> set[str]:
    """Return the names that the Go tool's vfs driver gives to layer directories: the last part of IDs with slashes."""
    return {identifier.rstrip("/").rpartition("/")[2] for identifier in layers.ids() if "/" in identifier}


def children_of_layer(tables: Tables, layer: str) -> list[str]:
    """Return the IDs of the layers whose parent this is."""
    return [child.id for child in children(tables.layers, layer)]
