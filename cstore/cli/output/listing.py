"""Lists of images, containers and layers with columns: for scripts, in JSON and as tables."""

from __future__ import annotations

from cstore.cli.output.text import human_size, short_id, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from rich.console import Console, RenderableType
    from rich.table import Table

    from cstore.insight import Listing
    from cstore.insight.listing import Cell

USUAL = {
    "image": ("names", "id", "layers", "size", "unique", "created", "used-by"),
    "container": ("names", "id", "image", "created", "state"),
    "layer": ("names", "id", "parent", "size", "created", "used-by"),
}
"""The columns of a table if nobody asks for others."""

_NARROW = 80
"""Columns of a terminal from which on the table of images has those that not everybody needs."""


def lines(listing: Listing, records: Sequence[Any], columns: Sequence[str]) -> Iterator[str]:
    """A line for each record, with tabs between its columns; "-" is a number that is not known."""
    for record in records:
        yield "\t".join(_text(listing.cell(record, column)) for column in columns)


def _text(cell: Cell) -> str:
    if isinstance(cell, tuple):
        return ",".join(map(visible, cell))
    return "-" if cell is None else visible(str(cell))


def documents(listing: Listing, records: Sequence[Any], columns: Sequence[str]) -> list[dict[str, Any]]:
    """An object for each record, with its columns as keys."""
    cells = ({column: listing.cell(record, column) for column in columns} for record in records)
    return [{key.replace("-", "_"): _value(cell) for key, cell in row.items()} for row in cells]


def _value(cell: Cell) -> object:
    return list(cell) if isinstance(cell, tuple) else cell


def show(listing: Listing, records: Sequence[Any], columns: Sequence[str] = (), *, whole: bool = False) -> None:
    """Show a table. `whole`: IDs and digests in full, however wide it becomes."""
    from rich.measure import Measurement

    from cstore.cli.output.terminal import console

    if not records:
        console(stderr=True).print(f"no {listing.kind}s", style="dim")
        return
    out = console()

    def width_of(table: Table) -> int:
        return Measurement.get(out, out.options.update(width=1 << 16), table).maximum

    shown = tuple(columns) or USUAL[listing.kind]
    if not columns and listing.kind == "image" and out.width < _NARROW and not whole:
        shown = tuple(column for column in shown if column not in {"unique", "used-by"})
    table = _table(listing, records, shown, whole=whole)
    if not columns and listing.kind == "image" and not whole and out.width >= _NARROW and width_of(table) > out.width:
        table = _table(listing, records, [column for column in shown if column != "layers"], whole=whole)
    while not columns and not whole and len(shown) > 2 and out.width < _NARROW and not _fits(table, out):
        shown = shown[:-1]
        table = _table(listing, records, shown, whole=whole)
    if whole:
        out.width = max(width_of(table), out.width)  # the terminal breaks the lines, and nothing is left out
    out.print(table)


def _fits(table: Table, out: Console) -> bool:
    """Whether a terminal has room for a table whose columns that give way have become as narrow as they get."""
    from rich.measure import Measurement

    options = out.options.update(width=1 << 16)
    widths = (
        [Measurement.get(out, options, cell) for cell in (column.header, *column.cells)] for column in table.columns
    )
    return (
        sum(
            max(each.minimum if not column.no_wrap else each.maximum for each in cells) + 2
            for column, cells in zip(table.columns, widths, strict=True)
        )
        <= out.width + 2
    )


def _table(listing: Listing, records: Sequence[Any], columns: Sequence[str], *, whole: bool) -> Table:
    from cstore.cli.output import styled

    titles = [_title(column) for column in columns]
    table = styled.titled_table(*titles, right={"Layers", "Size", "Unique"})
    for record in records:
        cells = {column: listing.cell(record, column) for column in columns}
        if listing.kind == "layer" and "state" not in cells and "used-by" in cells:
            cells["used-by"] = (*listing.holders.get(record.id, ()), *_mounted(listing, record))
        table.add_row(*(_styled(column, cell, whole=whole) for column, cell in cells.items()))
    return table


def _title(column: str) -> str:
    return "ID" if column == "id" else column.replace("-", " ").capitalize()


def _mounted(listing: Listing, record: Any) -> tuple[str, ...]:
    return ("mounted",) if record.id in listing.mounts else ()


def _styled(column: str, cell: Cell, *, whole: bool) -> RenderableType:
    from rich.text import Text

    from cstore.cli.output import styled

    if column == "state" and isinstance(cell, tuple):
        return ", ".join(cell)
    if isinstance(cell, tuple):
        texts = cell if whole or column == "names" else map(short_id, cell)
        return styled.Fitted(texts, style="bold" if column == "names" else "")
    if cell is None:
        return ""
    if isinstance(cell, int):
        return human_size(cell) if column in {"size", "unique"} else str(cell)
    if column == "created":
        return styled.age(cell)
    if column == "digest" and not whole:
        algorithm, colon, digits = cell.partition(":")
        return visible(f"{algorithm}{colon}{short_id(digits)}")
    text = cell if whole else short_id(cell)
    if column == "image":
        return styled.Fitted([text])
    return Text(visible(text), style="cyan" if column == "id" else "")
