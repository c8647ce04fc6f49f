"""Which items a check was asked about, and the union of all that needs no contents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.findings import of_image, of_layer, of_store
from cstore.check.options import CheckOptions
from cstore.check.survey import Scope, survey
from cstore.errors import ImageUnknown, LayerUnknown
from cstore.records.model import Container, Image, Layer
from tests.unit.check.tables import Tables, identifier, told

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = Layer(id="base"), Layer(id="top", parent="base", names=("named",)), Layer(id="other")


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """Two chains, an image on one of them, whose record names a lost mapped layer, and a container of nothing."""
    return Tables(
        tmp_path, *LAYERS, Image(id="image", layer="top", mapped_layers=("gone",)), Container(id="box", layer="lost")
    )


def wanted(tables: Tables, **options: Any) -> set[str]:
    """The layers and images that are looked at."""
    scope = Scope(tables.snapshot, CheckOptions(**options))
    kinds = {"base": "layer", "top": "layer", "other": "layer", "image": "image"}
    return {name for name, kind in kinds.items() if scope.wants(kind, name)}


def test_everything_unless_something_is_named(tables: Tables) -> None:
    assert wanted(tables) == {"base", "top", "other", "image"}


def test_a_layer_stands_for_itself_and_an_image_for_all_its_layers(tables: Tables) -> None:
    assert wanted(tables, layers=("named",)) == {"top"}
    assert wanted(tables, images=("image",)) == {"image", "top", "base"}


def test_an_unfinished_layer_can_be_asked_about(tmp_path: Path) -> None:
    """No other command finds it, and a check is what tells of it."""
    name = identifier("half")
    tables = Tables(tmp_path, Layer(id=name, flags={"incomplete": True}))

    assert Scope(tables.snapshot, CheckOptions(layers=(name,))).wants("layer", name)


def test_what_is_not_there_is_an_error(tables: Tables) -> None:
    with pytest.raises(LayerUnknown):
        Scope(tables.snapshot, CheckOptions(layers=("image",)))
    with pytest.raises(ImageUnknown):
        Scope(tables.snapshot, CheckOptions(images=("top",)))


def test_damaged_record_files_concern_every_item(tables: Tables) -> None:
    """What they no longer say may be about it."""
    scope = Scope(tables.snapshot, CheckOptions(layers=("top",)))

    assert scope.heeds(of_store("records-damaged", "/g/vfs-layers/layers.json", "it is cut"))
    assert scope.heeds(of_layer("parent-missing", "top", "x"))
    assert not scope.heeds(of_layer("parent-missing", "other", "x"))
    assert not scope.heeds(of_image("image-layer-missing", "image", "x"))
    assert not scope.heeds(of_store("leftover-data", "/g/x", "x"))


def test_a_survey_of_a_part_leaves_out_the_rest(tables: Tables) -> None:
    snapshot = tables.snapshot

    def found(**options: Any) -> list[tuple[str, str]]:
        chosen = CheckOptions(**options)
        return told(survey(snapshot, Scope(snapshot, chosen), chosen))

    assert ("container-layer-missing", "box") in found()
    assert found(layers=("base",)) == []
    assert ("image-layer-missing", "image") in found(images=("image",))
    assert ("container-layer-missing", "box") not in found(images=("image",))


def test_each_finding_comes_once(tmp_path: Path) -> None:
    """However many parts of a survey come upon it."""
    tables = Tables(tmp_path, Image(id="image", layer="gone", mapped_layers=("gone", "gone")))
    snapshot = tables.snapshot
    found = told(survey(snapshot, Scope(snapshot, CheckOptions()), CheckOptions()))

    assert found.count(("image-layer-missing", "image")) == 1
