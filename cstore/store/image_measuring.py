"""Sizes of images: their layers, each counted once, and their data items (semantics 15)."""

from __future__ import annotations

from cstore.errors import CstoreError, LayerMissing
from cstore.idmap import IDENTITY
from cstore.records.layers import end_of, follow
from cstore.records.outlines import sizes
from cstore.store.lookup import get_image, layer_by_id
from cstore.store.reading import Reader
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.records.model import Image, Layer
    from cstore.store.context import Context
    from cstore.store.lookup import Tables


def image_size(context: Context, ref: str) -> int:
    """Return the size of an image in bytes: its layers, measured if they have no recorded size, and its data items.

    Raises:
        ImageUnknown: there is no such image.
        LayerMissing: one of its layers is missing.
        DriverError, SystemFailure: a layer without a recorded size cannot be measured.
    """
    tables = Reader(context)
    image = get_image(tables, ref)
    layers: dict[str, Layer] = {}
    for top in (image.layer, *image.mapped_layers):
        found, problem = follow(lambda each: layer_by_id(tables, each), top, layers)
        end = end_of(found, top)
        if problem and end not in found:  # a more precise error than an unknown size, and found sooner
            raise LayerMissing(end)
        layers.update(found)
    total = sum(image.data_sizes.values())
    for layer in layers.values():
        recorded = layer.known_size
        if recorded is not None:
            total += recorded
            continue
        parent = layer_by_id(tables, layer.parent) if layer.parent else None
        parent_map = IDENTITY if parent is None else parent.id_map
        try:
            total += context.driver.diff_size(layer.id, layer.parent or None, layer.id_map, parent_map)
        except CstoreError as error:
            error.go_text = f'size/digest of layer with ID "{layer.id}" could not be calculated: {error.go_text}'
            raise
    return total


class Outline(Value):
    """The number of an image's layers, and its recorded size in bytes, None if the size of a layer is not recorded."""

    layers: int
    size: int | None


def image_outlines(tables: Tables, images: Iterable[Image]) -> list[Outline]:
    """Return the outlines of many images from their records alone. Reads each layer once per chain, and no tree."""
    parents, known = dict[str, str](), dict[str, int | None]()
    for layers in [*(extra.layers for extra in reversed(tables.additional)), tables.layers]:
        parents.update(layers.columns("id", "parent"))  # the store's own record takes precedence if an ID exists twice
        known.update(sizes(layers))
    found = []
    for image in images:
        total: int | None = sum(image.data_sizes.values())
        seen: set[str] = {""}
        for top in (image.layer, *image.mapped_layers):
            layer = top
            while layer not in seen:
                seen.add(layer)
                size = known.get(layer)
                total = None if total is None or size is None else total + size
                layer = parents.get(layer, "")
        found.append(Outline(len(seen) - 1, total))
    return found
