"""From findings to a plan: each finding goes to whoever heals its kind; what nobody heals is told, or taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.check.repair import heal_contents, heal_driver, heal_items, heal_records, missing_layers
from cstore.check.repair.heal_record_files import heal_record_files
from cstore.check.repair.plan import Action, Hopeless, Phase, Plan, Step
from cstore.check.repair.put_aside import put_aside
from cstore.store.places import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cstore.check.findings import Finding
    from cstore.check.repair.patient import Patient

    Healer = Callable[[Patient, Finding], Iterator[Step | Hopeless]]
    GroupHealer = Callable[[Patient, Sequence[Finding]], Iterator[Step | Hopeless]]

HEALERS: dict[str, Healer] = {
    **heal_records.HEALERS,
    **heal_driver.HEALERS,
    **heal_contents.HEALERS,
    **heal_items.HEALERS,
    **missing_layers.HEALERS,
}
GROUP_HEALERS: Mapping[str, GroupHealer] = heal_contents.GROUP_HEALERS
"""By kind of finding: those that heal all such findings of one layer in one step."""

_FILES = frozenset({"records-damaged", "records-empty", "records-missing"})
_FIRST = frozenset(
    {"lock-missing", "lock-wrong", "place-mode", "place-writable", "place-owner", "place-wrong", "thing-wrong"}
)
"""What is healed together with damaged record files; all else has to wait until they tell what there is."""
_ANEW = frozenset({Action.REMAKE_LAYER, Action.ADD_LAYER})


def make_plan(patient: Patient, findings: Sequence[Finding]) -> Plan:
    """Plan what to do about findings, and say of which nothing can be done."""
    own = [finding for finding in findings if not finding.read_only]
    damaged = [finding for finding in own if finding.kind in _FILES and finding.evidence.get("shelf")]
    if damaged:
        whys = {(Shelf(finding.evidence["shelf"]), finding.subject.path): finding.sentence for finding in damaged}
        outcomes = [*heal_record_files(patient.survivors, whys, patient.names)]
        own = [finding for finding in own if finding.kind in _FIRST]
    else:
        foreign = (finding for finding in findings if finding.read_only)
        outcomes = [_of_another_store(finding) for finding in foreign if finding.severity.is_serious]
    groups: dict[tuple[GroupHealer, str], list[Finding]] = {}
    for finding in own:
        if (together := GROUP_HEALERS.get(finding.kind)) is not None:
            groups.setdefault((together, finding.subject.id), []).append(finding)
        else:
            healer = HEALERS.get(finding.kind)
            outcomes += _judged(patient, finding, list(healer(patient, finding)) if healer else [])
    for (together, _), members in groups.items():
        outcomes += _judged(patient, members[0], list(together(patient, members)))
    return _ordered(patient, outcomes).with_(unused=patient.sources.unused(), complete=not damaged)


def _judged(patient: Patient, finding: Finding, found: list[Step | Hopeless]) -> Iterable[Step | Hopeless]:
    """What is planned for a finding, or that it is taken out, or that nothing can be done."""
    if patient.remove and (not found or any(isinstance(one, Hopeless) for one in found)):
        aside = list(put_aside(patient, finding))
        return aside or found
    if not found and finding.severity.is_serious:
        return [Hopeless(finding.subject, finding.sentence, "a person must decide", finding.remedy.sentence)]
    return found


def _of_another_store(finding: Finding) -> Hopeless:
    """Damage in an additional store: nobody changes that from here."""
    reason = f"it is in the additional store {finding.store}, which is read-only here"
    return Hopeless(finding.subject, finding.sentence, reason, f"repair it there: {finding.remedy.command}")


def _ordered(patient: Patient, outcomes: Iterable[Step | Hopeless]) -> Plan:
    """Put steps in order, each once; a layer that is made anew needs no other care."""
    steps: dict[object, Step] = {}
    hopeless: dict[tuple[str, str, str], Hopeless] = {}
    for one in outcomes:
        if isinstance(one, Step):
            steps.setdefault(one.key, one)
        else:
            hopeless.setdefault((one.subject.kind, one.subject.name, one.reason), one)
    anew = {step.subject.id for step in steps.values() if step.action in _ANEW}
    kept = [
        step
        for step in steps.values()
        if step.phase != Phase.CONTENTS or step.subject.id not in anew or step.action in _ANEW
    ]
    if any(step.phase == Phase.DRIVER for step in kept):
        kept = [step for step in kept if step.phase != Phase.ASIDE]  # what seems to be nobody's may be somebody's then
    kept.sort(key=lambda step: (step.phase, _depth(patient, step)))
    return Plan(tuple(kept), tuple(hopeless.values()))


def _depth(patient: Patient, step: Step) -> int:
    """How many layers are beneath: parents are healed before children."""
    return len(patient.census.chain(step.subject.id)) if step.subject.kind == "layer" else 0
