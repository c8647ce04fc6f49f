"""cstore-damage(7) is about all damage of the laboratory, and answers of programs are condensed rightly."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.damage.damages import DAMAGES
from tests.damage.facts import SILENT, fact, noticed, worse
from tests.damage.peers import HUNG, NEW, Answer, Round
from tests.damage.table import FATES, GROUPS, PAGE, page_name

if TYPE_CHECKING:
    from tests.damage.damages import Damage

SOUND = Round(
    {"images": Answer(0, "one\ntwo\n", ""), "diff a": Answer(0, "archive", ""), "diff b": Answer(0, "other", "")},
    {"create-layer": Answer(0, NEW, "")},
    {"layers": 0, "files": 0},
    (),
    {"layers": {"a", "b", NEW}},
)


def text() -> str:
    """The page, without what escapes hyphens."""
    with open(PAGE, encoding="utf-8") as file:
        return file.read().replace("\\-", "-")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.name)
def test_the_page_has_an_entry_for_each_damage(damage: Damage) -> None:
    """Whoever does a new damage measures what programs make of it: `python -m tests.damage.table`."""
    assert page_name(damage) in text()


def test_each_damage_is_in_one_group() -> None:
    """Nothing is on the page twice, nothing is forgotten, and the numbers are of all."""
    assert [damage for group in GROUPS.values() for damage in group] == list(DAMAGES)
    assert re.search(rf"^damages\|{len(DAMAGES)}$", text(), re.MULTILINE)


def test_each_entry_says_what_becomes_of_it() -> None:
    """The part about cstore ends with one of the fates that the page explains."""
    endings = re.findall(r"^\\fIcstore:\\fR .*;\n(.*)$", text(), re.MULTILINE)

    assert len(endings) == len(DAMAGES)
    assert [words for words in endings if not words.startswith(tuple(FATES.values()))] == []


def changed(answers: dict[str, Answer], **more: Any) -> Round:
    """A round that differs from the sound one."""
    return SOUND._replace(answers={**SOUND.answers, **answers}, **more)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (SOUND, SILENT),
        (changed({"images": Answer(0, "", "")}), "images lists nothing, exit 0"),
        (changed({"images": Answer(0, "one\n", "")}), "images lists less, exit 0"),
        (changed({"diff a": Answer(0, "garbage", "")}), "diff gives something else, exit 0"),
        (changed({"diff a": Answer(HUNG, "", "")}), "diff never ends (killed after 6 s)"),
        (
            changed({"diff a": Answer(1, "", "Error: gone"), "diff b": Answer(1, "", "Error: gone")}),
            'diff fails: "gone"',
        ),
        (
            changed({}, lost={"layers": 2, "files": 1}),
            "the layer's files are deleted; 2 layers are dropped from layers.json",
        ),
        (
            changed({}, rewritten=("layers",), held={"layers": {NEW}}),
            "a change writes layers.json anew, without all that was there",
        ),
        (changed({}, rewritten=("layers",)), SILENT),
    ],
)
def test_a_fact_says_what_is_different(now: Round, words: str) -> None:
    """What is as with a sound store is not told."""
    assert fact(now, SOUND) == words


def test_failing_is_noticing_and_losing_is_making_worse() -> None:
    """Other output alone is no sign that a program has noticed anything."""
    assert noticed(changed({"images": Answer(1, "", "no")}), SOUND)
    assert not noticed(changed({"images": Answer(0, "", "")}), SOUND)
    assert worse(changed({}, lost={"layers": 1}), SOUND)
    assert not worse(SOUND, SOUND)
