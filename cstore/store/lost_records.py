"""Distinguishes a store that lost its records from one that never had any, by the data that they described.

In the format, an absent or empty record file has no records. But no program writes an empty file, or removes one. If
the data that it should describe exists, the file is damaged, and that data is not garbage.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.fs import within
from cstore.ids import flaw_of_part
from cstore.records.containers import CONTAINERS
from cstore.records.layers import LAYERS
from cstore.records.table import Location, Table
from cstore.store.places import ItemKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from cstore.layout import Layout
    from cstore.records import model
    from cstore.store.context import Context

TAR_SPLIT = ".tar-split.gz"
_CALLERS_DIRECTORY = "userdata"


def empty_is_damage(context: Context, item_kind: ItemKind, path: str) -> bool:
    """Whether the record file at `path`, which has no bytes, has lost its records."""
    layout = context.layout
    if path in {layout.volatile_layers, layout.volatile_containers}:
        return False
    if item_kind is ItemKind.LAYERS:
        return bool(context.driver.layers()) or _has_lost_trees(context, path, ())
    return any(True for _ in _item_directories(os.path.dirname(path)))


def absence_is_damage(context: Context, item_kind: ItemKind, path: str, known: Container[str]) -> bool:
    """Whether a record file that should be at `path` was there once. `known` are the IDs in other files of its kind.

    A tree alone proves nothing, and neither does a directory that a caller asked for: they are made without a record.
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
    """Whether there is a tree that was imported, and so had a record, which must have been in the file at `path`."""
    layout = context.layout
    home = layout.image_store if layout.image_store and path == layout.image_store_layers else layout.graph_root
    imported = {name.removesuffix(TAR_SPLIT) for name in _names(layout.layers) if name.endswith(TAR_SPLIT)}
    lost = {layer for layer in imported if layer not in known and not flaw_of_part(layer)}
    if not lost:
        return False
    trees = map(context.driver.path_of, lost - transient_layers(layout))
    return any(tree.startswith(home.rstrip("/") + "/") and os.path.isdir(tree) for tree in trees)


def transient_layers(layout: Layout) -> set[str]:
    """Layers in volatile records that this store, opened as it is, does not show: alive all the same."""
    return {
        layer
        for place in _hidden(layout, layout.run_layers, layout.layers)
        for layer in Table.load(LAYERS, {Location.VOLATILE: os.path.join(place, "volatile-layers.json")}).ids()
    }


def transient_containers(layout: Layout) -> set[str]:
    """The IDs of `hidden_containers`."""
    return {container.id for container in hidden_containers(layout)}


def hidden_containers(layout: Layout) -> list[model.Container]:
    """Containers in volatile records that this store, opened as it is, does not show: alive all the same."""
    return [
        container
        for place in _hidden(layout, layout.run_containers, layout.containers)
        for container in Table.load(CONTAINERS, {Location.VOLATILE: os.path.join(place, "volatile-containers.json")})
    ]


def _hidden(layout: Layout, transient: str, ordinary: str) -> tuple[str, ...]:
    """Where volatile records are looked for: a transient store does not show those in the graph root."""
    return (transient, ordinary) if layout.transient else (transient,)


def _item_directories(directory: str) -> Iterator[str]:
    paths = (os.path.join(directory, name) for name in _names(directory))
    return (path for path in paths if os.path.isdir(path) and not os.path.islink(path))


def _names(directory: str) -> list[str]:
    try:
        return within.listdir(directory)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise errors.SystemFailure("read", directory, error) from None
