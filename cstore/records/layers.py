"""Layers (store-format 4.1)."""

from __future__ import annotations

from cstore.records.model import Layer
from cstore.records.table import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from cstore.records.table import Table

LAYERS: Kind[Layer] = Kind("layer", Layer)


def follow(parent_of: Callable[[str], str | None], top: str, known: Container[str] = ()) -> tuple[list[str], str]:
    """A layer and its ancestors, the layer first, down to one that is `known`; and what is wrong with the chain.

    That is "" if it ends where it should: damaged records may lead to a layer that is not there, of which `parent_of`
    says None, or round in a ring.
    """
    found: dict[str, None] = {}
    current, above = top, ""
    while current and current not in known:
        if current in found:
            return [*found], f"layer {current} is its own ancestor"
        parent = parent_of(current)
        if parent is None:
            return [*found], f"layer {current}{f', the parent of layer {above},' if above else ''} is not there"
        found[current] = None
        current, above = parent, current
    return [*found], ""


def incomplete(table: Table[Layer]) -> list[Layer]:
    """List the layers that are being made or removed, without reading the others."""
    return [layer for layer in table.mentioning("incomplete") if layer.incomplete]


def children(table: Table[Layer], parent: str) -> list[Layer]:
    """List the layers that build directly on `parent`, an ID, without reading all others."""
    return [layer for layer in table.mentioning(parent) if layer.parent == parent]
