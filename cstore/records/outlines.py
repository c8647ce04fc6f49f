"""Outlines of layers: the fields that lists and sums of very many layers need, without decoding whole records."""

from __future__ import annotations

from cstore.records.model import known_size, to_id_map
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from cstore.idmap import IDMap
    from cstore.records.model import IDMapEntry, Layer
    from cstore.records.table import Table


class LayerOutline(NamedTuple):
    """The fields of a layer's record that lists and sums need, with the same names; see `Layer`."""

    id: str
    names: tuple[str, ...]
    parent: str
    created: str
    diff_digest: str
    diff_size: int
    flags: Mapping[str, Any]
    uid_map: tuple[IDMapEntry, ...]
    gid_map: tuple[IDMapEntry, ...]

    @property
    def known_size(self) -> int | None:
        """See `Layer.known_size`."""
        return known_size(self.diff_digest, self.diff_size)

    @property
    def id_map(self) -> IDMap:
        """See `Layer.id_map`."""
        return to_id_map(self.uid_map, self.gid_map)

    @property
    def incomplete(self) -> bool:
        """See `Layer.incomplete`."""
        return self.flags.get("incomplete") is True


def outlines(table: Table[Layer]) -> Iterator[LayerOutline]:
    """Iterate over the outlines of all layers, in load order."""
    return map(LayerOutline._make, table.columns(*LayerOutline._fields))


def sizes(table: Table[Layer]) -> Iterator[tuple[str, int | None]]:
    """Iterate over the IDs of all layers and their sizes; see `Layer.known_size`."""
    columns = table.columns("id", "diff_digest", "diff_size")
    return ((layer, known_size(digest, size)) for layer, digest, size in columns)
