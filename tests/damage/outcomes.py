"""What cstore finds in a damaged store, and what its repair makes of it: in a few words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cstore.check import KINDS
from cstore.check.repair import RepairOptions, repair_store
from cstore.errors import CstoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.check import Report
    from cstore.check.repair import Repaired
    from tests.damage.specimen import Specimen

HEALED, SOURCE, ADOPTED = "healed", "healed with a source", "taken for right"
SWEPT, NOTHING, LEFT = "swept", "nothing to heal", "left"


class Outcome(NamedTuple):
    """What came of it.

    Attributes:
        found: kinds of findings with their severities, worst first.
        fate: one of the words above.
        remark: why something is left, or what has become different nevertheless.
    """

    found: tuple[tuple[str, str], ...]
    fate: str
    remark: str


def outcome(again: Callable[[], Specimen], sound: Specimen) -> Outcome:
    """Check and repair a store that `again` makes and damages anew each time; `sound` is what it was made from."""
    specimen = again()
    found = _found(specimen.check())
    if all(severity == "cosmetic" for _, severity in found):
        return Outcome(found, NOTHING, "")
    repaired = _repair(specimen, RepairOptions())
    if repaired is None:
        return Outcome(found, LEFT, "repair fails")
    if _clean(repaired.left):
        return Outcome(found, ADOPTED if _adopted(repaired) else HEALED, _differences(specimen, sound))
    if repaired.healed:
        return Outcome(found, *_sweep(specimen))
    refilled = again()
    source = _repair(refilled, RepairOptions(sources=(sound.graph,)))
    if source is not None and source.healed:
        leaving = [] if _clean(source.left) else ["leaving a leftover"]
        return Outcome(found, SOURCE, ", ".join(filter(None, [_differences(refilled, sound), *leaving])))
    reason = _reason(source or repaired)
    reason = reason.replace(refilled.root, "").replace(specimen.root, "")
    return Outcome(found, LEFT, re.sub(r"\b[0-9a-f]{64}\b", "ID", reason))


def _repair(specimen: Specimen, options: RepairOptions) -> Repaired | None:
    try:
        return repair_store(specimen.open().context, options)
    except CstoreError:
        return None


def _found(report: Report) -> tuple[tuple[str, str], ...]:
    words = list(KINDS)
    kinds = {finding.kind: finding.severity for finding in report.findings}
    ranked = sorted(kinds, key=lambda word: (kinds[word].rank, words.index(word)))
    return tuple((word, kinds[word].value) for word in ranked)


def _clean(report: Report) -> bool:
    return all(severity == "cosmetic" for _, severity in _found(report))


def _sweep(specimen: Specimen) -> tuple[str, str]:
    """Nothing serious is left: see whether gc removes what is."""
    specimen.open().gc()
    left = _found(specimen.check())
    return (SWEPT, "") if not left else (LEFT, "a person must decide")


def _adopted(repaired: Repaired) -> bool:
    """Whether the record was made to fit what is left of an item, and not the other way round."""
    return any("only copy" in step.evidence for step in repaired.done)


def _reason(repaired: Repaired) -> str:
    for plan in reversed(repaired.plans):
        for one in plan.unrepairable:
            return one.reason
    return "; ".join(sorted({error.message for _, error in repaired.failed}))


def _differences(specimen: Specimen, sound: Specimen) -> str:
    """What is gone for good although the store is sound again, or has another name."""
    now, then = _possessions(specimen), _possessions(sound)
    gone = sorted({kind for kind, identifier in then if (kind, identifier) not in now})
    renamed = sorted(
        {kind for (kind, identifier), names in then.items() if now.get((kind, identifier), names) != names}
    )
    remarks = [f"without the {kind}" for kind in gone] + [f"without names of {kind}s" for kind in renamed]
    return ", ".join(remarks)


def _possessions(specimen: Specimen) -> dict[tuple[str, str], tuple[str, ...]]:
    store = specimen.open()
    item_kinds = {"layer": store.layers.list(), "image": store.images.list(), "container": store.containers.list()}
    return {(kind, item.id): tuple(sorted(item.names)) for kind, items in item_kinds.items() for item in items}
