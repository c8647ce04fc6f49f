"""Compute the ChainIDs of recorded layers, which are not stored, from the DiffIDs of their chains (docker 15).

A layer has no ChainID if a layer of its chain has no DiffID: a writable layer, or one identified only by a table of
contents. Copies of a layer for other ID maps share its ChainID; the one with the ID that skopeo and Podman would give
it is preferred, then those without a map, then the oldest.
"""

from __future__ import annotations

from cstore.oci.chain import next_chain, next_layer_id
from cstore.records.layers import follow, follow_ids
from cstore.tuples import NamedTuple
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.records.model import Layer
    from cstore.records.outlines import LayerOutline

ROLE = "cstore.docker"
"""The flag in the records of layers to which Docker's rules for writable layers apply."""
WRITABLE, INIT = "writable", "init"


class Link(Value):
    """A layer with the IDs of its chain.

    Attributes:
        chain_id: its ChainID.
        canonical_id: the ID that skopeo and Podman would give it.
        depth: the number of layers in the chain, including this one.
        layer: its record.
    """

    chain_id: str
    canonical_id: str
    depth: int
    layer: Layer

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """The sort key among layers with the same ChainID, smallest for the preferred one."""
        return _rank(self.layer, self.canonical_id)


def _rank(layer: Layer | LayerOutline, canonical_id: str) -> tuple[bool, bool, str]:
    return layer.id != canonical_id, bool(layer.id_map), layer.created


def index(known: Iterable[Link]) -> dict[str, Link]:
    """Return the preferred layer for every ChainID."""
    found: dict[str, Link] = {}
    for link in known:
        other = found.get(link.chain_id)
        if other is None or link.rank < other.rank:
            found[link.chain_id] = link
    return found


def links(layers: Iterable[Layer]) -> dict[str, Link]:
    """Return the links of all layers that have a ChainID, by layer ID."""
    by_id = {layer.id: layer for layer in layers}
    done: dict[str, Link | None] = {}
    for layer in by_id.values():
        found, _ = follow(by_id.get, layer.id, done)
        for each in reversed(found.values()):  # base first; in a cycle, or above a missing parent, there is no link
            done[each.id] = _link(each, done.get(each.parent))
    return {layer: link for layer, link in done.items() if link is not None}


def _has_chain(layer: Layer | LayerOutline, below: Link | ChainOutline | None) -> bool:
    """Return whether a layer has a ChainID; `below` is what is known of its parent, None if that has none."""
    return bool(layer.diff_digest) and ROLE not in layer.flags and not (layer.parent and below is None)


def _link(layer: Layer, below: Link | None) -> Link | None:
    if not _has_chain(layer, below):
        return None
    if below is None:
        canonical_id = next_layer_id("", layer.diff_digest)
        return Link(chain_id=layer.diff_digest, canonical_id=canonical_id, depth=1, layer=layer)
    return Link(
        chain_id=next_chain(below.chain_id, layer.diff_digest),
        canonical_id=next_layer_id(below.canonical_id, layer.diff_digest),
        depth=below.depth + 1,
        layer=layer,
    )


class ChainOutline(NamedTuple):
    """A layer with a ChainID, in short: as `ReadOnlyLayer`, but with nothing that must be looked up."""

    chain_id: str
    diff_id: str
    layer: str
    depth: int
    parent: ChainOutline | None


def chain_outlines(layers: Iterable[LayerOutline]) -> list[ChainOutline]:
    """Return the layers that `index` prefers, in its order, in a third of the time and memory for very many."""
    by_id = {layer.id: layer for layer in layers}
    done: dict[str, ChainOutline | None] = {"": None}
    uncanonical: dict[str, str] = {}  # the canonical IDs of layers with another ID
    preferred: dict[str, ChainOutline] = {}

    def rank(layer: LayerOutline) -> tuple[bool, bool, str]:
        return _rank(layer, uncanonical.get(layer.id, layer.id))

    for top in by_id.values():
        line = [top.id]
        if top.parent not in done:  # records list parents first, as a rule
            line, _ = follow_ids(lambda each: by_id[each].parent if each in by_id else None, top.id, done)
        for layer in [by_id[each] for each in reversed(line) if each not in done]:
            below, diff_id = done.get(layer.parent), layer.diff_digest
            if not _has_chain(layer, below):
                done[layer.id] = None
                continue
            chain = next_chain(below.chain_id if below else "", diff_id)
            canonical = next_layer_id(uncanonical.get(layer.parent, layer.parent), diff_id)
            if canonical != layer.id:
                uncanonical[layer.id] = canonical
            found = ChainOutline(chain, diff_id, layer.id, below.depth + 1 if below else 1, below)
            done[layer.id] = found
            other = preferred.get(chain)
            if other is None or rank(layer) < rank(by_id[other.layer]):
                preferred[chain] = found
    return list(preferred.values())
