"""The record files and lock files of each kind, and the locations of volatile records."""

from __future__ import annotations

import os

from cstore import presence
from cstore.records.table import Location
from cstore.values import Choice, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.layout import Layout


REPLACING = ".replacing."
"""The text after a layer's ID in the names of files that exist while its contents are replaced."""


class ItemKind(Choice):
    """The three kinds of items, in the order of their locks."""

    LAYERS = "layer"
    IMAGES = "image"
    CONTAINERS = "container"


def kind_of(item_kind: ItemKind) -> Any:
    """Return what a table must know about a kind of record."""
    if item_kind is ItemKind.LAYERS:
        from cstore.records.layers import LAYERS

        return LAYERS
    if item_kind is ItemKind.IMAGES:
        from cstore.records.images import IMAGES

        return IMAGES
    from cstore.records.containers import CONTAINERS

    return CONTAINERS


class Place(Value):
    """The record files of one kind, in load order, and its lock files, in lock order."""

    files: dict[Location, str]
    locks: tuple[str, ...]


def places(layout: Layout) -> dict[ItemKind, Place]:
    """Return the place of each kind."""
    layers, layer_locks = {Location.STABLE: layout.stable_layers}, [layout.layers_lock]
    if layout.image_store:
        layers[Location.IMAGE_STORE] = layout.image_store_layers
        layer_locks.append(layout.image_store_layers_lock)
    layers[Location.VOLATILE] = layout.volatile_layers
    return {
        ItemKind.LAYERS: Place(layers, tuple(layer_locks)),
        ItemKind.IMAGES: Place({Location.STABLE: layout.stable_images}, (layout.images_lock,)),
        ItemKind.CONTAINERS: Place(
            {Location.STABLE: layout.stable_containers, Location.VOLATILE: layout.volatile_containers},
            (layout.containers_lock,),
        ),
    }


def item_journal(layout: Layout, item_kind: ItemKind) -> str:
    """Return the path of a kind's journal for changes of data items; see `store.item_journal`."""
    directories = {
        ItemKind.LAYERS: layout.layers,
        ItemKind.IMAGES: layout.images,
        ItemKind.CONTAINERS: layout.containers,
    }
    return os.path.join(directories[item_kind], "item.json")


def volatile_location(layout: Layout, item_kind: ItemKind) -> Location:
    """Return the location for a new volatile record: the volatile file if it exists, else the stable one.

    The Go tools read the volatile file since 1.45. Older ones would ignore its records and could delete the image of a
    container. If the file exists, no tool that old uses the store. A transient store always has the file.
    """
    path = layout.volatile_layers if item_kind is ItemKind.LAYERS else layout.volatile_containers
    return Location.VOLATILE if layout.transient or presence.is_file(path) else Location.STABLE


def is_made(layout: Layout) -> bool:
    """Return whether a store exists. Operations that only change or remove items need not create one."""
    for path in (layout.driver_home, layout.layers, layout.images, layout.containers):
        try:
            os.lstat(path)
        except FileNotFoundError:
            continue
        except OSError:
            return True  # the next step reports the error
        return True
    return False
