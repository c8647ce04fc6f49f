"""Distinguish a store that lost records from one that never had any, by the data that the records described.

In the format, a missing or empty record file holds no records. But no program writes an empty one or removes one. If
the data that it should describe exists, it is damaged, and that data is no garbage.
"""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.fs import within
from cstore.records.table import Location, Table
from cstore.store.places import ItemKind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from cstore.layout import Layout
    from cstore.records import model
    from cstore.store.context import Context

TAR_SPLIT = ".tar-split.gz"
_CALLERS_DIRECTORY = "userdata"


def empty_is_damage(context: Context, item_kind: ItemKind, path: str) -> bool:
    """Return whether the empty record file at `path` has lost its records."""
    layout = context.layout
    if path in {layout.volatile_layers, layout.volatile_containers}:
        return False
    if item_kind is ItemKind.LAYERS:
        return bool(context.driver.layers()) or _has_lost_trees(context, path, ())
    return any(True for _ in _item_directories(os.path.dirname(path)))


def absence_is_damage(context: Context, item_kind: ItemKind, path: str, known: Container[str]) -> bool:
    """Return whether a missing record file at `path` existed once. `known` are the IDs in other files of its kind.

    Trees and directories that a caller requested prove nothing, because they can be created without a record.
    """
    layout = context.layout
    if path in {layout.volatile_layers, layout.volatile_containers}:
        return False
    if item_kind is ItemKind.LAYERS:
        return _has_lost_trees(context, path, known)
    lost = (item for item in _item_directories(os.path.dirname(path)) if os.path.basename(item) not in known)
    if item_kind is ItemKind.CONTAINERS:
        transient = transient_containers(layout)
        return any(_names(item) for item in lost if os.path.basename(item) not in transient)
    return any(set(_names(item)) - {_CALLERS_DIRECTORY} for item in lost)


def _has_lost_trees(context: Context, path: str, known: Container[str]) -> bool:
    """Return whether there is an imported tree, whose record must have been in the file at `path`."""
    layout = context.layout
    home = layout.image_store if layout.image_store and path == layout.image_store_layers else layout.graph_root
    imported = {name.removesuffix(TAR_SPLIT) for name in _names(layout.layers) if name.endswith(TAR_SPLIT)}
    unrecorded = {layer for layer in imported if layer not in known}
    if not unrecorded:
        return False
    from cstore.ids import flaw_of_part

    lost = {layer for layer in unrecorded if not flaw_of_part(layer)}
    if not lost:
        return False
    trees = map(context.driver.path_of, lost - transient_layers(layout))
    return any(tree.startswith(home.rstrip("/") + "/") and presence.is_directory(tree) for tree in trees)


def transient_layers(layout: Layout) -> set[str]:
    """Return layers in volatile records that this store does not show as it is opened, but that are in use."""
    return {
        layer
        for place in _hidden(layout, layout.run_layers, layout.layers)
        for layer in Table.load(
            kind_of(ItemKind.LAYERS), {Location.VOLATILE: os.path.join(place, "volatile-layers.json")}
        ).ids()
    }


def transient_containers(layout: Layout) -> set[str]:
    """Return the IDs of `hidden_containers`."""
    return {container.id for container in hidden_containers(layout)}


def hidden_containers(layout: Layout) -> list[model.Container]:
    """Return containers in volatile records that this store does not show as it is opened, but that are in use."""
    return [
        container
        for place in _hidden(layout, layout.run_containers, layout.containers)
        for container in Table.load(
            kind_of(ItemKind.CONTAINERS), {Location.VOLATILE: os.path.join(place, "volatile-containers.json")}
        )
    ]


def _hidden(layout: Layout, transient: str, ordinary: str) -> tuple[str, ...]:
    """Return the directories of hidden volatile records: a transient store does not show those in the graph root."""
    return (transient, ordinary) if layout.transient else (transient,)


def _item_directories(directory: str) -> Iterator[str]:
    paths = (os.path.join(directory, name) for name in _names(directory))
    return (path for path in paths if presence.is_directory(path, follow=False))


def _names(directory: str) -> list[str]:
    try:
        return within.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise errors.SystemFailure("read", directory, error) from None
