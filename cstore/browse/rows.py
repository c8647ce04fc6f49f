"""The rows of the lists: their cells, the texts that a search matches, and their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cstore.insight import Listing, parse_query
from cstore.store import Item
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cstore.browse.texts import Texts
    from cstore.insight.listing import Cell
    from cstore.store import Store

KINDS = ("image", "container", "layer")

WIDTHS = {"id": 12, "image": 18, "parent": 12, "size": 8, "unique": 8, "created": 10, "state": 9, "used-by": 4}
"""The width of each column in characters; the names get the remaining width."""

COLUMNS = {
    "image": ("names", "id", "size", "unique", "created", "used-by"),
    "container": ("names", "id", "image", "size", "created"),
    "layer": ("names", "id", "parent", "size", "created", "used-by"),
}
ORDERS = ("names", "-size", "-created")
"""The sort orders to cycle through; `-` puts large and late values first."""

NUMBERS = frozenset({"size", "unique", "used-by"})


class Row(NamedTuple):
    """An item in a list.

    Attributes:
        cells: the texts of its columns.
        details: its full description, one string per line.
        sought: the text that a search matches, in lower case.
    """

    item: Item
    cells: tuple[str, ...]
    details: tuple[str, ...]
    sought: str

    def answers(self, text: str) -> bool:
        """Return whether a search matches: all its words are in a name, the ID, a digest, or the names of users."""
        return all(term in self.sought for term in text.lower().split())


def rows_of(store: Store, kind: str, order: str, texts: Texts) -> list[Row]:
    """Return a row for each item of a kind.

    Raises:
        CstoreError: the records cannot be read.
    """
    listing = Listing(store.context, kind)
    records: Iterable[Any] = {
        "image": listing.images.values(),
        "container": listing.needs.containers.values(),
        "layer": listing.layers(),
    }[kind]
    chosen: Sequence[Any] = listing.pick(list(records), parse_query(kind, sort=f"{order},id"))
    return [_row(listing, record, texts) for record in chosen]


def _row(listing: Listing, record: Any, texts: Texts) -> Row:
    cells = {column: listing.cell(record, column) for column in COLUMNS[listing.kind]}
    users = _words(listing.cell(record, "used-by")) if listing.kind != "container" else ()
    state = _words(listing.cell(record, "state"))
    digest = str(listing.cell(record, "digest") or "") if listing.kind != "container" else ""
    used = f"used by {', '.join(users)}" if users else ""
    details = (
        texts.plain(f"{listing.kind} {record.id}"),
        texts.plain(", ".join(record.names) or "without a name"),
        texts.plain("; ".join(filter(None, (used, ", ".join(state), digest)))),
    )
    sought = " ".join((record.id, *record.names, *users, *state, digest, str(cells.get("image", "")))).lower()
    item = Item(ItemKind(listing.kind), record.id)
    return Row(item, tuple(_text(column, cell, texts) for column, cell in cells.items()), details, sought)


def _words(cell: Cell) -> tuple[str, ...]:
    return cell if isinstance(cell, tuple) else ()


def _text(column: str, cell: Cell, texts: Texts) -> str:
    if column == "used-by":
        return str(len(_words(cell)) or "")
    if isinstance(cell, tuple):
        return texts.plain(cell[0] if cell else "-") + (f" +{len(cell) - 1}" if len(cell) > 1 else "")
    if cell is None:
        return "?"
    if isinstance(cell, int):
        return texts.size(cell)
    return texts.age(cell).removesuffix(" ago") if column == "created" else texts.plain(texts.short(cell))
