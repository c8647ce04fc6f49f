"""Whether the result goes to a terminal or a pipe, and whether it has color.

Variables that are obeyed, the first that applies:

    NO_COLOR        set and not empty: no colour
    CLICOLOR_FORCE  set and neither empty nor 0: what a terminal would get, wherever it goes
    CLICOLOR        0: no colour
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console


_NARROWEST = 20
"""The minimum number of columns of a terminal, regardless of COLUMNS."""


def for_people() -> bool:
    """Whether standard output gets tables and color."""
    return sys.stdout.isatty() or colour_wish() is True


def colour_wish() -> bool | None:
    """The environment's setting for color; None if there is none."""
    from cstore.config import read_environment

    variables = read_environment().variables
    if variables.get("NO_COLOR"):
        return False
    if variables.get("CLICOLOR_FORCE", "0") not in {"", "0"}:
        return True
    return False if variables.get("CLICOLOR") == "0" else None


def console(*, stderr: bool = False) -> Console:
    """A rich console for one of the standard streams."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    from cstore.cli.output.text import visible_lines

    class SafeConsole(Console):
        """Spells out control characters that came with a text; rich writes its own ones aside from the texts."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for part in super().render(renderable, options):
                yield part if part.control else Segment(visible_lines(part.text), part.style)

    wish = colour_wish()
    made = SafeConsole(
        stderr=stderr, no_color=wish is False, force_terminal=wish, highlight=False, markup=False, emoji=False
    )
    made.width = max(made.width, _NARROWEST)  # where nothing readable fits, the terminal breaks the lines
    return made
