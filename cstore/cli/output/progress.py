"""A progress bar on stderr, for a person who waits; nothing at all for anybody else."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REFRESH = 0.1
"""Seconds between two pictures."""


@contextmanager
def progress_bar(label: str, total: int | None, *, quiet: bool = False) -> Iterator[Callable[[int], None] | None]:
    """Show a bar for as long as the context lasts, if stderr is a terminal.

    Gives what the work calls with the bytes done so far, or None where nobody looks. It is drawn from within those
    calls: a thread of its own would be in the way of work that forks.
    """
    if quiet or not sys.stderr.isatty():
        yield None
        return
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
        # Of what has no end that could be known, there is no part that is done.
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
