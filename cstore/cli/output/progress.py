"""The progress of long work, on standard error: a bar on a terminal; elsewhere nothing, unless requested.

With --progress=plain one line a minute, for logs; with --progress=json one document an event, for programs:
`{"progress":{"work":"importing","done":1048576,"total":2097152}}`, at the beginning, at the end, and once a second
between. `total` is null where nobody can know it; both are bytes.
"""

from __future__ import annotations

import sys
from time import monotonic

from cstore.contexts import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

REFRESH = 0.1
"""Seconds between two pictures."""
EVERY = {"plain": 60.0, "json": 1.0}
"""Seconds between two lines."""

style = "auto"
"""How progress is shown (--progress)."""


@contextmanager
def progress_bar(label: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[[int], None] | None]:
    """Show the progress of the work while the context lasts.

    Yields a function for the work to call with the bytes done so far, or None if nothing is shown. It displays within
    those calls, because a separate thread would interfere with work that forks.
    """
    if quiet or style == "none" or (style == "auto" and not sys.stderr.isatty()):
        yield None
    elif style == "auto":
        with _bar(label, total) as advance:
            yield advance
    else:
        lines = _Lines(label, total)
        yield lines.advance
        lines.end()


class _Lines:
    """Says now and then how far the work is."""

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total, self._done = label, total, 0
        self._said = monotonic()
        if style == "json":
            self._say()

    def advance(self, done: int) -> None:
        """Hear how many bytes are done."""
        self._done = done
        if monotonic() - self._said >= EVERY[style]:
            self._say()

    def end(self) -> None:
        """The work is done."""
        if style == "json":
            self._say()

    def _say(self) -> None:
        from cstore.cli.output.streams import say

        self._said = monotonic()
        if style == "json":
            say_event({"work": self._label.lower(), "done": self._done, "total": self._total})
        else:
            from cstore.cli.output.text import human_size

            whole = f" of {human_size(self._total)}" if self._total is not None else ""
            say(f"{self._label.lower()}: {human_size(self._done)}{whole}")


def say_event(told: dict[str, Any]) -> None:
    """Report progress as JSON on standard error."""
    from cstore.cli.output.streams import say
    from cstore.gojson import encode

    say(encode({"progress": told}).decode().rstrip("\n"), json=True)


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        FileSizeColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from cstore.cli.output.terminal import console

    known = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    columns = (
        TextColumn("{task.description}"),
        # Without a known total, there is no percentage.
        *(known if total is not None else (FileSizeColumn(), TransferSpeedColumn())),
    )
    with Progress(*columns, console=console(stderr=True), transient=True, auto_refresh=False) as progress:
        task = progress.add_task(label, total=total)
        drawn = 0.0

        def advance(done: int) -> None:
            nonlocal drawn
            progress.update(task, completed=done)
            if monotonic() - drawn >= REFRESH:
                drawn = monotonic()
                progress.refresh()

        yield advance
