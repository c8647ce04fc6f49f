"""Output of groups of similar findings or steps: one line with their count, the first three, and their common notes.

A damaged disk changes thousands of files at once; a list of all of them would hide the one that is different.
"""

from __future__ import annotations

from cstore.cli.output.text import visible
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MOST_SHOWN = 3
"""The most places of a group that are listed; the others are counted."""


class Group(Value):
    """A group of similar findings or steps.

    Attributes:
        cells: the columns before the sentence.
        sentence: the common sentence.
        places: the place of each member; the first ones are shown.
        notes: notes on all members, such as the remedy.
    """

    cells: tuple[str, ...]
    sentence: str
    places: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The first distinct places, and the number of the others."""
        places = tuple(dict.fromkeys(self.places))
        more = len(places) - MOST_SHOWN
        return (*places[:MOST_SHOWN], f"and {more} more") if more > 0 else places


def lines(groups: Iterable[Group]) -> Iterator[str]:
    """Yield the lines of groups, unwrapped: the cells and the sentence, then the places and notes, indented."""
    for group in groups:
        yield f"{' '.join(group.cells)}{':' if group.cells[0][-1].isdigit() else ''} {visible(group.sentence)}"
        yield from (f"    {visible(place)}" for place in group.shown)
        yield from (f"    {visible(note)}" for note in group.notes)


def table(titles: Mapping[str, bool], groups: Sequence[Group], *, styles: Mapping[str, str]) -> None:
    """Print groups as a table.

    Args:
        titles: the title of each column, and whether the column has numbers; the last column is the sentence.
        groups: the groups.
        styles: the styles of cells, by their text.
    """
    from rich.console import Group as Stack
    from rich.text import Text

    from cstore.cli.output.styled import Fitted, Sentence, titled_table
    from cstore.cli.output.terminal import console

    shown = titled_table(*list(titles)[:-1], right={title for title, number in titles.items() if number})
    shown.add_column(list(titles)[-1].upper())
    for group in groups:
        told = Stack(
            Sentence(group.sentence),
            Fitted((f"  {place}" for place in group.shown), "cyan"),
            *(Sentence(note, "dim", indent=2) for note in group.notes),
        )
        shown.add_row(*(Text(visible(cell), style=styles.get(cell, "")) for cell in group.cells), told)
    console().print(shown)
