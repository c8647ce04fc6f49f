"""Rich consoles that escape control characters in text."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console


_NARROWEST = 20
"""The minimum number of columns of a terminal, regardless of COLUMNS."""


def console(*, stderr: bool = False) -> Console:
    """Return a rich console for standard output or standard error."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    from cstore.cli.output.streams import colour_wish
    from cstore.cli.output.text import visible_lines

    class SafeConsole(Console):
        """A console that escapes control characters in text; rich writes its own in separate control segments."""

        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for part in super().render(renderable, options):
                yield part if part.control else Segment(visible_lines(part.text), part.style)

    wish = colour_wish()
    made = SafeConsole(
        stderr=stderr, no_color=wish is False, force_terminal=wish, highlight=False, markup=False, emoji=False
    )
    made.width = max(made.width, _NARROWEST)  # nothing readable fits in less: the terminal wraps the lines
    return made
