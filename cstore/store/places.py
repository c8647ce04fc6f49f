"""Where each kind of record lives: its files, its locks, and which of them need not survive a power cut."""

from __future__ import annotations

import os

from cstore.records.table import Location
from cstore.values import Choice, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.layout import Layout


REPLACING = ".replacing."
"""The suffixes of the files that exist while a layer's contents are being replaced."""


class ItemKind(Choice):
    """The three kinds of item, in the order in which their locks are taken."""

    LAYERS = "layer"
    IMAGES = "image"
    CONTAINERS = "container"


def kind_of(item_kind: ItemKind) -> Any:
    """The facts that a table needs about a kind of record."""
    if item_kind is ItemKind.LAYERS:
        from cstore.records.layers import LAYERS

        return LAYERS
    if item_kind is ItemKind.IMAGES:
        from cstore.records.images import IMAGES

        return IMAGES
    from cstore.records.containers import CONTAINERS

    return CONTAINERS


class Place(Value):
    """One kind's record files, in load order, and its lock files, in lock order."""

    files: dict[Location, str]
    locks: tuple[str, ...]


def places(layout: Layout) -> dict[ItemKind, Place]:
    """Map every kind to its place."""
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
    """The file that is there while a data item of a kind is being changed; see `store.item_journal`."""
    directories = {
        ItemKind.LAYERS: layout.layers,
        ItemKind.IMAGES: layout.images,
        ItemKind.CONTAINERS: layout.containers,
    }
    return os.path.join(directories[item_kind], "item.json")


def volatile_location(layout: Layout, item_kind: ItemKind) -> Location:
    """Where a new volatile record of a kind goes: to the volatile file if there is one, else to the stable one.

    The Go tools know the volatile file from 1.45 on. An older one would not see what is recorded there, and would take
    the image from under a container; where the file is, none that old can be at work. A transient store has it always.
    """
    path = layout.volatile_layers if item_kind is ItemKind.LAYERS else layout.volatile_containers
    return Location.VOLATILE if layout.transient or os.path.isfile(path) else Location.STABLE


def is_made(layout: Layout) -> bool:
    """Whether there is a store. What only looks for something to change, or to remove, need not make one."""
    return any(map(_may_be_there, (layout.driver_home, layout.layers, layout.images, layout.containers)))


def _may_be_there(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # the next access reports why
    return True
