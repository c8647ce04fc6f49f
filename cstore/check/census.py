"""Everything that is recorded, as it was at one moment; and the driver's own view of its layers."""

from __future__ import annotations

import errno
import os
from functools import cached_property

from cstore.drivers.inspection import open_inspector
from cstore.errors import SystemFailure
from cstore.ids import flaw_of_part
from cstore.records.layers import LAYERS
from cstore.records.table import Location, Table
from cstore.store.context import driver_place
from cstore.store.extra_stores import ExtraStore
from cstore.store.lookup import layout_of_layer
from cstore.store.places import Shelf
from cstore.store.reading import load_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from cstore.drivers.inspection import Inspector
    from cstore.errors import RecordsDamaged
    from cstore.layout import Layout
    from cstore.records.model import Container, Image, Layer
    from cstore.store.context import Context

_ATTEMPTS = 20


class Census:
    """The three tables, read together without a lock, and what the driver lists. Damage is set aside, not raised.

    Attributes:
        additional: the stores that are only read.
        suspect: the kinds whose record files cannot be trusted: what seems to be missing may only be unknown.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.additional = [ExtraStore(place) for place in context.additional]
        self._tables: dict[Shelf, Table[Any]] = _read_together(context)
        for extra in self.additional:
            extra.layers.verify()
            extra.images.verify()
        self.suspect = {shelf for shelf, table in self._tables.items() if table.flaws}

    # ── what a lookup needs ──

    @property
    def layers(self) -> Table[Layer]:
        """The layer records."""
        return self._tables[Shelf.LAYERS]

    @property
    def images(self) -> Table[Image]:
        """The image records."""
        return self._tables[Shelf.IMAGES]

    @property
    def containers(self) -> Table[Container]:
        """The container records."""
        return self._tables[Shelf.CONTAINERS]

    # ── what a check needs ──

    @property
    def layout(self) -> Layout:
        """The paths of the store."""
        return self.context.layout

    @property
    def flaws(self) -> Iterator[tuple[Shelf, RecordsDamaged, bool]]:
        """What is wrong with record files: kind, flaw, and whether it is an additional store's."""
        for shelf, table in self._tables.items():
            yield from ((shelf, flaw, False) for flaw in table.flaws)
        for extra in self.additional:
            for shelf, table in ((Shelf.LAYERS, extra.layers), (Shelf.IMAGES, extra.images)):
                yield from ((shelf, flaw, True) for flaw in table.flaws)

    @cached_property
    def all_layers(self) -> dict[str, tuple[Layer, bool]]:
        """Every layer by ID, and whether it can only be read; the store's own hide others."""
        found = {layer.id: (layer, False) for layer in self.layers}
        for extra in self.additional:
            for layer in extra.layers:
                found.setdefault(layer.id, (layer, True))
        return found

    @cached_property
    def all_images(self) -> dict[str, tuple[Image, bool]]:
        """Every image by ID, likewise."""
        found = {image.id: (image, False) for image in self.images}
        for extra in self.additional:
            for image in extra.images:
                found.setdefault(image.id, (image, True))
        return found

    def chain(self, layer: str) -> list[str]:
        """The IDs of a layer and its ancestors, topmost first, up to one that is unknown (the last) or repeats."""
        found: dict[str, None] = {}
        while layer and layer not in found:
            found[layer] = None
            record, _ = self.all_layers.get(layer, (None, False))
            layer = "" if record is None else record.parent
        return list(found)

    def layout_of(self, layer: str) -> Layout:
        """Where a layer's files are."""
        return layout_of_layer(self, self.layout, layer)

    @cached_property
    def trees(self) -> set[str]:
        """The layers of which the driver has a directory of the store's own."""
        return set(self.context.driver.layers())

    @cached_property
    def transient(self) -> dict[str, Layer]:
        """Layers of volatile containers by ID, also those that a store opened as this one is does not show."""
        places = [self.layout.run_layers, *([self.layout.layers] if self.layout.transient else [])]
        paths = [os.path.join(place, "volatile-layers.json") for place in places]
        tables = [Table.load(LAYERS, {Location.VOLATILE: path}, degraded=True) for path in paths]
        return {layer.id: layer for table in tables for layer in table}

    @cached_property
    def needed_elsewhere(self) -> set[str]:
        """Layers that transient containers need: their own, and the parents of these."""
        return {*self.transient, *(layer.parent for layer in self.transient.values())}

    @cached_property
    def inspector(self) -> Inspector:
        """Who knows what the driver keeps."""
        return open_inspector(self.context.driver, driver_place(self.context))

    def store_of(self, kind: str, name: str) -> Layout | None:
        """The additional store that a layer or an image, or something at a path, belongs to; None if none does."""
        for extra in self.additional:
            table = extra.layers if kind == "layer" else extra.images
            if name.startswith(extra.layout.graph_root + "/") if kind == "store" else name in table:
                return extra.layout
        return None

    def has_tree(self, layer: str) -> bool:
        """Whether the driver can find a layer's directory."""
        return not flaw_of_part(layer) and self.context.driver.exists(layer)


def _read_together(context: Context) -> dict[Shelf, Table[Any]]:
    """Read all kinds such that they belong together.

    Raises:
        SystemFailure: they cannot be read, or do not stop changing.
    """
    for _ in range(_ATTEMPTS):
        tables = {shelf: load_table(context, shelf, degraded=True) for shelf in Shelf}
        for table in tables.values():
            table.verify()
        # Something that is no file is never current; what else may have changed shows when all is read again.
        if all(table.flaws or table.is_current() for table in tables.values()):
            return tables
    graph_root = context.layout.graph_root
    raise SystemFailure("read a steady state of", graph_root, OSError(errno.EAGAIN, ""), hint="try again")
