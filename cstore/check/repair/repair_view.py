"""The store as the planners of a repair see it: its records, the remaining evidence, and the sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cstore.check.repair.family import find_parent
from cstore.check.repair.heal_record_files import Rebuilding
from cstore.check.repair.layer_records import LayerRecords
from cstore.check.repair.survivors import Survivors
from cstore.check.snapshot import StoreSnapshot
from cstore.values import cached_property

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cstore.archive.dialects.layout import Archive
    from cstore.check.repair.plan import Step
    from cstore.check.repair.sources import Sources
    from cstore.records.model import Container
    from cstore.store.context import Context


class RepairView:
    """One store at one moment.

    Attributes:
        context: the store.
        sources: the sources of lost data.
        names: names for images, by ID prefix, as given by the user.
        remove: whether to move into quarantine what cannot be repaired.
        search_time: seconds to search for the archive of a layer whose tar-split is lost.
        searched: results of these searches by layer and digest, which all rounds of a repair share.
    """

    def __init__(
        self,
        context: Context,
        sources: Sources,
        names: Mapping[str, Sequence[str]],
        *,
        remove: bool = False,
        search_time: float = 0.0,
        searched: dict[tuple[str, str], Archive | None] | None = None,
    ) -> None:
        self.context, self.sources, self.names, self.remove = context, sources, names, remove
        self.search_time = search_time
        self.searched = {} if searched is None else searched
        self.remakes: dict[str, Step | str] = {}
        """For each layer to rebuild: the step, or the reason why it cannot be rebuilt."""
        self._parents: dict[str, str | None] = {}

    @cached_property
    def snapshot(self) -> StoreSnapshot:
        """All records."""
        return StoreSnapshot(self.context)

    @cached_property
    def survivors(self) -> Survivors:
        """The remaining evidence."""
        return Survivors(self.snapshot)

    @cached_property
    def rebuilding(self) -> Rebuilding:
        """The lost records that can be rebuilt."""
        return Rebuilding(self.survivors, self.names)

    def true_parent(self, layer: str) -> str | None:
        """Return a layer's parent from evidence other than its record; None if there is none."""
        if layer not in self._parents:
            containers: dict[str, Container | None] = {one.layer: one for one in self.snapshot.containers}
            self._parents[layer] = find_parent(self.survivors, layer, containers)
        return self._parents[layer]

    def contents(self, layer: str) -> dict[str, Any]:
        """Return the record fields that describe a layer's archive, from the evidence in the store."""
        return LayerRecords(self.survivors, {}).contents_of(layer)
