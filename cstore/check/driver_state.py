"""Check the storage driver: the directories of recorded layers, and the driver's own files."""

from __future__ import annotations

import os

from cstore.check.findings import REPAIR, REPAIR_FROM, Finding, Remedy, of_layer, of_store
from cstore.ids import flaw_of_part
from cstore.store.neighbours import command_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cstore.check.findings import Finding
    from cstore.check.snapshot import StoreSnapshot

_WORDS = {
    "missing": "is missing",
    "wrong": "is wrong",
    "no directory": "is not a directory",
    "no regular file": "is not a regular file",
    "no subvolume": "is an ordinary directory, not a subvolume",
}


def driver_findings(snapshot: StoreSnapshot, wanted: Callable[[str, str], bool]) -> Iterator[Finding]:
    """Yield a finding for each flaw in the directories of the `wanted` layers."""
    for layer, read_only in snapshot.all_layers.values():
        if not wanted("layer", layer.id) or flaw_of_part(layer.id) or layer.incomplete:
            continue
        if not snapshot.has_tree(layer.id):
            if layer.id not in snapshot.needed_elsewhere:
                path = snapshot.context.driver.path_of(layer.id)
                if read_only:  # the driver searches its own home last
                    inside = os.path.relpath(path, snapshot.layout.driver_home)
                    path = os.path.join(snapshot.layout_of(layer.id).driver_home, inside)
                who = f"{'read-only ' if read_only else ''}layer {layer.id}"
                go_text = f"{who}: stat {path}: no such file or directory"
                sentence = f"it has a record but no directory {path}"
                yield of_layer(
                    "layer-tree-missing", layer.id, sentence, path=path, read_only=read_only, go_text=go_text
                )
            continue
        ancestors = snapshot.chain(layer.id)[1:]
        if any(flaw_of_part(ancestor) for ancestor in ancestors):
            continue
        for flaw in snapshot.inspector.flaws(layer.id, ancestors):
            said = f": found {flaw.found!r}" if flaw.found else ""
            should = f", expected {flaw.expected!r}" if flaw.expected else ""
            yield of_layer(
                f"{snapshot.context.driver.name}-{flaw.part}", flaw.layer,
                f"{flaw.path} {_WORDS[flaw.problem]}{said}{should}", part=flaw.part, path=flaw.path,
                problem=flaw.problem, found=flaw.found, expected=flaw.expected, read_only=read_only,
            )  # fmt: skip
    for flaw in snapshot.inspector.strays():
        sentence = f"the short link leads to {flaw.found!r} and belongs to no layer"
        yield of_store("overlay-stray-link", flaw.path, sentence, found=flaw.found)


# ── additional stores ──
#
# This store only reads additional stores: their findings name the store and the command that repairs it.

_MISSING = frozenset({"parent-missing", "image-layer-missing", "container-image-missing"})


def placed(snapshot: StoreSnapshot, finding: Finding) -> Finding:
    """Return a finding with its additional store, if any, and the command that repairs that store."""
    layout = snapshot.store_of(finding.subject.kind, finding.subject.name) if finding.read_only else None
    if layout is None:
        return finding
    store = layout.graph_root
    sentence = f"it is in the additional store {store}, which is read-only here; repair it there"
    return finding.with_(store=store, advice=Remedy(sentence, command_in(layout, REPAIR)))


def notes(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a note for each damaged additional store, and one if missing items may be in an unconfigured store."""
    damaged = {
        finding.store: finding.remedy.command for finding in findings if finding.store and finding.severity.is_serious
    }
    missing = sum(finding.kind in _MISSING and finding.advice.command == REPAIR_FROM for finding in findings)
    if missing:
        yield (
            "missing layers or images may be in an additional image store; if so, name it in "
            f"additionalimagestores, or copy them from it: {REPAIR_FROM}"
        )
    for store, command in damaged.items():
        yield f"the additional store {store} is damaged but read-only here; repair it there: {command}"
