"""Alike things told together: one line with their count, the first three of them, and what holds for all.

A damaged disk changes thousands of files at once; a list of them all hides the one that is different.
"""

from __future__ import annotations

from cstore.cli.output.text import short_id, visible
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement
    from rich.text import Text

_NARROWEST = 24
"""Columns that a sentence gets, whatever else there is."""
MOST_SHOWN = 3
"""Places of a group that are named; the others are counted."""


class Group(Value):
    """Alike things.

    Attributes:
        cells: what stands in the columns before the sentence.
        sentence: what holds for all of them.
        places: where each of them is; the first ones are shown.
        notes: more about all of them, such as what helps.
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

    from cstore.cli.output.styled import Fitted, titled_table
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


class Sentence:
    """A sentence for a person: broken between words only, IDs short, and too long a path without its middle."""

    def __init__(self, text: str, style: str = "", *, indent: int = 0) -> None:
        self._words = [short_id(word) for word in visible(text).split(" ")]
        self._style, self._indent = style, indent

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """From a few words to the whole sentence in a line."""
        from rich.cells import cell_len
        from rich.measure import Measurement

        longest = self._indent + cell_len(" ".join(self._words))
        return Measurement(min(longest, _NARROWEST), min(longest, options.max_width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """The lines, in the width that there is."""
        from rich.cells import cell_len
        from rich.text import Text

        from cstore.cli.output.styled import shortened

        width = max(options.max_width - self._indent, 1)
        line = ""
        for word in (shortened(word, width) for word in self._words):
            if line and cell_len(line) + 1 + cell_len(word) > width:
                yield Text(" " * self._indent + line, style=self._style, no_wrap=True)
                line = word
            else:
                line = f"{line} {word}" if line else word
        yield Text(" " * self._indent + line, style=self._style, no_wrap=True)
