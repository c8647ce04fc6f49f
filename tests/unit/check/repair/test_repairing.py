"""A whole repair: rounds, questions, failures, and when a store counts as repaired."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.findings import Subject, of_layer, of_store
from cstore.check.repair.plan import Action, Plan, Step, Unrepairable
from cstore.check.repair.repairing import Repaired, RepairOptions, repair_store
from cstore.check.report import Report
from cstore.errors import CstoreError, SystemFailure
from cstore.records.model import Image, Layer
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from tests.builders import listing
from tests.unit.check.tables import Tables, identifier, planned, write

if TYPE_CHECKING:
    from pathlib import Path

LOST = identifier("lost")
OPTIONS = RepairOptions(workers=1)


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """A store whose layer records are gone, and whose directory is open to others."""
    tables = Tables(tmp_path, Image(id="image", layer=LOST), trees=[LOST])
    tables.text(ItemKind.LAYERS, b"[{")
    os.chmod(tables.context.layout.images, 0o777)  # noqa: S103  - what is healed
    return tables


def test_rounds_go_on_until_nothing_is_left(tables: Tables) -> None:
    """First the file and the mode; then what the file said may be looked at. All of it is in one case."""
    done = repair_store(tables.context, OPTIONS)

    assert planned(done.plans[0].steps) != planned(done.plans[-1].steps)
    assert done.plans[-1].steps == ()
    assert {step.action for step in done.done} >= {Action.WRITE_RECORD_FILE, Action.SET_MODE}
    assert (done.failed, done.serious, done.healed) == ((), [], True)
    assert done.case
    assert Reader(tables.context).layers.ids() == [LOST]
    again = repair_store(tables.context, OPTIONS)
    assert (again.done, again.case) == ((), "")


def test_a_dry_run_changes_nothing(tables: Tables) -> None:
    before = listing(tables.path)

    done = repair_store(tables.context, OPTIONS.with_(dry_run=True))
    assert done.plans[0].steps
    assert done.done == ()
    assert listing(tables.path) == before


def test_nothing_is_done_without_agreement(tables: Tables) -> None:
    """A later round is asked for again, with its new steps alone."""
    asked: list[Plan] = []

    def refuse(plan: Plan) -> bool:
        asked.append(plan)
        return len(asked) > 1

    assert repair_store(tables.context, OPTIONS.with_(agree=refuse)).done == ()
    done = repair_store(tables.context, OPTIONS.with_(agree=refuse))
    assert done.done
    keys = [step.key for plan in asked[1:] for step in plan.steps]
    assert len(keys) == len(set(keys))


def test_only_what_a_report_tells_is_healed(tables: Tables) -> None:
    """What has come right since is passed over."""
    path = tables.context.layout.images
    told = Report(findings=(of_store("place-mode", path, "x"), of_store("place-mode", "/gone", "x")))

    done = repair_store(tables.context, OPTIONS, told)
    assert [(step.action, step.subject.path) for step in done.done] == [(Action.SET_MODE, path)]
    assert not done.healed


def test_a_step_that_fails_does_not_stop_the_others(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried once, and told with its error; an error of the system becomes a sentence."""
    told: list[tuple[Step, CstoreError | None]] = []

    def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("cstore.check.repair.heal_driver.set_mode", fail)
    options = OPTIONS.with_(told=lambda step, error: told.append((step, error)))
    done = repair_store(tables.context, options)

    assert [(step.action, type(error)) for step, error in done.failed] == [(Action.SET_MODE, SystemFailure)]
    assert Action.WRITE_RECORD_FILE in {step.action for step in done.done}
    assert not done.healed
    assert [step for step, error in told if error] == [step for step, _ in done.failed]


def outcome(**more: Any) -> Repaired:
    """What came of a repair in which nothing happened, but for `more`."""
    return Repaired(**{"plans": (), "done": (), "failed": (), "left": Report(), "case": "", **more})


def step(layer: str) -> Step:
    """A step that made something of a layer."""
    return Step(Action.ADD_LAYER, Subject("layer", layer), "do it", "x", "", lambda _: None)


def test_what_nothing_tells_of_any_more_is_still_lost() -> None:
    """Unless a later step made it; what the last check tells of by itself is not told twice."""
    gone = Unrepairable(Subject("layer", "a"), "its record was lost", "why", last_seen=True)
    seen = gone.with_(last_seen=False)

    assert outcome(plans=(Plan((), (gone, seen)),)).lost == [gone]
    assert outcome(plans=(Plan((), (gone,)),), done=(step("a"),)).lost == []
    assert not outcome(plans=(Plan((), (gone,)),)).healed
    assert outcome(plans=(Plan((), (seen,)),)).healed


def test_leftovers_may_stay() -> None:
    """Serious findings and failures may not."""
    leftover = of_store("leftover-data", "/g/x", "x")

    assert outcome(left=Report(findings=(leftover,))).healed
    assert not outcome(left=Report(findings=(of_layer("file-time", "a", "x"),))).healed
    assert not outcome(failed=((step("a"), CstoreError("x")),)).healed


def test_with_remove_leftovers_go_as_well(tmp_path: Path) -> None:
    """And so does what cannot be healed."""
    tables = Tables(tmp_path, Layer(id="gone"), without_tree=["gone"])
    write(os.path.join(tables.context.layout.images, identifier("x"), "key"), b"")

    done = repair_store(tables.context, OPTIONS.with_(remove=True))
    assert done.healed
    assert [step.subject.kind for step in done.done if step.action is Action.TAKE_OUT] == ["store", "layer"]
    assert Reader(tables.context).layers.ids() == []
    assert "leftover-data" not in {finding.kind for finding in done.left.findings}
