"""Turn findings into a plan. A finding without a healer is reported, or its subject is moved into quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.check.repair import heal_contents, heal_driver, heal_items, heal_records, missing_layers
from cstore.check.repair.heal_record_files import heal_record_files
from cstore.check.repair.plan import Action, Phase, Plan, Step, Unrepairable, unrepairable
from cstore.check.repair.put_aside import put_aside
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cstore.check.findings import Finding
    from cstore.check.repair.repair_view import RepairView

    Healer = Callable[[RepairView, Finding], Iterator[Step | Unrepairable]]
    GroupHealer = Callable[[RepairView, Sequence[Finding]], Iterator[Step | Unrepairable]]

HEALERS: dict[str, Healer] = {
    **heal_records.HEALERS,
    **heal_driver.HEALERS,
    **heal_contents.HEALERS,
    **heal_items.HEALERS,
    **missing_layers.HEALERS,
}
GROUP_HEALERS: Mapping[str, GroupHealer] = heal_contents.GROUP_HEALERS
"""Functions that plan the repair of all such findings of one layer in one step, by kind of finding."""

_FILES = frozenset({"records-damaged", "records-empty", "records-missing"})
_FIRST = frozenset({"lock-missing", "lock-wrong", "place-mode", "place-owner", "place-wrong", "thing-wrong"})
"""Findings that are repaired together with damaged record files; all others wait for the rebuilt records."""
_ANEW = frozenset({Action.REMAKE_LAYER, Action.ADD_LAYER})


def make_plan(repair_view: RepairView, findings: Sequence[Finding]) -> Plan:
    """Plan the repair of findings, and list the problems that cannot be repaired."""
    own = [finding for finding in findings if not finding.read_only]
    damaged = [finding for finding in own if finding.kind in _FILES and finding.evidence.get("item_kind")]
    if damaged:
        whys = {
            (ItemKind(finding.evidence["item_kind"]), finding.subject.path): finding.sentence for finding in damaged
        }
        outcomes = [*heal_record_files(repair_view.survivors, whys, repair_view.names)]
        own = [finding for finding in own if finding.kind in _FIRST]
    else:
        outcomes = []
        for finding in findings:
            if finding.read_only and finding.severity.is_serious:
                reason = f"it is in the additional store {finding.store}, which is read-only here"
                remedy = f"repair it there: {finding.remedy.command}"
                outcomes.append(Unrepairable(finding.subject, finding.sentence, reason, remedy))
    groups: dict[tuple[GroupHealer, str], list[Finding]] = {}
    for finding in own:
        if (together := GROUP_HEALERS.get(finding.kind)) is not None:
            groups.setdefault((together, finding.subject.id), []).append(finding)
        else:
            healer = HEALERS.get(finding.kind)
            outcomes += _judged(repair_view, finding, list(healer(repair_view, finding)) if healer else [])
    for (together, _), members in groups.items():
        outcomes += _judged(repair_view, members[0], list(together(repair_view, members)))
    return _ordered(repair_view, outcomes).with_(unused=repair_view.sources.unused(), complete=not damaged)


def _judged(
    repair_view: RepairView, finding: Finding, found: list[Step | Unrepairable]
) -> Iterable[Step | Unrepairable]:
    """Return the steps for a finding; a step that quarantines its subject; or the reason why nothing can be done."""
    if repair_view.remove and (not found or any(isinstance(one, Unrepairable) for one in found)):
        aside = list(put_aside(repair_view, finding))
        return aside or found
    if not found and finding.severity.is_serious:
        return [unrepairable(finding, "a person must decide")]
    return found


def _ordered(repair_view: RepairView, outcomes: Iterable[Step | Unrepairable]) -> Plan:
    """Order the steps and remove duplicates; a layer that is rebuilt or added needs no other repair of its contents."""
    steps: dict[object, Step] = {}
    unrepairable: dict[tuple[str, str, str], Unrepairable] = {}
    for one in outcomes:
        if isinstance(one, Step):
            steps.setdefault(one.key, one)
        else:
            unrepairable.setdefault((one.subject.kind, one.subject.name, one.reason), one)
    anew = {step.subject.id for step in steps.values() if step.action in _ANEW}
    kept = [
        step
        for step in steps.values()
        if step.phase != Phase.CONTENTS or step.subject.id not in anew or step.action in _ANEW
    ]
    if any(step.phase == Phase.DRIVER for step in kept):
        kept = [step for step in kept if step.phase != Phase.ASIDE]  # the repair may give these a layer
    chain = repair_view.snapshot.chain  # parents are repaired before children
    kept.sort(key=lambda step: (step.phase, len(chain(step.subject.id)) if step.subject.kind == "layer" else 0))
    stays = (one for one in unrepairable.values() if one.subject.kind != "layer" or one.subject.id not in anew)
    return Plan(tuple(kept), tuple(stays))
