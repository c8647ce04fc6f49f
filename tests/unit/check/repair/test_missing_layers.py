"""Layers of which neither record nor files are left: from which source they come, and what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.check.findings import of_image, of_layer
from cstore.check.repair.missing_layers import missing_layer, missing_parent
from cstore.check.repair.plan import Step, Unrepairable
from cstore.check.repair.survivors import ExpectedLayer
from cstore.errors import ContentDamaged
from cstore.records.model import Image, Layer
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from tests.builders import digest, directory, regular
from tests.unit.check.tables import Tables, planned, tar, write

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.check.repair.repair_context import RepairContext

ARCHIVE = tar(directory("d"), regular("d/f", b"hello"))
DIGEST = digest(ARCHIVE)
FINDING = of_image("image-layer-missing", "image", "x", layer="gone")
EXPECTED = {"gone": ExpectedLayer("image", "", DIGEST)}


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """An image whose layer is gone."""
    return Tables(tmp_path / "own", Image(id="image", layer="gone"))


def carry_out(step: Step | Unrepairable, repair: RepairContext) -> None:
    """Do a step."""
    assert isinstance(step, Step)
    step.act(repair)


def test_without_a_source_the_archive_is_named(tables: Tables) -> None:
    """If a config tells which it was."""
    reasons: list[tuple[dict[str, ExpectedLayer], str]] = [
        (EXPECTED, f"it needs the archive {DIGEST}"),
        ({}, "its contents are unknown"),
    ]
    for expected, reason in reasons:
        assert planned(missing_layer(tables.view(expected=expected), FINDING)) == [(reason, "image")]


@pytest.mark.usefixtures("needs_root")
def test_a_layer_is_made_of_the_archive_that_a_config_names(tables: Tables, tmp_path: Path) -> None:
    """Under its old ID, on the parent that the config gives it."""
    write(str(tmp_path / "layer.tar"), ARCHIVE)
    view = tables.view(str(tmp_path / "layer.tar"), expected=EXPECTED)

    (step,) = missing_layer(view, FINDING)
    assert planned([step]) == [("add-layer", "gone")]
    with tables.repairing(str(tmp_path / "layer.tar")) as repair:
        carry_out(step, repair)
    layer = Reader(tables.context).layers.get("gone")
    assert layer is not None
    assert (layer.diff_digest, layer.parent) == (DIGEST, "")


@pytest.mark.usefixtures("needs_root")
def test_a_source_that_has_changed_makes_no_layer(tables: Tables, tmp_path: Path) -> None:
    """What comes out must have the digest; else nothing stays."""
    path = str(tmp_path / "layer.tar")
    write(path, ARCHIVE)
    view = tables.view(path, expected=EXPECTED)
    (step,) = missing_layer(view, FINDING)
    with tables.repairing(path) as repair:
        assert repair.sources.has_layer(DIGEST)
        write(path, tar(directory("d"), regular("d/f", b"HELLO")))
        with pytest.raises(ContentDamaged):
            carry_out(step, repair)
    assert Reader(tables.context).layers.get("gone") is None


def test_a_record_that_can_be_made_again_goes_before_a_source(tmp_path: Path) -> None:
    """The files are here, and better than a copy."""
    write(str(tmp_path / "layer.tar"), ARCHIVE)
    tables = Tables(tmp_path / "own", Image(id="image", layer="gone"), trees=["gone"])

    view = tables.view(str(tmp_path / "layer.tar"), expected=EXPECTED)
    assert planned(missing_layer(view, FINDING)) == [("add-record", "gone")]


def test_another_store_may_have_the_layer_under_its_id(tables: Tables, tmp_path: Path) -> None:
    other = Tables(tmp_path / "other", Layer(id="gone"))

    view = tables.view(other.context.layout.graph_root, expected={})
    assert planned(missing_layer(view, FINDING)) == [("add-layer", "gone")]


def test_a_parent_is_the_right_one_that_is_here_or_comes_from_a_source(tables: Tables, tmp_path: Path) -> None:
    """First what the store tells of, then the parent that the record names."""
    finding = of_layer("parent-missing", "top", "x", parent="gone")
    tables.records(ItemKind.LAYERS, [Layer(id="top", parent="gone"), Layer(id="other")])
    write(str(tmp_path / "layer.tar"), ARCHIVE)

    told = tables.view(str(tmp_path / "layer.tar"), expected=EXPECTED, parents={"top": "other"})
    assert planned(missing_parent(told, finding)) == [("set-parent", "top")]
    untold = tables.view(str(tmp_path / "layer.tar"), expected=EXPECTED, parents={"top": None})
    assert planned(missing_parent(untold, finding)) == [("add-layer", "gone")]
