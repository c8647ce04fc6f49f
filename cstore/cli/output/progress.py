"""Progress of long operations on standard error: a bar on a terminal, nothing elsewhere unless requested.

--progress=plain prints one line a minute, for logs. --progress=json prints one document per event, for programs:
`{"progress":{"work":"importing","done":1048576,"total":2097152}}`, at the start, at the end, and at most once a second
in between. `done` and `total` are in bytes; `total` is null if it is unknown.
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
"""Seconds between two updates of a bar."""
EVERY = {"plain": 60.0, "json": 1.0}
"""Seconds between two lines, by style."""

style = "auto"
"""The style in which to show progress (--progress)."""


@contextmanager
def progress_bar(label: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[[int], None] | None]:
    """Show the progress of an operation while the context is open.

    Yields a function that the operation calls with the number of bytes done so far, or None if nothing is shown. The
    bar is drawn within those calls, because a separate thread would interfere with operations that fork.
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
    """Progress as lines, written at the interval of the style."""

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total, self._done = label, total, 0
        self._said = monotonic()
        if style == "json":
            self._say()

    def advance(self, done: int) -> None:
        """Record the number of bytes done, and print it if the interval has passed."""
        self._done = done
        if monotonic() - self._said >= EVERY[style]:
            self._say()

    def end(self) -> None:
        """Print the final number of bytes, in JSON only."""
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
    """Print a progress event as JSON on standard error."""
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
        # Without a known total, neither a percentage nor the remaining time is known.
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
