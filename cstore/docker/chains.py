"""Compute the ChainIDs of recorded layers, which are not stored, from the DiffIDs of their chains (docker 15).

A layer has no ChainID if a layer of its chain has no DiffID: a writable layer, or one identified only by a table of
contents. Copies of a layer for other ID maps share its ChainID; the one with the ID that skopeo and Podman would give
it is preferred, then those without a map, then the oldest.
"""

from __future__ import annotations

from cstore.oci.chain import next_chain, next_layer_id
from cstore.records.layers import follow
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cstore.records.model import Layer

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
        return self.layer.id != self.canonical_id, bool(self.layer.id_map), self.layer.created


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


def _link(layer: Layer, below: Link | None) -> Link | None:
    if not layer.diff_digest or ROLE in layer.flags or (layer.parent and below is None):
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
