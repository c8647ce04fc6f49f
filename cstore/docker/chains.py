"""ChainIDs of recorded layers. They are computed, not stored: from a layer's DiffID and those below it (docker 15).

A layer has none if one of its chain has no DiffID: a writable layer, or one that is known by a table of contents only.
Copies of a layer for other ID maps share its ChainID; the one with the ID that skopeo and Podman would give is
preferred, then those without a map, then the oldest.
"""

from __future__ import annotations

from cstore.oci.chain import next_chain, next_layer_id
from cstore.records.layers import follow
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cstore.records.model import Layer

ROLE = "cstore.docker"
"""The flag in a layer record that says that Docker's rules for writable layers apply to it."""
WRITABLE, INIT = "writable", "init"


class Link(Value):
    """A layer and what names it together with all below it.

    Attributes:
        chain_id: its ChainID.
        canonical_id: the ID that skopeo and Podman would give it.
        depth: how many layers the chain has, this one included.
        layer: its record.
    """

    chain_id: str
    canonical_id: str
    depth: int
    layer: Layer

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """Sort key: of several layers with the same ChainID, the preferred one sorts first."""
        return self.layer.id != self.canonical_id, bool(self.layer.id_map), self.layer.created


def index(known: Iterable[Link]) -> dict[str, Link]:
    """Find the preferred layer for every ChainID there is."""
    found: dict[str, Link] = {}
    for link in known:
        other = found.get(link.chain_id)
        if other is None or link.rank < other.rank:
            found[link.chain_id] = link
    return found


def links(layers: Iterable[Layer]) -> dict[str, Link]:
    """Compute the links of all layers that have a ChainID, by their IDs."""
    by_id = {layer.id: layer for layer in layers}
    done: dict[str, Link | None] = {}
    for layer in by_id.values():
        _resolve(layer, by_id, done)
    return {layer: link for layer, link in done.items() if link is not None}


def _resolve(layer: Layer, by_id: Mapping[str, Layer], done: dict[str, Link | None]) -> None:
    """Go down to what is known, then up again. In a ring, or above a missing parent, no layer gets a link."""
    found, _ = follow(by_id.get, layer.id, done)
    for each in reversed(found.values()):
        done[each.id] = _link(each, done.get(each.parent))


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
