"""Additional stores: read-only layers and images that are searched after the store's own.

They have the layout of a store and need the same driver. Nothing is created in them, not even a lock file, so they may
be on read-only media. With a separate image store, the images of the graph root form one of them. (semantics 21)
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
    """One additional store; it is read again after a record file was replaced.

    If it is `degraded`, damage is noted in `flaws`, otherwise raised.

    Attributes:
        layout: its paths.
        images_only: whether it is the graph root of a store with a separate image store.
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
        """The layer records, including incomplete ones, because nobody completes or removes these here."""
        return self._table(ItemKind.LAYERS)

    @property
    def images(self) -> Table[Image]:
        """The image records."""
        return self._table(ItemKind.IMAGES)

    @property
    def flaws(self) -> list[RecordsDamaged]:
        """The damage in the tables that were read."""
        return [flaw for table in self._tables.values() for flaw in table.flaws]

    def _table(self, item_kind: ItemKind) -> Table[Any]:
        from cstore.records.table import Table

        table = self._tables.get(item_kind)
        if table is None or not table.is_current():
            files = self._places[item_kind].files if item_kind in self._places else {}
            table = Table.load(kind_of(item_kind), files, degraded=self._degraded)
            self._tables[item_kind] = table
        return table
