"""Layers (store-format 4.1)."""

from __future__ import annotations

from cstore.records.model import Layer
from cstore.records.table import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.records.table import Table

LAYERS: Kind[Layer] = Kind("layer", Layer)


def incomplete(table: Table[Layer]) -> list[Layer]:
    """List the layers that are being made or removed, without reading the others."""
    return [layer for layer in table.mentioning("incomplete") if layer.incomplete]


def children(table: Table[Layer], parent: str) -> list[Layer]:
    """List the layers that build directly on `parent`, an ID, without reading all others."""
    return [layer for layer in table.mentioning(parent) if layer.parent == parent]
