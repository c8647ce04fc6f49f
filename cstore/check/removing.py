"""Taking out what a check has found damaged, as the Go tools' `check --repair` does, but into quarantine.

First containers, if that was agreed to; then images with the layers that they alone have; then layers that are left,
topmost first, and trees that no record describes. What something sound still needs stays, and is told. A record file
that cannot be trusted is no reason to take out anything: nobody can tell then what is damaged and what is only unknown.
(semantics 19)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.arguments import checked
from cstore.check.repair.put_aside import container_aside, image_aside, layer_aside
from cstore.check.repair.repair_context import RepairContext
from cstore.check.repair.sources import Sources
from cstore.errors import CstoreError, ImageUsedByContainer, RecordsDamaged, UnknownItem
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
"""How the kinds begin that say that a record file cannot be trusted."""


class Removed(Value):
    """What came of it: what was taken out, as kind and ID; what could not be, and why; the case it is all in."""

    done: tuple[tuple[str, str], ...]
    failed: tuple[tuple[str, str, CstoreError], ...]
    case: str


@checked
def remove_damaged(store: Store | Context, report: Report, *, containers: bool) -> Removed:
    """Take out what a check has found damaged; containers only if that is wanted.

    Raises:
        RecordsDamaged: a record file cannot be trusted; nothing was taken out.
        LockTimeout: a repair is at work, or a writer was busy for too long.
        Unsupported: the image store is not there, without which sound things look damaged.
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
    """Take sound items out, by kind and ID, in this order, with the layers that only they need.

    `by` is the command that asks. What something began to use meanwhile stays.

    Raises:
        LockTimeout: a repair is at work, or a writer was busy for too long.
        Unsupported: the image store is not there.
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
    """One run."""

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
        """Take out all damaged items of a kind, one after the other, whatever becomes of those before."""
        for identifier in sorted(self._of[kind]):
            self._try(kind, identifier, act)

    def take_layers(self) -> None:
        """Take out damaged layers, the longest chains first."""
        tables = Reader(self._repair.context)
        there = set(tables.layers.ids()) | set(self._repair.context.driver.layers())
        depths = {layer: _depth(tables, layer) for layer in self._of["layer"] & there}
        for layer in sorted(depths, key=lambda name: (-depths[name], name)):
            if ("layer", layer) not in self.done:
                self._try("layer", layer, layer_aside)

    def image_aside(self, image: str, repair: RepairContext) -> None:
        """Take an image out, unless a container is made from it."""
        user = next((each.id for each in Reader(repair.context).containers if each.image == image), "")
        if user:
            raise ImageUsedByContainer(image, user)
        image_aside(image, repair)

    def _try(self, kind: str, identifier: str, act: Callable[[str, RepairContext], None]) -> None:
        try:
            act(identifier, self._repair)
        except UnknownItem:
            return  # it went with something else
        except CstoreError as error:
            self.failed.append((kind, identifier, error))
        else:
            self.done.append((kind, identifier))


def _damaged(findings: Sequence[Finding], kind: str) -> set[str]:
    """The items that the Go tools would find something wrong with as well, and rightly."""
    return {
        finding.subject.id
        for finding in findings
        if finding.subject.kind == kind and finding.go_text and not finding.read_only and finding.severity.counts
    }


def _depth(tables: Reader, layer: str) -> int:
    """How many layers are beneath; -1 for one without a record, which comes last."""
    chain: list[str] = []
    record = tables.layers.get(layer)
    if record is None:
        return -1
    while record is not None and record.id not in chain:
        chain.append(record.id)
        record = tables.layers.get(record.parent)
    return len(chain)
