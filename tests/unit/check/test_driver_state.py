"""What the driver keeps of layers; and which store is to be repaired where an additional one is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.check.driver_state import driver_findings, notes, placed
from cstore.check.findings import Finding, Remedy, Subject, of_image, of_layer
from cstore.records.model import Layer
from tests.unit.check.tables import Tables, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def everything(kind: str, name: str) -> bool:
    """Every item is wanted."""
    return bool(kind and name)


def test_a_recorded_layer_has_a_directory(tmp_path: Path) -> None:
    """One that is unfinished need not have one, nor one whose ID no path can be made of."""
    half, odd = Layer(id="half", flags={"incomplete": True}), Layer(id="../odd")
    tables = Tables(tmp_path, Layer(id="there"), Layer(id="gone"), half, odd, without_tree=["gone", "half", "../odd"])

    (finding,) = driver_findings(tables.snapshot, everything)
    path = tables.context.driver.path_of("gone")
    assert (finding.kind, finding.subject.id, finding.evidence["path"]) == ("layer-tree-missing", "gone", path)
    assert finding.go_text == f"layer gone: stat {path}: no such file or directory"


def test_only_what_is_wanted_is_looked_at(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="a"), Layer(id="b"), without_tree=["a", "b"])
    only: Callable[[str, str], bool] = lambda _, name: name == "b"  # noqa: E731  - as short as a table's row

    assert told(driver_findings(tables.snapshot, only)) == [("layer-tree-missing", "b")]


def test_overlays_own_files(tmp_path: Path) -> None:
    """A layer of overlay without its link file is told of, under the driver's name, with what the file should say."""
    tables = Tables(tmp_path, Layer(id="base"), Layer(id="top", parent="base"), driver="overlay")

    found = {finding.subject.id: finding for finding in driver_findings(tables.snapshot, everything)}
    assert found.keys() == {"base", "top"}
    kinds = {kind for kind, name in told(driver_findings(tables.snapshot, everything)) if name == "top"}
    assert "overlay-link" in kinds
    assert kinds <= {"overlay-link", "overlay-lower", "overlay-work", "overlay-short-link"}


def test_a_finding_of_an_additional_store_names_it_and_the_command_there(tmp_path: Path) -> None:
    """From here it is only read, so the remedy is a repair of that store; the store's own findings stay as they are."""
    other = Tables(tmp_path / "other", Layer(id="theirs"), without_tree=["theirs"])
    root = other.context.layout.graph_root
    tables = Tables(tmp_path / "own", Layer(id="ours"), config={"driver_options": (f"vfs.imagestore={root}",)})
    finding = of_layer("layer-tree-missing", "theirs", "x", read_only=True)
    own = of_layer("layer-tree-missing", "ours", "x")

    there = placed(tables.snapshot, finding)
    assert there.store == root
    assert there.remedy.command.startswith("cstore ")
    assert root in there.remedy.command
    assert there.remedy.command.endswith("repair")
    assert placed(tables.snapshot, own) is own


NOTES: dict[str, tuple[list[Finding], list[str]]] = {
    "nothing": ([], []),
    "a missing layer that may be elsewhere": (
        [of_image("image-layer-missing", "i", "x", advice=Remedy("y", "cstore repair --from SOURCE"))] * 2,
        ["additionalimagestores"],
    ),
    "a missing layer of which something is here": ([of_image("image-layer-missing", "i", "x")], []),
    "a damaged additional store, told once": (
        [
            Finding("layer-tree-missing", Subject("layer", each), "x", store="/s", advice=Remedy("y", "repair there"))
            for each in "ab"
        ],
        ["/s"],
    ),
    "a leftover there is no damage": ([Finding("leftover-data", Subject("store", path="/s/x"), "x", store="/s")], []),
}
"""Findings, and what each note names."""


@pytest.mark.parametrize(("findings", "named"), NOTES.values(), ids=NOTES)
def test_notes_on_other_stores(findings: list[Finding], named: list[str]) -> None:
    told_notes = list(notes(findings))

    assert len(told_notes) == len(named)
    assert all(word in note for word, note in zip(named, told_notes, strict=True))
