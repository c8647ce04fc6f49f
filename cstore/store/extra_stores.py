"""Additional stores: read-only layers and images of another store, looked up after the store's own.

They share the layout of a store and need the same driver. Nothing is made in them, not even a lock file, so they may
lie on read-only media. With a separate image store, the images of the graph root are one of them. (semantics 21)
"""

from __future__ import annotations

from cstore.store.places import ItemKind, kind_of, places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.errors import RecordsDamaged
    from cstore.records.model import Image, Layer
    from cstore.records.table import Table
    from cstore.store.context import Additional


class ExtraStore:
    """One additional store, read again after one of its files is replaced.

    If it is `degraded`, collects damage in `flaws`; otherwise raises it.

    Attributes:
        layout: its paths.
        images_only: whether it is the graph root of a store with a separate image store: not somebody else's.
    """

    def __init__(self, place: Additional, *, degraded: bool = True) -> None:
        self.layout = place.layout
        self.images_only = place.images_only
        self._degraded = degraded
        self._places = places(place.layout)
        if place.images_only:
            del self._places[ItemKind.LAYERS]
        self._tables: dict[ItemKind, Table[Any]] = {}

    @property
    def layers(self) -> Table[Layer]:
        """The layer records. Unfinished layers are used as they are, because cstore must not finish them here."""
        return self._table(ItemKind.LAYERS)

    @property
    def images(self) -> Table[Image]:
        """The image records."""
        return self._table(ItemKind.IMAGES)

    @property
    def flaws(self) -> list[RecordsDamaged]:
        """Problems of the record files that were read."""
        return [flaw for table in self._tables.values() for flaw in table.flaws]

    def _table(self, item_kind: ItemKind) -> Table[Any]:
        from cstore.records.table import Table

        table = self._tables.get(item_kind)
        if table is None or not table.is_current():
            files = self._places[item_kind].files if item_kind in self._places else {}
            table = Table.load(kind_of(item_kind), files, degraded=self._degraded)
            self._tables[item_kind] = table
        return table
