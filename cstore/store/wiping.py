"""Everything out: containers, images, layers, and what a driver has beside them (semantics 12.6)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.store.places import Shelf
from cstore.store.removal import discard, take_out
from cstore.store.session import writing

if TYPE_CHECKING:
    from cstore.store.context import Context
    from cstore.store.session import Writer


def wipe(context: Context) -> None:
    """Remove every container, image and layer of the store. Additional stores are not touched.

    Raises:
        RecordsDamaged: a record file cannot be trusted; nothing was removed.
    """
    with writing(context, Shelf.LAYERS, Shelf.IMAGES, Shelf.CONTAINERS, graph=True) as writer:
        _wipe_items(writer, Shelf.CONTAINERS, writer.layout.containers)
        _wipe_items(writer, Shelf.IMAGES, writer.layout.images)
        _wipe_layers(writer)


def _wipe_items(writer: Writer, shelf: Shelf, directory: str) -> None:
    table = writer.table(shelf)
    gone = list(table.ids())
    for item in gone:
        table.remove(item)
    writer.save(shelf)
    for item in gone:
        discard(writer, os.path.join(directory, item))
        if shelf is Shelf.CONTAINERS:
            discard(writer, os.path.join(writer.layout.run_containers, item))


def _wipe_layers(writer: Writer) -> None:
    """Flag all layers in one save, so that a crash leaves none of them half; then newest first, out of sight."""
    layers = list(writer.layers)
    with writer.mounts() as mounts:
        for entry in list(mounts):
            writer.driver.unmount(entry.id)
            mounts.drop(entry.id)
    for layer in layers:
        writer.layers.replace(layer.with_(flags={**layer.flags, "incomplete": True}))
    writer.save(Shelf.LAYERS)
    for layer in reversed(layers):
        take_out(writer, layer.id)
    writer.save(Shelf.LAYERS)
    for leftover in writer.driver.layers():
        writer.afterwards(writer.driver.remove(leftover))
