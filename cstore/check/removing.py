"""Remove damaged items, as the Go tools' `check --repair` does, but into quarantine.

The order is: containers, if the caller allows it; images, with the layers that only they use; the remaining damaged
layers, topmost first, and layer directories without a record. Items that something sound still needs stay and are
reported. If a record file is damaged, nothing is removed: what seems damaged may only lack its record. (semantics 19)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.arguments import checked
from cstore.check.repair.put_aside import container_aside, image_aside, layer_aside
from cstore.check.repair.repair_context import RepairContext
from cstore.check.repair.sources import Sources
from cstore.errors import CstoreError, ImageUsedByContainer, RecordsDamaged, UnknownItem
from cstore.records.layers import follow
from cstore.store.context import context_of
from cstore.store.neighbours import require_image_store
from cstore.store.quarantine import keeping
from cstore.store.reading import Reader
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cstore.check.findings import Finding
    from cstore.check.report import Report
    from cstore.store.context import Context
    from cstore.store.store import Store

_SUSPECT = "records-"
"""The prefix of the kinds that make a record file untrustworthy."""


class Removed(Value):
    """The result of a removal.

    Attributes:
        done: removed items, as (kind, ID).
        failed: items that could not be removed, as (kind, ID, error).
        case: the ID of the quarantine case that holds the removed items; "" if nothing was removed.
    """

    done: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, CstoreError], ...]
    case: str


@checked
def remove_damaged(store: Store | Context, report: Report, *, containers: bool) -> Removed:
    """Move the damaged items of a report into quarantine; containers only with `containers`.

    Raises:
        RecordsDamaged: a record file is damaged; nothing was removed.
        LockTimeout: a repair is running, or a writer held a lock for longer than the store's lock policy allows.
        Unsupported: the separate image store is not mounted; sound items would look damaged.
    """
    context = context_of(store)
    require_image_store(context.layout)
    for finding in report.findings:
        if finding.kind.startswith(_SUSPECT) and not finding.read_only:
            raise RecordsDamaged(finding.subject.path, str(finding.evidence.get("reason", finding.sentence)))
    with keeping(context, "cstore check --repair") as quarantine:
        removal = _Removal(RepairContext(context, quarantine, Sources(context, ())), report)
        if containers:
            removal.take("container", container_aside)
        removal.take("image", removal.image_aside)
        removal.take_layers()
        return Removed(tuple(removal.done), tuple(removal.failed), quarantine.case.id if quarantine.case else "")


@checked
def keep_aside(store: Store | Context, items: Sequence[tuple[str, str]], by: str) -> Removed:
    """Move sound items into quarantine, with the layers that only they use.

    Args:
        store: the store.
        items: (kind, ID) of each item, in the order in which they are removed.
        by: the command that the journal names as the cause.

    An item that is in use by now stays; it is in `failed`.

    Raises:
        LockTimeout: a repair is running, or a writer held a lock for longer than the store's lock policy allows.
        Unsupported: the separate image store is not mounted.
    """
    context = context_of(store)
    require_image_store(context.layout)
    done: list[tuple[str, str]] = []
    failed: list[tuple[str, str, CstoreError]] = []
    why = "it was deleted with --keep"
    with keeping(context, by) as quarantine:
        repair = RepairContext(context, quarantine, Sources(context, ()))
        for kind, identifier in items:
            try:
                if kind == "layer":
                    layer_aside(identifier, repair, why)
                else:
                    (image_aside if kind == "image" else container_aside)(identifier, repair, why, unused=True)
            except CstoreError as error:
                failed.append((kind, identifier, error))
            else:
                done.append((kind, identifier))
        return Removed(tuple(done), tuple(failed), quarantine.case.id if quarantine.case else "")


class _Removal:
    """One removal."""

    def __init__(self, repair: RepairContext, report: Report) -> None:
        self._repair, self._report = repair, report
        self.done: list[tuple[str, str]] = []
        self.failed: list[tuple[str, str, CstoreError]] = []
        layers = _damaged(report.findings, "layer")
        images = _damaged(report.findings, "image")
        images |= {image for image, chain in report.layers_of_images.items() if layers.intersection(chain)}
        images -= {name for kind, name in report.read_only if kind == "image"}
        used = {container for container, image in report.images_of_containers.items() if image in images}
        self._of = {"layer": layers, "image": images, "container": _damaged(report.findings, "container") | used}

    def take(self, kind: str, act: Callable[[str, RepairContext], None]) -> None:
        """Remove all damaged items of a kind; a failure does not stop the others."""
        for identifier in sorted(self._of[kind]):
            self._try(kind, identifier, act)

    def take_layers(self) -> None:
        """Remove damaged layers, those with the longest chains first."""
        tables = Reader(self._repair.context)
        there = set(tables.layers.ids()) | set(self._repair.context.driver.layers())
        # A layer without a record, whose chain is empty, comes last.
        depths = {layer: len(follow(tables.layers.get, layer)[0]) or -1 for layer in self._of["layer"] & there}
        for layer in sorted(depths, key=lambda name: (-depths[name], name)):
            if ("layer", layer) not in self.done:
                self._try("layer", layer, layer_aside)

    def image_aside(self, image: str, repair: RepairContext) -> None:
        """Remove an image, unless a container uses it."""
        user = next((each.id for each in Reader(repair.context).containers if each.image == image), "")
        if user:
            raise ImageUsedByContainer(image, user)
        image_aside(image, repair)

    def _try(self, kind: str, identifier: str, act: Callable[[str, RepairContext], None]) -> None:
        try:
            act(identifier, self._repair)
        except UnknownItem:
            return  # it was removed together with another item
        except CstoreError as error:
            self.failed.append((kind, identifier, error))
        else:
            self.done.append((kind, identifier))


def _damaged(findings: Sequence[Finding], kind: str) -> set[str]:
    """Return the IDs of the store's own items of `kind` that the Go tools would also report as damaged."""
    return {
        finding.subject.id
        for finding in findings
        if finding.subject.kind == kind and finding.go_text and not finding.read_only and finding.severity.counts
    }
