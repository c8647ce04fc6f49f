"""Progress of copies on standard error, and their results on standard output.

A terminal shows a bar for each blob and one for all of them; elsewhere, each finished blob prints a line.
--progress=json prints one document per event, for programs:

    {"progress":{"event":"planned","fetch":[{"digest":…,"size":…,"kept":…}],"present":[…],"bytes":…,"needs":…,"free":…}}
    {"progress":{"event":"blob","digest":…,"done":…,"size":…,"kept":…}}    at most once a second for each blob
    {"progress":{"event":"done","digest":…,"size":…}}
    {"progress":{"event":"present","digest":…,"size":…}}
    {"progress":{"event":"retry","digest":…,"action":…,"attempt":…,"wait":…,"reason":…}}
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from time import monotonic

from cstore.cli.output import progress
from cstore.cli.output.structured import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from rich.progress import Progress, TaskID

    from cstore.transfer import CopiedImage, Planned, Retried
    from cstore.transfer.contract import Event, Tell

_SHOWN = 19
"""The number of characters of a digest in the label of a bar."""


@contextmanager
def told(*, quiet: bool = False) -> Iterator[Tell]:
    """Yield a function that receives the events of a copy and shows them, while the context is open."""
    if quiet or progress.style == "none":
        yield lambda _: None
    elif progress.style == "json":
        yield _Documents().hear
    elif progress.style == "auto" and sys.stderr.isatty():
        with _bars() as bars:
            yield bars.hear
    else:
        yield _line


def _line(event: Event) -> None:
    """Print a line for a blob that is finished or already present, or for a retry; ignore other events."""
    from cstore.cli.output.streams import say
    from cstore.cli.output.text import human_size
    from cstore.transfer import BlobDone, BlobPresent, Retried

    if isinstance(event, BlobDone):
        say(f"copied {event.digest} {human_size(max(event.size, 0))}")
    elif isinstance(event, BlobPresent):
        say(f"already present {event.digest}")
    elif isinstance(event, Retried):
        say(_retry_line(event))


def _retry_line(event: Retried) -> str:
    when = f"in {event.wait:.3g} s" if event.wait else "now"
    return f"retrying {when} to {event.action}, attempt {event.attempt}: {event.reason}"


class _Documents:
    """Events as JSON documents on standard error."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def hear(self, event: Event) -> None:
        """Print an event; progress of a blob at most once a second, except for its last event."""
        from cstore.transfer import BlobDone, BlobPresent, Planned, Retried

        document: dict[str, Any]
        if isinstance(event, Planned):
            document = {"event": "planned", **plan_document(event)}
        elif isinstance(event, BlobDone):
            document = {"event": "done", "digest": event.digest, "size": event.size}
        elif isinstance(event, BlobPresent):
            document = {"event": "present", "digest": event.digest, "size": event.size}
        elif isinstance(event, Retried):
            about = {"attempt": event.attempt, "wait": event.wait, "reason": event.reason}
            document = {"event": "retry", "digest": event.digest or None, "action": event.action, **about}
        else:
            before, now = self._said.get(event.digest, 0.0), monotonic()
            if now - before < progress.EVERY["json"] and event.done != event.size:
                return
            self._said[event.digest] = now
            moved = {"done": event.done, "size": event.size, "kept": event.begun}
            document = {"event": "blob", "digest": event.digest, **moved}
        progress.say_event(document)


class _Bars:
    """Bars on a terminal, drawn within `hear`, because a separate thread would interfere with operations that fork."""

    def __init__(self, shown: Progress, whole: TaskID) -> None:
        self._shown, self._whole = shown, whole
        self._tasks: dict[str, TaskID] = {}
        self._done: dict[str, int] = {}
        self._drawn = 0.0

    def hear(self, event: Event) -> None:
        """Update the bars for an event, and draw them if the refresh interval has passed."""
        from cstore.transfer import BlobDone, BlobProgress, Planned, Retried

        if isinstance(event, Planned):
            self._shown.update(self._whole, total=event.size or None)
        elif isinstance(event, BlobProgress):
            if event.digest not in self._tasks:
                total = event.size if event.size >= 0 else None
                self._tasks[event.digest] = self._shown.add_task(event.digest[:_SHOWN], total=total)
            self._done[event.digest] = event.done - event.begun
            self._shown.update(self._tasks[event.digest], completed=event.done)
            self._shown.update(self._whole, completed=sum(self._done.values()))
        elif isinstance(event, BlobDone) and event.digest in self._tasks:
            self._shown.update(self._tasks[event.digest], visible=False)
        elif isinstance(event, Retried):
            self._shown.console.print(_retry_line(event), markup=False, highlight=False)
        if monotonic() - self._drawn >= progress.REFRESH:
            self._drawn = monotonic()
            self._shown.refresh()


@contextmanager
def _bars() -> Iterator[_Bars]:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from cstore.cli.output.terminal import console

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True, auto_refresh=False) as shown:
        yield _Bars(shown, shown.add_task("in all", total=None))


# ── results ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def plan_document(plan: Planned) -> dict[str, Any]:
    """Return the document of a plan."""
    return {
        "fetch": [{"digest": digest, "size": size, "kept": kept} for digest, size, kept in plan.fetch],
        "present": list(plan.present),
        "bytes": plan.size,
        "needs": plan.needs,
        "free": plan.free if plan.free >= 0 else None,
    }


def plan_lines(plan: Planned) -> Iterator[str]:
    """Yield the lines of a plan: the action for each blob, its digest and the bytes to transfer, separated by tabs."""
    for digest, size, kept in plan.fetch:
        yield f"fetch\t{digest}\t{max(size, 0) - kept}"
    for digest in plan.present:
        yield f"present\t{digest}\t0"
    yield f"total\t{len(plan.fetch)} blobs\t{plan.size}"


def copied_document(image: CopiedImage, plan: Planned | None = None) -> dict[str, Any]:
    """Return the document of a copied image; in a dry run, including the plan."""
    return {
        "version": VERSION,
        "source": image.source,
        "destination": image.destination,
        "id": image.id,
        "digest": image.digest,
        "names": list(image.names),
        "copied": list(image.copied),
        "present": list(image.present),
        "bytes": image.size,
        **({} if plan is None else {"plan": plan_document(plan)}),
    }
