"""Inspect a layer: its whole tree as a tar, the size of its archive's files, and its directories."""

from __future__ import annotations

import os

from cstore import presence
from cstore.store.lookup import get_layer, layout_of_layer
from cstore.store.reading import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.streams import Sink
    from cstore.store.context import Context


def write_tree(context: Context, ref: str, sink: Sink) -> None:
    """Write a layer's whole tree, including all lower layers, as an uncompressed tar.

    Raises:
        LayerUnknown: there is no such layer.
    """
    from cstore.archive.pack import pack_tree
    from cstore.idmap import IDENTITY
    from cstore.store.lookup import container_of_layer
    from cstore.store.maps import map_of_owners
    from cstore.store.mounting import mounted_meanwhile

    tables = Reader(context)
    layer = get_layer(tables, ref)
    id_map = map_of_owners(context, tables, layer)
    if id_map != layer.id_map and container_of_layer(tables, layer.id):
        # The container's changes have other owners on disk than lower layers, unless both are seen in its mount.
        with mounted_meanwhile(context, layer.id) as path:
            pack_tree(path, sink, id_map)
        return
    context.driver.write_diff(layer.id, None, sink, id_map, IDENTITY)


def write_changes(context: Context, ref: str, sink: Sink, against: str = "", *, gone_at: float | None = None) -> None:
    """Write the changes of a layer compared with its parent, or with the layer `against`, as an uncompressed tar.

    The tar is created from the trees, even for an imported layer whose original tar could be rebuilt. `gone_at`: see
    `Driver.write_diff`.

    Raises:
        LayerUnknown: there is no such layer.
    """
    from cstore.idmap import IDENTITY
    from cstore.store.lookup import find_layer
    from cstore.store.maps import map_of_owners

    tables = Reader(context)
    layer = get_layer(tables, ref)
    base = get_layer(tables, against) if against else find_layer(tables, layer.parent) if layer.parent else None
    base_map = IDENTITY if base is None else map_of_owners(context, tables, base)
    layer_map = map_of_owners(context, tables, layer)
    context.driver.write_diff(layer.id, None if base is None else base.id, sink, layer_map, base_map, gone_at=gone_at)


def archive_size(context: Context, ref: str) -> int:
    """Return the bytes in the files of a layer's original archive; without one, those in its changes.

    Docker reports this as the layer's size. It is the same with every driver.

    Raises:
        LayerUnknown: there is no such layer.
        TarSplitDamaged: its tar-split file cannot be read.
    """
    from cstore.archive.tarsplit import FileEntry, read_lines
    from cstore.store.content import diff_size

    tables = Reader(context)
    layer = get_layer(tables, ref)
    tar_split = layout_of_layer(tables, context.layout, layer.id).tar_split(layer.id)
    if not presence.exists(tar_split):
        return diff_size(context, layer.id)
    return sum(line.size for line in read_lines(tar_split) if isinstance(line, FileEntry))


def directories(context: Context, ref: str) -> dict[str, str]:
    """Return the directories of a layer by the names that Docker and Podman use for overlay; none with other drivers.

    Raises:
        LayerUnknown: there is no such layer.
    """
    layer = get_layer(Reader(context), ref)
    if not context.driver_facts.names_directories:
        return {}
    home = context.driver.path_of(layer.id)
    upper, *lowers = context.driver.content_roots(layer.id)
    found = {"LowerDir": ":".join(lowers)} if lowers else {}
    return {
        **found,
        "MergedDir": os.path.join(home, "merged"),
        "UpperDir": upper,
        "WorkDir": os.path.join(home, "work"),
    }
