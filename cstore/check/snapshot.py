"""All records of a store at one moment, with the driver's view of its layers."""

from __future__ import annotations

import os

from cstore.drivers.inspection import open_inspector
from cstore.ids import flaw_of_part
from cstore.records.layers import LAYERS, line
from cstore.records.table import Location, Table
from cstore.store.lookup import layout_of_layer
from cstore.store.reading import Snapshot
from cstore.values import cached_property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.drivers.inspection import Inspector
    from cstore.layout import Layout
    from cstore.records.model import Image, Layer


class StoreSnapshot(Snapshot):
    """All records and trees of a store at one moment. Damage is noted, not raised."""

    @property
    def layout(self) -> Layout:
        """The paths of the store."""
        return self.context.layout

    @cached_property
    def all_layers(self) -> dict[str, tuple[Layer, bool]]:
        """Every layer by ID, with whether it is read-only; the store's own layers take precedence."""
        found = {layer.id: (layer, False) for layer in self.layers}
        for extra in self.additional:
            for layer in extra.layers:
                found.setdefault(layer.id, (layer, True))
        return found

    @cached_property
    def all_images(self) -> dict[str, tuple[Image, bool]]:
        """Every image by ID, and whether it is read-only; the store's own hide others."""
        found = {image.id: (image, False) for image in self.images}
        for extra in self.additional:
            for image in extra.images:
                found.setdefault(image.id, (image, True))
        return found

    def chain(self, layer: str) -> list[str]:
        """Return the IDs of a layer and its ancestors, in any store; see `records.layers.line`."""
        every = self.all_layers
        return line(lambda each: every[each][0] if each in every else None, layer)

    def layout_of(self, layer: str) -> Layout:
        """Return the layout of the store that has a layer."""
        return layout_of_layer(self, self.layout, layer)

    @cached_property
    def trees(self) -> set[str]:
        """The layers that have a directory in the store itself."""
        return set(self.context.driver.layers())

    @cached_property
    def transient(self) -> dict[str, Layer]:
        """The layers of transient containers by ID, even if the store is not opened as a transient one."""
        places = [self.layout.run_layers, *([self.layout.layers] if self.layout.transient else [])]
        paths = [os.path.join(place, "volatile-layers.json") for place in places]
        tables = [Table.load(LAYERS, {Location.VOLATILE: path}, degraded=True) for path in paths]
        return {layer.id: layer for table in tables for layer in table}

    @cached_property
    def needed_elsewhere(self) -> set[str]:
        """The layers that transient containers need: their own, and the parents of these."""
        return {*self.transient, *(layer.parent for layer in self.transient.values())}

    @cached_property
    def inspector(self) -> Inspector:
        """The inspector of the driver's own files."""
        return open_inspector(self.context.driver, self.context.driver_place)

    def store_of(self, kind: str, name: str) -> Layout | None:
        """Return the additional store that has a layer, an image or a path; None if none has it."""
        for extra in self.additional:
            table = extra.layers if kind == "layer" else extra.images
            if name.startswith(extra.layout.graph_root + "/") if kind == "store" else name in table:
                return extra.layout
        return None

    def has_tree(self, layer: str) -> bool:
        """Return whether the driver finds a layer's directory."""
        return not flaw_of_part(layer) and self.context.driver.exists(layer)
