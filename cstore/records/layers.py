"""The kind of layers, and queries about their parents and flags (store-format 4.1)."""

from __future__ import annotations

from cstore.records.model import Layer
from cstore.records.table import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from cstore.records.table import Table

LAYERS: Kind[Layer] = Kind("layer", Layer)


def follow(find: Callable[[str], Layer | None], top: str, known: Container[str] = ()) -> tuple[dict[str, Layer], str]:
    """Return a layer and its ancestors by ID, the layer first, down to one in `known`; and a flaw of the chain.

    The flaw is "" if the chain is complete: in damaged records, a layer may be missing, or the chain may be a cycle.
    """
    found: dict[str, Layer] = {}
    current, above = top, ""
    while current and current not in known:
        if current in found:
            return found, f"layer {current} is its own ancestor"
        layer = find(current)
        if layer is None:
            return found, f"layer {current}{f', the parent of layer {above},' if above else ''} is missing"
        found[current] = layer
        current, above = layer.parent, current
    return found, ""


def incomplete(table: Table[Layer]) -> list[Layer]:
    """Return the layers that are being created or removed, without reading the others."""
    return [layer for layer in table.mentioning("incomplete") if layer.incomplete]


def children(table: Table[Layer], parent: str) -> list[Layer]:
    """Return the layers whose parent is `parent`, an ID, without reading all others."""
    return [layer for layer in table.mentioning(parent) if layer.parent == parent]
