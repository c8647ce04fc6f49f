"""The store as the planners see it: each answer is found out once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.check.repair.survivors import ExpectedLayer
from cstore.records.model import Layer
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables, facts

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")


def test_a_view_is_of_one_moment(tmp_path: Path) -> None:
    """Whoever plans sees no change; a new view does."""
    tables = Tables(tmp_path, Layer(id="a"))
    view = tables.view()
    assert "a" in view.snapshot.all_layers
    tables.records(ItemKind.LAYERS, [])

    assert "a" in view.snapshot.all_layers
    assert "a" not in tables.view().snapshot.all_layers


def test_the_record_has_no_say_in_who_a_parent_is(tmp_path: Path) -> None:
    """A config goes before it; where nothing tells, nobody does."""
    tables = Tables(tmp_path, Layer(id="top", parent="wrong", diff_digest=FIRST), Layer(id="lonely", parent="x"))
    view = tables.view(expected={"top": ExpectedLayer("image", "right", FIRST)})

    assert view.true_parent("top") == "right"
    assert view.true_parent("lonely") is None


def test_what_a_record_should_say_is_told_by_archive_and_config(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="a"), Layer(id="b"))
    view = tables.view(facts={"a": facts(FIRST, 7)}, expected={"b": ExpectedLayer("image", "", SECOND)})

    assert view.contents("a") == {"diff_digest": FIRST, "diff_size": 7, "uids": (0,), "gids": (0,)}
    assert view.contents("b") == {"diff_digest": SECOND}


def test_searches_are_shared_by_all_rounds_of_a_repair(tmp_path: Path) -> None:
    """A search may take a minute, so nobody makes it twice."""
    tables, searched = Tables(tmp_path), {("layer", FIRST): None}

    assert tables.view(searched=searched).searched is searched
    assert tables.view().searched == {}
