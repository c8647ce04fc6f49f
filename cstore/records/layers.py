"""The kind of layers, and queries about their parents and flags (store-format 4.1)."""

from __future__ import annotations

from cstore.records.model import Layer
from cstore.records.table import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from cstore.records.table import Table

MISSING = "is missing"
"""How a chain's flaw ends if a layer has no record; where record files are damaged, the layer may only be unknown."""
LAYERS: Kind[Layer] = Kind("layer", Layer)


def follow_ids(parent_of: Callable[[str], str | None], top: str, known: Container[str] = ()) -> tuple[list[str], str]:
    """Follow a chain of layers from `top` down to its base, or to a layer in `known`.

    `parent_of` returns the parent's ID, "" for a base, and None for a layer that is missing.

    Returns:
        The IDs, topmost first; and the flaw of the chain, "" if it is complete: in damaged records, a layer may be
        missing, or the chain may be a cycle.
    """
    found: dict[str, None] = {}
    current, above = top, ""
    while current and current not in known:
        if current in found:
            return [*found], f"layer {current} is its own ancestor"
        parent = parent_of(current)
        if parent is None:
            return [*found], f"layer {current}{f', the parent of layer {above},' if above else ''} {MISSING}"
        found[current] = None
        current, above = parent, current
    return [*found], ""


def follow(find: Callable[[str], Layer | None], top: str, known: Container[str] = ()) -> tuple[dict[str, Layer], str]:
    """Return the records of a chain by ID, topmost first, and its flaw; see `follow_ids`."""
    found: dict[str, Layer] = {}

    def parent_of(layer: str) -> str | None:
        record = find(layer)
        if record is None:
            return None
        found[layer] = record
        return record.parent

    _, problem = follow_ids(parent_of, top, known)
    return found, problem


def end_of(found: dict[str, Layer], top: str) -> str:
    """Return the ID that comes after the last layer that `follow` found: of a layer that is missing, known or repeats.

    "" if that layer is a base.
    """
    return next(reversed(found.values())).parent if found else top


def line(find: Callable[[str], Layer | None], top: str) -> list[str]:
    """Return the IDs of a layer and its ancestors, topmost first. If one of them is missing, its ID is the last."""
    found, _ = follow(find, top)
    end = end_of(found, top)
    return [*found, end] if end and end not in found else list(found)


def incomplete(table: Table[Layer]) -> list[Layer]:
    """Return the layers that are being created or removed, without reading the others."""
    return [layer for layer in table.mentioning("incomplete") if layer.incomplete]


def children(table: Table[Layer], parent: str) -> list[Layer]:
    """Return the layers whose parent is `parent`, an ID, without reading all others."""
    return [layer for layer in table.mentioning(parent) if layer.parent == parent]
