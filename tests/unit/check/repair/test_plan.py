"""Plans: steps, their order, and what is said of them."""

from __future__ import annotations

import pytest

from cstore.check.findings import Subject
from cstore.check.repair.plan import Action, Phase, Plan, Step, Unrepairable, counted, how_to_name


def step(action: Action, *parts: str, name: str = "l1") -> Step:
    """A step of that kind about a layer."""
    return Step(action, Subject("layer", name), "do it", "it is broken", "", lambda _repair: None, parts)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ((), ""),
        (("a",), "'a'"),
        (("a", "b", "c"), "'a', 'b', 'c'"),
        (("a", "b", "c", "d"), "'a', 'b', 'c' and 1 more"),
        (("new\nline",), r"'new\nline'"),
    ],
)
def test_few_paths_are_named_and_the_others_counted(paths: tuple[str, ...], said: str) -> None:
    assert counted(paths) == said


def test_an_action_has_one_word() -> None:
    """Programs rely on it, so no two actions share one but for what is done to parts, which is done at two times."""
    words = [action.word for action in Action]

    assert sorted(word for word in set(words) if words.count(word) > 1) == [Action.MAKE_PARTS.word]
    assert Action.MAKE_PARTS.phase < Action.MAKE_PARTS_ABOVE.phase


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Action.MAKE_LOCK, Action.WRITE_RECORD_FILE),
        (Action.WRITE_RECORD_FILE, Action.ADD_RECORD),
        (Action.ADD_RECORD, Action.MAKE_LINKS),
        (Action.MAKE_LINKS, Action.REMAKE_LAYER),
        (Action.REMAKE_LAYER, Action.WRITE_ITEM),
        (Action.WRITE_ITEM, Action.COUNT_MOUNTS),
        (Action.COUNT_MOUNTS, Action.TAKE_OUT),
    ],
)
def test_what_others_rest_on_comes_first(before: Action, after: Action) -> None:
    assert before.phase < after.phase
    assert {before.phase, after.phase} <= {value for name, value in vars(Phase).items() if name.isupper()}


def test_a_step_is_known_again() -> None:
    """By what it does to which part of what; not by its words, nor by what carries it out."""
    one = step(Action.RESTORE_FILES, "a")

    assert one.key == step(Action.RESTORE_FILES, "a").with_(what="otherwise said").key
    assert one.key not in {
        step(Action.RESTORE_FILES, "b").key,
        step(Action.SET_ATTRIBUTES, "a").key,
        step(Action.RESTORE_FILES, "a", name="l2").key,
    }


def test_a_plan_as_json() -> None:
    """Nothing empty of a subject, and what cannot be healed beside what will be done."""
    lost = Unrepairable(Subject("image", "i1"), "its config is lost", "nothing has it", "pull it again")
    document = Plan((step(Action.RESTORE_FILES, "a"),), (lost,), ("old.tar",), complete=False).document()

    assert [each["subject"] for each in document["steps"]] == [{"kind": "layer", "id": "l1"}]
    assert document["steps"][0] | {"subject": None} == {
        "action": "restore-files", "subject": None, "parts": ["a"], "what": "do it", "why": "it is broken",
        "evidence": "", "advice": "",
    }  # fmt: skip
    assert document["unhealable"][0]["remedy"] == "pull it again"
    assert (document["unused_sources"], document["complete"]) == (["old.tar"], False)


def test_the_command_that_names_an_image() -> None:
    assert "cstore add-names --name NAME abc" in how_to_name("abc")
