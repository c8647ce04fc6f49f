"""What needs what, by records alone: chains are followed once, however deep they are and however many begin in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.insight.needs import Needs
from cstore.records.model import Layer
from cstore.store.reading import Reader
from tests.unit.check.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path

DEPTH = 500


@pytest.mark.parametrize("bottom", ["", "lost", f"{DEPTH - 1:03}"], ids=["sound", "lost parent", "ring"])
@pytest.mark.parametrize("upside_down", [False, True], ids=["parents first", "children first"])
def test_every_layer_of_a_deep_chain_is_looked_up_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bottom: str, upside_down: bool
) -> None:
    """A store of one chain of n layers takes about n steps to find out what is wrong with it, not n times n."""
    chain = [Layer(id=f"{number:03}", parent=f"{number - 1:03}" if number else bottom) for number in range(DEPTH)]
    records = chain[::-1] if upside_down else chain
    ids = [layer.id for layer in chain]
    tables = Tables(tmp_path, *records, without_tree=ids)
    needs = Needs(tables.context, Reader(tables.context))
    looked_up: list[str] = []
    find = needs._parent_of

    def counted(layer: str) -> str | None:
        looked_up.append(layer)
        return find(layer)

    monkeypatch.setattr(needs, "_parent_of", counted)

    problems = needs.problems

    assert len(problems) == bool(bottom)
    assert len(looked_up) <= DEPTH + 2
