"""From findings to a plan: who is asked, in which order steps are done, and what waits, is left out or told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.check.findings import KINDS, REPAIR, Finding, Remedy, Subject, of_image, of_layer, of_store
from cstore.check.repair.plan import Action, Step, Unrepairable
from cstore.check.repair.planning import GROUP_HEALERS, HEALERS, _ordered, make_plan
from cstore.records.model import Image, Layer
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables, planned

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Two layers, one above the other."""
    return Tables(tmp_path, Layer(id="base"), Layer(id="top", parent="base"))


def step(action: Action, layer: str, *parts: str) -> Step:
    """A step about a layer."""
    return Step(action, Subject("layer", layer), "do it", "it is broken", "", lambda _repair: None, parts)


def lost(layer: str, reason: str) -> Unrepairable:
    """Something that cannot be repaired."""
    return Unrepairable(Subject("layer", layer), "it is broken", reason)


def order(tables: Tables, *outcomes: Step | Unrepairable) -> list[tuple[str, str]]:
    """Action and subject of each step of the plan."""
    return planned(_ordered(tables.view(), outcomes).steps)


def test_a_healer_heals_a_kind_that_there_is() -> None:
    """By one healer alone, or by one together with others of the same layer."""
    assert {*HEALERS, *GROUP_HEALERS} <= {*KINDS}
    assert not HEALERS.keys() & GROUP_HEALERS.keys()


def test_steps_go_by_phase_and_parents_before_children(tables: Tables) -> None:
    outcomes = (
        step(Action.WRITE_ITEM, "base"), step(Action.REMAKE_LAYER, "top"), step(Action.REMAKE_LAYER, "base"),
        step(Action.ADD_RECORD, "top"), step(Action.MAKE_LOCK, "top"),
    )  # fmt: skip

    assert order(tables, *outcomes) == [
        ("make-lock", "top"), ("add-record", "top"), ("remake-layer", "base"), ("remake-layer", "top"),
        ("write-item", "base"),
    ]  # fmt: skip


def test_what_a_rebuilt_layer_solves_is_not_told_to_stay(tables: Tables) -> None:
    """An attribute that could not be set again comes with the archive; of another layer, it stays."""
    outcomes = (lost("base", "nobody knows its time"), step(Action.REMAKE_LAYER, "base"), lost("top", "likewise"))

    assert [one.subject.id for one in _ordered(tables.view(), outcomes).unrepairable] == ["top"]


def test_each_step_is_done_once(tables: Tables) -> None:
    """Several findings may ask for it; another part is another step."""
    again = step(Action.RESTORE_FILES, "top", "a")

    assert len(order(tables, again, again.with_(what="otherwise said"), step(Action.RESTORE_FILES, "top", "b"))) == 2


@pytest.mark.parametrize("anew", [Action.REMAKE_LAYER, Action.ADD_LAYER])
def test_a_layer_that_is_made_anew_needs_no_care_of_its_contents(tables: Tables, anew: Action) -> None:
    """Other layers do, and so do its record and its items."""
    outcomes = (
        step(Action.SET_ATTRIBUTES, "top", "f"), step(Action.TAKE_OUT_FILES, "top", "g"), step(anew, "top"),
        step(Action.SET_ATTRIBUTES, "base", "f"), step(Action.WRITE_ITEM, "top", "key"),
    )  # fmt: skip

    assert order(tables, *outcomes) == [("set-attributes", "base"), (anew.word, "top"), ("write-item", "top")]


def test_nothing_is_taken_out_while_the_drivers_files_are_wrong(tables: Tables) -> None:
    """What seems to be nobody's may turn out to be somebody's; the next round looks again."""
    outcomes = step(Action.TAKE_OUT, "base"), step(Action.MAKE_LINKS, "top")

    assert order(tables, *outcomes) == [("make-links", "top")]
    assert order(tables, outcomes[0]) == [("take-out", "base")]


def test_a_reason_is_told_once_an_item(tables: Tables) -> None:
    plan = _ordered(
        tables.view(), [lost("base", "why"), lost("base", "why"), lost("base", "other"), lost("top", "why")]
    )

    assert planned(plan.unrepairable) == [("why", "base"), ("other", "base"), ("why", "top")]


def test_what_nobody_heals_is_for_a_person_to_decide(tables: Tables) -> None:
    """If it is serious; a leftover is gc's."""
    findings = [Finding("unsafe-id", Subject("layer", "x"), "x"), of_store("leftover-data", "/g/x", "x")]

    plan = make_plan(tables.view(), findings)
    assert plan.steps == ()
    assert planned(plan.unrepairable) == [("a person must decide", "x")]


def test_with_remove_what_cannot_be_healed_is_taken_out(tables: Tables) -> None:
    """And leftovers, too; without it nothing is."""
    findings = [of_image("image-config-missing", "image", "x", part="sha256:1"), of_store("leftover-data", "/g/x", "x")]
    tables.records(ItemKind.IMAGES, [Image(id="image", layer="top")])

    assert planned(make_plan(tables.view(), findings).steps) == []
    plan = make_plan(tables.view(remove=True), findings)
    assert planned(plan.steps) == [("take-out", "image"), ("take-out", "/g/x")]
    assert plan.unrepairable == ()


def test_an_additional_store_is_repaired_there(tables: Tables) -> None:
    """No step is planned for it; damage is told with the command, leftovers are not."""
    there = of_layer("layer-tree-missing", "base", "x", read_only=True, advice=Remedy("there", f"{REPAIR} there"))
    findings = [there.with_(store="/s"), of_store("leftover-data", "/s/x", "x", read_only=True)]

    plan = make_plan(tables.view(remove=True), findings)
    assert plan.steps == ()
    assert [(one.subject.id, one.remedy) for one in plan.unrepairable] == [("base", f"repair it there: {REPAIR} there")]


def test_damaged_record_files_come_first_and_alone(tables: Tables) -> None:
    """Only locks and places are healed with them: nobody knows yet what the rest is about."""
    path = next(iter(tables.context.places[ItemKind.IMAGES].files.values()))
    tables.text(ItemKind.IMAGES, b"[{")
    findings = [
        of_store("records-damaged", path, "it is cut", item_kind="image"),
        of_store("place-mode", "/g/x", "x", expected="0700"),
        of_layer("parent-missing", "top", "x", parent="gone"),
    ]

    plan = make_plan(tables.view(), findings)
    assert planned(plan.steps) == [("set-mode", "/g/x"), ("write-record-file", path)]
    assert not plan.complete
    assert make_plan(tables.view(), findings[1:]).complete


def test_findings_of_one_layer_are_healed_together(tables: Tables) -> None:
    """Two files that nobody imported are one thing that is told, with both; those of another layer are another."""
    findings = [
        of_layer("file-unexpected", layer, "x", path=path, part=path) for layer in ("base", "top") for path in "ab"
    ]

    plan = make_plan(tables.view(), findings)
    assert [one.subject.id for one in plan.unrepairable] == ["base", "top"]
    assert all("1 more of its files" in one.why for one in plan.unrepairable)
