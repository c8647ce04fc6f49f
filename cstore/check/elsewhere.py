"""Findings about additional stores: which store it is, and what repairs it. From here they are only read."""

from __future__ import annotations

from cstore.check.findings import REPAIR, REPAIR_FROM, Remedy
from cstore.store.neighbours import command_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.check.findings import Finding
    from cstore.check.snapshot import StoreSnapshot


_MISSING = frozenset({"parent-missing", "image-layer-missing", "container-image-missing"})


def placed(snapshot: StoreSnapshot, finding: Finding) -> Finding:
    """A finding with the additional store that it is about, and the command that repairs that store."""
    layout = snapshot.store_of(finding.subject.kind, finding.subject.name) if finding.read_only else None
    if layout is None:
        return finding
    store = layout.graph_root
    sentence = f"it is in the additional store {store}, which is read-only here; repair it there"
    return finding.with_(store=store, advice=Remedy(sentence, command_in(layout, REPAIR)))


def notes(findings: Sequence[Finding]) -> Iterator[str]:
    """A sentence for each additional store that is damaged, and one for what may be in a store that is not used."""
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
