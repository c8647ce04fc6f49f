"""Alike things told together: one line with their count, the first three of them, and what holds for all.

A damaged disk changes thousands of files at once; a list of them all hides the one that is different.
"""

from __future__ import annotations

from cstore.cli.output.text import visible
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

MOST_SHOWN = 3
"""Places of a group that are named; the others are counted."""


class Group(Value):
    """Alike things.

    Attributes:
        cells: the columns before the sentence.
        sentence: the common sentence.
        places: where each of them is; the first ones are shown.
        notes: notes on all of them, such as the remedy.
    """

    cells: tuple[str, ...]
    sentence: str
    places: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def shown(self) -> tuple[str, ...]:
        """The first places, and how many more there are."""
        places = tuple(dict.fromkeys(self.places))
        more = len(places) - MOST_SHOWN
        return (*places[:MOST_SHOWN], f"and {more} more") if more > 0 else places


def lines(groups: Iterable[Group]) -> Iterator[str]:
    """The groups as text of any width: the sentence, and the rest indented."""
    for group in groups:
        yield f"{' '.join(group.cells)}{':' if group.cells[0][-1].isdigit() else ''} {visible(group.sentence)}"
        yield from (f"    {visible(place)}" for place in group.shown)
        yield from (f"    {visible(note)}" for note in group.notes)


def table(titles: Mapping[str, bool], groups: Sequence[Group], *, styles: Mapping[str, str]) -> None:
    """Show groups on a terminal. `titles`: those of the cells, and whether each is of numbers; `styles` by cell."""
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
