"""Printing of long tables in the layout of rich, which takes two milliseconds per row."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from cstore.cli.output.styled import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.table import Table

    from cstore.cli.output.listing import Shown

_APART = "  "
_AT_ONCE = 1000


def print_rows(out: Console, table: Table, rows: Sequence[Sequence[Shown]]) -> bool:
    """Print rows below the titles of `table`, which has a single row with the widest cell of each column.

    Returns whether the rows were printed: nothing is printed if the terminal is too narrow for the titles.
    """
    widths = [width - len(_APART) for width in table._calculate_column_widths(out, out.options)]  # noqa: SLF001  - no public method returns the widths
    widths[-1] += len(_APART)  # no column follows the last one
    if any(width < cell_len(str(column.header)) for column, width in zip(table.columns, widths, strict=True)):
        return False
    right = [column.justify == "right" for column in table.columns]
    looks: dict[str, tuple[str, str]] = {}  # the escape sequences before and after a text in a style
    for style in {cell.style for row in rows for cell in row}:
        with out.capture() as capture:
            out.print(Text("x", style=style), end="")
        before, _, after = capture.get().partition("x")
        looks[style] = before, after
    titles = [
        _placed(str(column.header), width, at_right)
        for column, width, at_right in zip(table.columns, widths, right, strict=True)
    ]
    out.print(Text(_APART.join(titles), style="dim"), soft_wrap=True)
    written: list[str] = []
    for row in rows:
        written += _lines(row, widths, right, looks)
        if len(written) > _AT_ONCE:
            _write(out, written)
            written = []
    _write(out, written)
    return True


def _lines(
    row: Sequence[Shown], widths: Sequence[int], right: Sequence[bool], looks: dict[str, tuple[str, str]]
) -> Iterator[str]:
    for number in range(max((len(cell.lines) for cell in row), default=0) or 1):
        parts = []
        for cell, width, at_right in zip(row, widths, right, strict=True):
            text = cell.lines[number] if number < len(cell.lines) else ""
            if cell_len(text) > width:
                text = shortened(text, width) if cell.fitted else set_cell_size(text, width - 1) + "…"
            before, after = looks[cell.style]
            parts.append(f"{before}{_placed(text, width, at_right)}{after}")
        yield _APART.join(parts)


def _placed(text: str, width: int, at_right: bool) -> str:
    space = " " * (width - cell_len(text))
    return space + text if at_right else text + space


def _write(out: Console, lines: list[str]) -> None:
    out.file.write("".join(f"{line}\n" for line in lines))
