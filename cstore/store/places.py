"""Where each kind of record lives: its files, its locks, and which of them need not survive a power cut."""

from __future__ import annotations

from enum import Enum

from cstore.records.table import Location
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.layout import Layout


class Shelf(Enum):
    """The three kinds of item, in the order in which their locks are taken."""

    LAYERS = "layer"
    IMAGES = "image"
    CONTAINERS = "container"


class Place(Value):
    """One kind's record files, in load order, and its lock files, in lock order."""

    files: dict[Location, str]
    locks: tuple[str, ...]


def places(layout: Layout) -> dict[Shelf, Place]:
    """Map every kind to its place."""
    return {
        Shelf.LAYERS: _layers(layout),
        Shelf.IMAGES: Place({Location.STABLE: layout.stable_images}, (layout.images_lock,)),
        Shelf.CONTAINERS: Place(
            {Location.STABLE: layout.stable_containers, Location.VOLATILE: layout.volatile_containers},
            (layout.containers_lock,),
        ),
    }


def _layers(layout: Layout) -> Place:
    if not layout.image_store:
        files = {Location.STABLE: layout.stable_layers, Location.VOLATILE: layout.volatile_layers}
        return Place(files, (layout.layers_lock,))
    files = {
        Location.STABLE: layout.stable_layers,
        Location.IMAGE_STORE: layout.image_store_layers,
        Location.VOLATILE: layout.volatile_layers,
    }
    return Place(files, (layout.layers_lock, layout.image_store_layers_lock))
