"""Read the records without a lock and without a trace.

Record files are only replaced by rename. So a reader that finds all files unchanged after reading them has seen one
consistent moment, without waiting for writers.
"""

from __future__ import annotations

import errno

from cstore import errors
from cstore.records.table import Location, Table
from cstore.store.places import ItemKind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterator
    from typing import Any

    from cstore.records import model
    from cstore.records.model import Image, Layer
    from cstore.records.mounts import MountTable
    from cstore.store.context import Context


_ATTEMPTS = 20


class Reader:
    """The current records, read again after a file was replaced.

    Damage is raised when the damaged part is needed; if the store was opened degraded, it is noted in `flaws` instead.
    All readers of a store share the tables, and so the flaws.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._tables = context.tables
        if context.additional and not context.extras:
            from cstore.store.extra_stores import ExtraStore

            context.extras = [ExtraStore(place, degraded=context.degraded) for place in context.additional]
        self.additional = context.extras

    @property
    def layers(self) -> Table[Layer]:
        """The layer records."""
        return self._table(ItemKind.LAYERS)

    @property
    def images(self) -> Table[Image]:
        """The image records."""
        return self._table(ItemKind.IMAGES)

    @property
    def containers(self) -> Table[model.Container]:
        """The container records."""
        return self._table(ItemKind.CONTAINERS)

    @property
    def flaws(self) -> list[errors.RecordsDamaged]:
        """The damage in the tables that were read."""
        own = [flaw for table in self._tables.values() for flaw in table.flaws]
        return own + [flaw for store in self.additional for flaw in store.flaws]

    def mounts(self) -> MountTable:
        """Return the mount counts; none if their file is damaged and the store was opened degraded."""
        from cstore.records.mounts import MountTable

        layout = self._context.layout
        path = layout.mountpoints
        try:
            return MountTable.load(path, layout.roots)
        except errors.RecordsDamaged:
            if not self._context.degraded:
                raise
            return MountTable(path)

    def every_image(self) -> Table[Image]:
        """Return the image records for a caller that uses all of them: they are read at once."""
        return self._table(ItemKind.IMAGES, whole=True)

    def _table(self, item_kind: ItemKind, *, whole: bool = False) -> Table[Any]:
        table = self._tables.get(item_kind)
        if table is None or not table.is_current():
            table = load_table(self._context, item_kind, degraded=self._context.degraded, whole=whole)
            self._tables[item_kind] = table
        return table


class Steady(Reader):
    """The records as of the first use of each kind, for callers with thousands of queries."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._held: dict[ItemKind, Table[Any]] = {}

    def _table(self, item_kind: ItemKind, *, whole: bool = False) -> Table[Any]:
        table = self._held.get(item_kind)
        if table is None:
            table = self._held[item_kind] = super()._table(item_kind, whole=whole)
        return table


def load_table(context: Context, item_kind: ItemKind, *, degraded: bool, whole: bool = False) -> Table[Any]:
    """Read the records of one kind, consistently and without a lock; see `Table.load`."""

    def absence_is_damage(path: str, known: Container[str]) -> bool:
        if path == context.places[item_kind].files.get(Location.VOLATILE):
            return False
        from cstore.store import lost_records

        return lost_records.absence_is_damage(context, item_kind, path, known)

    def empty_is_damage(path: str) -> bool:
        from cstore.store import lost_records

        return lost_records.empty_is_damage(context, item_kind, path)

    return Table.load(
        kind_of(item_kind),
        context.places[item_kind].files,
        empty_is_damage=empty_is_damage,
        absence_is_damage=absence_is_damage,
        whole=whole,
        degraded=degraded,
    )


class Snapshot:
    """The three tables of one moment, read without a lock. Damage is noted, not raised.

    Attributes:
        additional: the additional stores.
        suspect: the kinds with a damaged record file, whose missing items may only be unknown.
    """

    def __init__(self, context: Context) -> None:
        from cstore.store.extra_stores import ExtraStore

        self.context = context
        self.additional = [ExtraStore(place) for place in context.additional]
        self._tables: dict[ItemKind, Table[Any]] = _read_together(context)
        for extra in self.additional:
            extra.layers.verify()
            extra.images.verify()
        self.suspect = {item_kind for item_kind, table in self._tables.items() if table.flaws}

    @property
    def layers(self) -> Table[Layer]:
        """The layer records."""
        return self._tables[ItemKind.LAYERS]

    @property
    def images(self) -> Table[Image]:
        """The image records."""
        return self._tables[ItemKind.IMAGES]

    @property
    def containers(self) -> Table[model.Container]:
        """The container records."""
        return self._tables[ItemKind.CONTAINERS]

    def hand_on(self) -> None:
        """Leave what is sound to whoever looks next, and reads it again only if it was changed."""
        self.context.tables.update({kind: table for kind, table in self._tables.items() if table.promote()})

    @property
    def flaws(self) -> Iterator[tuple[ItemKind, errors.RecordsDamaged, bool]]:
        """The damage in record files: kind, flaw, and whether it is in an additional store."""
        for item_kind, table in self._tables.items():
            yield from ((item_kind, flaw, False) for flaw in table.flaws)
        for extra in self.additional:
            for item_kind, table in ((ItemKind.LAYERS, extra.layers), (ItemKind.IMAGES, extra.images)):
                yield from ((item_kind, flaw, True) for flaw in table.flaws)


def _read_together(context: Context) -> dict[ItemKind, Table[Any]]:
    """Read all kinds in one consistent state.

    Raises:
        SystemFailure: they cannot be read, or keep changing.
    """
    for _ in range(_ATTEMPTS):
        tables = {item_kind: _degraded(context, item_kind) for item_kind in ItemKind}
        for table in tables.values():
            table.verify()
        # A path that is not a file is never current; any other change shows in the next attempt.
        if all(table.flaws or table.is_current() for table in tables.values()):
            return tables
    graph_root = context.layout.graph_root
    raise errors.SystemFailure("read a consistent state of", graph_root, OSError(errno.EAGAIN, ""), hint="try again")


def _degraded(context: Context, item_kind: ItemKind) -> Table[Any]:
    """Read one kind's records, damage set aside; or take them over from who looked for an item just now."""
    table = context.tables.get(item_kind)
    if table is None or not table.demote():  # a damaged table stays where it is: its flaws are the store's
        return load_table(context, item_kind, degraded=True)
    context.tables.pop(item_kind, None)
    return table
