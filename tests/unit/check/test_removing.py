"""Which damaged items are taken out, in which order, and what stays because something needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.findings import Finding, Subject, of_layer, of_store
from cstore.check.removing import _damaged, keep_aside, remove_damaged
from cstore.check.report import Report
from cstore.errors import ImageUsedByContainer, LayerHasChildren, RecordsDamaged
from cstore.records.model import Container, Image, Layer
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from tests.unit.check.tables import Tables

if TYPE_CHECKING:
    from pathlib import Path

DATA = "file-missing"


def damage(kind: str, name: str, **more: Any) -> Finding:
    """A finding about an item that the Go tool would find, too."""
    return Finding(DATA, Subject(kind, name), "x", go_text="x", **more)


@pytest.mark.parametrize(
    ("finding", "counts"),
    [
        (damage("layer", "a"), True),
        (damage("image", "a"), False),
        (damage("layer", "a", read_only=True), False),
        (of_layer(DATA, "a", "x"), False),
        (of_layer("layer-view", "a", "x", go_text="x"), False),
    ],
)
def test_what_counts_as_damaged(finding: Finding, *, counts: bool) -> None:
    """What the Go tool finds as well, in the store itself, and more than cosmetic."""
    assert _damaged([finding], "layer") == ({"a"} if counts else set())


CHAIN = Layer(id="base"), Layer(id="middle", parent="base"), Layer(id="top", parent="middle")
BOX = Container(id="box", image="image", layer="own")


def left(tables: Tables) -> set[str]:
    """What is recorded still."""
    reader = Reader(tables.context)
    return {*reader.layers.ids(), *reader.images.ids(), *reader.containers.ids()}


def report(*findings: Finding, images: bool = True) -> Report:
    """A report on a store with an image on the chain, and a container of it."""
    chains = {"image": ("top", "middle", "base")} if images else {}
    return Report(findings=findings, layers_of_images=chains, images_of_containers={"box": "image"})


def test_an_image_goes_with_its_damaged_layer_and_everything_it_alone_has(tmp_path: Path) -> None:
    """A layer that another image has stays."""
    tables = Tables(tmp_path, *CHAIN, Image(id="image", layer="top"), Image(id="other", layer="base"))

    removed = remove_damaged(tables.context, report(damage("layer", "top")), containers=False)
    assert left(tables) == {"base", "other"}
    assert removed.done == (("image", "image"),)
    assert removed.failed == ()
    assert removed.case


def test_a_container_keeps_its_image_unless_containers_go_too(tmp_path: Path) -> None:
    own = Layer(id="own", parent="top")
    tables = Tables(tmp_path, *CHAIN, own, Image(id="image", layer="top"), BOX)
    found = report(damage("layer", "top"))

    kept = remove_damaged(tables.context, found, containers=False)
    assert left(tables) == {"base", "middle", "top", "own", "image", "box"}
    assert [type(error) for *_, error in kept.failed] == [ImageUsedByContainer, LayerHasChildren]
    assert remove_damaged(tables.context, found, containers=True).failed == ()
    assert left(tables) == set()


def test_layers_go_topmost_first(tmp_path: Path) -> None:
    """So that none has children when its turn comes; what has sound children stays, and why is told."""
    tables = Tables(tmp_path, *CHAIN, Layer(id="child", parent="base"), trees=["stray"])
    found = [damage("layer", each) for each in ("stray", "base", "middle", "top")]

    removed = remove_damaged(tables.context, report(*found, images=False), containers=False)
    assert removed.done == (("layer", "top"), ("layer", "middle"), ("layer", "stray"))
    assert [(name, type(error)) for _, name, error in removed.failed] == [("base", LayerHasChildren)]
    assert left(tables) == {"base", "child"}


def test_a_ring_of_layers_ends(tmp_path: Path) -> None:
    """Each of them is the other's child, so both stay."""
    tables = Tables(tmp_path, Layer(id="one", parent="two"), Layer(id="two", parent="one"))

    found = report(damage("layer", "one"), images=False)
    removed = remove_damaged(tables.context, found, containers=False)
    assert [(name, type(error)) for _, name, error in removed.failed] == [("one", LayerHasChildren)]
    assert left(tables) == {"one", "two"}


def test_nothing_is_taken_out_while_records_are_unknown(tmp_path: Path) -> None:
    """Nobody can tell then what is damaged and what only seems to be; an additional store's records do not count."""
    tables = Tables(tmp_path, *CHAIN, Image(id="image", layer="top"))
    flaw = of_store("records-damaged", "/g/images.json", "it is cut", reason="it is cut")

    with pytest.raises(RecordsDamaged):
        remove_damaged(tables.context, report(flaw, damage("layer", "top")), containers=True)
    assert "image" in left(tables)
    remove_damaged(tables.context, report(flaw.with_(read_only=True), damage("layer", "top")), containers=True)
    assert "image" not in left(tables)


def test_what_is_gone_already_is_no_failure(tmp_path: Path) -> None:
    """An item may have gone with another, or somebody has deleted it since the check."""
    tables = Tables(tmp_path, Layer(id="base"))

    removed = remove_damaged(tables.context, report(damage("layer", "gone"), damage("image", "image")), containers=True)
    assert (removed.failed, left(tables)) == ((), {"base"})


def test_items_that_are_kept_go_in_the_order_given(tmp_path: Path) -> None:
    """What something began to use stays, with the reason, and the others go all the same."""
    tables = Tables(tmp_path, *CHAIN, Layer(id="own", parent="top"), Image(id="image", layer="top"), BOX)

    kept = keep_aside(tables.context, [("image", "image"), ("layer", "base")], "cstore rm --keep")
    assert [type(error) for *_, error in kept.failed] == [ImageUsedByContainer, LayerHasChildren]
    assert (kept.done, kept.case) == ((), "")
    assert keep_aside(tables.context, [("container", "box"), ("image", "image")], "x").done == (
        ("container", "box"), ("image", "image"),
    )  # fmt: skip
    assert left(tables) == set()


def test_damaged_records_refuse_by_the_file(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.text(ItemKind.IMAGES, b"[{")
    flaw = of_store("records-damaged", "/g/images.json", "a sentence", reason="a reason")

    with pytest.raises(RecordsDamaged, match="a reason"):
        remove_damaged(tables.context, Report(findings=(flaw,)), containers=False)
