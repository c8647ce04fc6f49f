"""What the records of items say of each other: parents, images' layers, containers' layers and images, users."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from cstore.check.references import lost_records, reference_findings
from cstore.records.model import Container, Image, Layer, Record
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables, told

if TYPE_CHECKING:
    from pathlib import Path

YOUNG = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
BASE, TOP = Layer(id="base"), Layer(id="top", parent="base")
IMAGE = Image(id="image", layer="top")
UNFINISHED = Layer(id="half", flags={"incomplete": True})

TABLES: dict[str, tuple[tuple[Record, ...], list[tuple[str, str]]]] = {
    "a sound store": ((BASE, TOP, IMAGE), []),
    "a parent without a record": ((TOP, IMAGE), [("parent-missing", "top"), ("image-layer-missing", "image")]),
    "two layers that are each other's parents": (
        (Layer(id="one", parent="two"), Layer(id="two", parent="one"), Image(id="image", layer="one")),
        [("layer-cycle", "one"), ("layer-cycle", "two")],
    ),
    "a child of a ring is in no ring": (
        (Layer(id="ring", parent="ring"), Layer(id="child", parent="ring"), Image(id="image", layer="child")),
        [("layer-cycle", "ring")],
    ),
    "an image's mapped layer": (
        (BASE, TOP, Image(id="image", layer="top", mapped_layers=("gone",))),
        [("image-layer-missing", "image")],
    ),
    "a container without its own layer": (
        (BASE, TOP, IMAGE, Container(id="box", layer="gone", image="image")),
        [("container-layer-missing", "box")],
    ),
    "a container whose image is gone": (
        (BASE, Container(id="box", layer="base", image="gone")),
        [("container-image-missing", "box")],
    ),
    "a container without an image needs none": ((BASE, Container(id="box", layer="base")), []),
    "a layer that nothing uses": (
        (BASE, Layer(id="idle"), Image(id="image", layer="base")), [("layer-unreferenced", "idle")],
    ),
    "a young layer may be about to be used": ((Layer(id="idle", created=YOUNG),), []),
    "a time that makes no sense is long ago": ((Layer(id="idle", created="soon"),), [("layer-unreferenced", "idle")]),
    "a layer that was never completed": ((UNFINISHED,), [("layer-unfinished", "half")]),
    "a layer that was never completed, in use": (
        (UNFINISHED, Image(id="image", layer="half")),
        [("layer-unfinished-in-use", "half")],
    ),
}  # fmt: skip
"""Records, and the findings that they give."""


@pytest.mark.parametrize(("records", "expected"), TABLES.values(), ids=TABLES)
def test_references(tmp_path: Path, records: tuple[Record, ...], expected: list[tuple[str, str]]) -> None:
    tables = Tables(tmp_path, *records)

    assert told(reference_findings(tables.snapshot, 3600)) == expected


def test_nothing_is_unused_while_records_are_unknown(tmp_path: Path) -> None:
    """What a damaged record file may have referred to is not called unreferenced."""
    tables = Tables(tmp_path, Layer(id="idle"))
    tables.text(ItemKind.IMAGES, b"[{")

    assert told(reference_findings(tables.snapshot, 0)) == []


def test_where_nothing_of_a_missing_layer_is_here_another_store_may_have_it(tmp_path: Path) -> None:
    """The remedy names additional stores only if not even the layer's directory is left."""
    tables = Tables(tmp_path, TOP, IMAGE, trees=["base"])
    with_tree = next(iter(reference_findings(tables.snapshot, 3600)))
    without = next(iter(reference_findings(Tables(tmp_path / "other", TOP, IMAGE).snapshot, 3600)))

    assert "additionalimagestores" not in with_tree.remedy.sentence
    assert "additionalimagestores" in without.remedy.sentence
    assert (with_tree.evidence["tree"], without.evidence["tree"]) == (True, False)


def test_a_directory_without_a_record_is_lost_if_something_names_it(tmp_path: Path) -> None:
    """Else it is a leftover; with a damaged file of layer records, each may be lost."""
    tables = Tables(tmp_path, TOP, trees=["base", "stranger"])

    assert told(lost_records(tables.snapshot)) == [("layer-record-lost", "base")]
    tables.text(ItemKind.LAYERS, b"[{")
    assert told(lost_records(tables.snapshot)) == [("layer-record-lost", each) for each in ("base", "stranger", "top")]
