"""Reading the records: without a lock, and without a trace.

Record files are only ever replaced by rename, so a reader that finds every file unchanged after reading all of them has
seen one consistent moment; it neither waits for writers nor leaves a trace.
"""

from __future__ import annotations

from cstore.errors import RecordsDamaged
from cstore.records.table import Table
from cstore.store.extra_stores import ExtraStore
from cstore.store.kinds import KINDS
from cstore.store.places import Shelf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.records.model import Container, Image, Layer
    from cstore.records.mounts import MountTable
    from cstore.store.context import Context


class Reader:
    """The records as they are, re-read when a file was replaced.

    Damage is raised when something needs the damaged part; of a store that was opened degraded, it is set aside in
    `flaws`. All readers of a store share what they have read, and so the flaws.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tables = context.tables
        context.extras = context.extras or [
            ExtraStore(place, degraded=context.degraded) for place in context.additional
        ]
        self.additional = context.extras

    @property
    def layers(self) -> Table[Layer]:
        """The layer records."""
        return self._table(Shelf.LAYERS)

    @property
    def images(self) -> Table[Image]:
        """The image records."""
        return self._table(Shelf.IMAGES)

    @property
    def containers(self) -> Table[Container]:
        """The container records."""
        return self._table(Shelf.CONTAINERS)

    @property
    def flaws(self) -> list[RecordsDamaged]:
        """What could not be read of the tables that were asked for."""
        own = [flaw for table in self._tables.values() for flaw in table.flaws]
        return own + [flaw for store in self.additional for flaw in store.flaws]

    def mounts(self) -> MountTable:
        """The mount counts; of a store that was opened degraded none if their file cannot be trusted."""
        from cstore.records.mounts import MountTable

        layout = self._context.layout
        path = layout.mountpoints
        try:
            return MountTable.load(path, layout.roots)
        except RecordsDamaged:
            if not self._context.degraded:
                raise
            return MountTable(path)

    def _table(self, shelf: Shelf) -> Table[Any]:
        table = self._tables.get(shelf)
        if table is None or not table.is_current():
            table = load_table(self._context, shelf, degraded=self._context.degraded)
            self._tables[shelf] = table
        return table


def load_table(context: Context, shelf: Shelf, *, degraded: bool) -> Table[Any]:
    """Read one kind's records, consistently and without a lock."""
    from cstore.store.evidence import absence_is_damage, empty_is_damage

    return Table.load(
        KINDS[shelf],
        context.places[shelf].files,
        empty_is_damage=lambda path: empty_is_damage(context, shelf, path),
        absence_is_damage=lambda path, known: absence_is_damage(context, shelf, path, known),
        degraded=degraded,
    )
