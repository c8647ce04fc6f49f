"""Output of lists of images, containers and layers with columns: lines for scripts, JSON, or tables."""

from __future__ import annotations

from cstore.cli.output.text import human_size, short_id, visible
from cstore.tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from rich.console import Console
    from rich.table import Table

    from cstore.insight import Cell, Listing

    Row = dict[str, "Shown"]

USUAL = {
    "image": ("names", "id", "layers", "size", "unique", "created", "used-by"),
    "container": ("names", "id", "image", "created", "state"),
    "layer": ("names", "id", "parent", "size", "created", "used-by"),
}
"""The default columns of a table."""

_MANY = 50
"""The most rows that rich writes. It takes two milliseconds per row, so that longer tables are written without it."""
_NARROW = 80
"""The terminal width from which on the table of images has the columns `unique` and `used-by`."""


class Shown(NamedTuple):
    """The lines of a table cell and their style; if `fitted`, lines too long for the column are cut in the middle."""

    lines: tuple[str, ...]
    style: str = ""
    fitted: bool = False


def lines(listing: Listing, records: Sequence[Any], columns: Sequence[str]) -> Iterator[str]:
    """Yield a line per record, with its columns separated by tabs; "-" stands for an unknown number."""
    for record in records:
        cells = (listing.cell(record, column) for column in columns)
        yield "\t".join(
            ",".join(map(visible, cell)) if isinstance(cell, tuple) else "-" if cell is None else visible(str(cell))
            for cell in cells
        )


def documents(listing: Listing, records: Sequence[Any], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return an object per record, with the columns as keys."""
    rows = ({column.replace("-", "_"): listing.cell(record, column) for column in columns} for record in records)
    return [{key: list(cell) if isinstance(cell, tuple) else cell for key, cell in row.items()} for row in rows]


def show(listing: Listing, records: Sequence[Any], columns: Sequence[str] = (), *, whole: bool = False) -> None:
    """Print a table. With `whole`, IDs and digests are printed in full, whatever the width."""
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
    rows = [_row(listing, record, shown, whole=whole) for record in records]
    table = _table(shown, _summary(rows))
    if not columns and listing.kind == "image" and not whole and out.width >= _NARROW and width_of(table) > out.width:
        rows = [{column: cell for column, cell in row.items() if column != "layers"} for row in rows]
        table = _table([*rows[0]], _summary(rows))
    while not columns and not whole and len(rows[0]) > 2 and out.width < _NARROW and not _fits(table, out):
        rows = [{column: row[column] for column in [*row][:-1]} for row in rows]
        table = _table([*rows[0]], _summary(rows))
    if whole:
        out.width = max(width_of(table), out.width)  # the terminal wraps the lines, so that nothing is cut
    if len(rows) > _MANY:
        from cstore.cli.output.rows import print_rows

        if print_rows(out, table, [[*row.values()] for row in rows]):
            return
    out.print(_table([*rows[0]], rows))


def _fits(table: Table, out: Console) -> bool:
    """Return whether a table fits the terminal when its shrinkable columns have their minimum width."""
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


def _row(listing: Listing, record: Any, columns: Sequence[str], *, whole: bool) -> Row:
    cells = {column: listing.cell(record, column) for column in columns}
    if listing.kind == "layer" and "state" not in cells and "used-by" in cells:
        holders = listing.holders.get(record.id, ())
        cells["used-by"] = (*holders, "mounted") if record.id in listing.mounts else tuple(holders)
    return {column: _shown(column, cell, whole=whole) for column, cell in cells.items()}


def _summary(rows: Sequence[Row]) -> list[Row]:
    """Return one row with the widest cell of each column, which is enough to measure a long table."""
    from rich.cells import cell_len

    widest: Row = {}
    for column in rows[0]:
        cells = (row[column] for row in rows)
        widest[column] = max(cells, key=lambda cell: max(map(cell_len, cell.lines), default=0))
    return [widest]


def _table(columns: Sequence[str], rows: Sequence[Row]) -> Table:
    from rich.text import Text

    from cstore.cli.output import styled

    titles = ("ID" if column == "id" else column.replace("-", " ").capitalize() for column in columns)
    table = styled.titled_table(*titles, right={"Layers", "Size", "Unique"})
    for row in rows:
        table.add_row(
            *(
                styled.Fitted(cell.lines, cell.style) if cell.fitted else Text("\n".join(cell.lines), style=cell.style)
                for cell in row.values()
            )
        )
    return table


def _shown(column: str, cell: Cell, *, whole: bool) -> Shown:
    """Return the cell of a table for the value of a column."""
    if column == "state" and isinstance(cell, tuple):
        return Shown((", ".join(cell),))
    if isinstance(cell, tuple):
        texts = cell if whole or column == "names" else map(short_id, cell)
        return Shown(tuple(map(visible, texts)), "bold" if column == "names" else "", fitted=True)
    if cell is None:
        return Shown(("",))
    if isinstance(cell, int):
        return Shown((human_size(cell) if column in {"size", "unique"} else str(cell),))
    if column == "created":
        from cstore.cli.output import styled

        return Shown((styled.age(cell),))
    if column == "digest" and not whole:
        algorithm, colon, digits = cell.partition(":")
        return Shown((visible(f"{algorithm}{colon}{short_id(digits)}"),))
    text = visible(cell if whole else short_id(cell))
    return Shown((text,), "cyan" if column == "id" else "", fitted=column == "image")
