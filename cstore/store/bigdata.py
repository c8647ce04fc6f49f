"""Data items attached to layers: listed in the record, kept in files beside it (semantics 10)."""

from __future__ import annotations

import os
from contextlib import suppress

from cstore.errors import DataItemUnknown, InvalidDataName, LayerUnknown
from cstore.records.bigdata import read_item, write_item
from cstore.store.lookup import get_layer, get_own_layer, layout_of_layer
from cstore.store.places import Shelf
from cstore.store.reading import Reader
from cstore.store.session import is_made, writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.store.context import Context


def layer_data_names(context: Context, word: str) -> tuple[str, ...]:
    """List the data items of a layer, in the order in which they were first set."""
    return get_layer(Reader(context), word).data_names


def get_layer_data(context: Context, word: str, key: str) -> bytes:
    """Return a data item of a layer.

    Raises:
        LayerUnknown: there is no such layer.
        DataItemUnknown: the layer has no such item.
    """
    tables = Reader(context)
    layer = get_layer(tables, word)
    if not key:
        raise DataItemUnknown("layer", layer.id, key)
    try:
        return read_item(layout_of_layer(tables, context.layout, layer.id).layer_data(layer.id), key)
    except FileNotFoundError:
        raise DataItemUnknown("layer", layer.id, key) from None


def set_layer_data(context: Context, word: str, key: str, data: bytes) -> None:
    """Set a data item of a layer: the file first, then the record, if the item is new.

    Raises:
        LayerUnknown: there is no such layer.
        InvalidDataName: no file name can be made from `key`.
    """
    if not key:
        raise InvalidDataName("layer", key)
    if not is_made(context.layout):
        raise LayerUnknown(word)
    with writing(context, Shelf.LAYERS) as writer:
        layer = get_own_layer(writer, word)
        _write(context.layout.layer_data(layer.id), key, data, sync=context.sync)
        if key not in layer.data_names:
            writer.layers.replace(layer.with_(data_names=(*layer.data_names, key)))
            writer.save(Shelf.LAYERS)


def _write(directory: str, key: str, data: bytes, *, sync: bool) -> None:
    """Write the item; a directory that was made for it and stayed empty goes again."""
    try:
        write_item(directory, key, data, sync=sync)
    except BaseException:
        with suppress(OSError):
            os.rmdir(directory)
        raise
