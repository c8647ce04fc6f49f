"""Composefs layers healed as what they are: which contents are put back, from where, and what is checked."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.check.findings import of_layer
from cstore.check.image_contents import contents_named
from cstore.check.repair.heal_images import _checked, is_image_layer, plan_in_place
from cstore.check.repair.plan import Step
from cstore.errors import ContentDamaged, LayerUnknown
from cstore.layout import COMPOSEFS_IMAGE
from cstore.records.model import Layer
from cstore.store.places import ItemKind
from tests.builders import composefs_layer, flip_byte_of
from tests.unit.check.tables import Tables, identifier, read

if TYPE_CHECKING:
    from pathlib import Path

FIRST = "sha256:" + "1" * 64
FINDING = of_layer("file-missing", "a", "x", part="f", path="f")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of a composefs layer."""
    return composefs_layer(str(tmp_path_factory.mktemp("composefs")))


@pytest.fixture
def tables(sound: str, tmp_path: Path) -> Tables:
    """A store with that layer, and a plain one."""
    tables = Tables(tmp_path / "own", Layer(id="a", diff_digest=FIRST), Layer(id="plain"), driver="overlay")
    shutil.copytree(sound, tables.context.driver.path_of("a"), dirs_exist_ok=True)
    return tables


def content(tables: Tables, layer: str = "a") -> str:
    """A file with a content of a layer."""
    folder = tables.context.driver.path_of(layer)
    return os.path.join(folder, "diff", next(iter(contents_named(os.path.join(folder, COMPOSEFS_IMAGE)))))


def test_which_layers_are_images(tables: Tables) -> None:
    """One that has lost its image is known by the finding."""
    image = os.path.join(tables.context.driver.path_of("plain"), COMPOSEFS_IMAGE)
    view = tables.view()

    assert is_image_layer(view, FINDING)
    assert not is_image_layer(view, of_layer("file-missing", "plain", "x", path="f"))
    assert is_image_layer(view, of_layer("layer-unreadable", "plain", "x", path=image))


@pytest.mark.usefixtures("needs_root")
def test_a_content_comes_from_a_file_of_its_digest(tables: Tables, tmp_path: Path) -> None:
    """From a source or another layer; without either the layer is not healed so."""
    path = content(tables)
    data = read(path)
    os.unlink(path)
    assert plan_in_place(tables.view(), FINDING) is None

    with open(tmp_path / "source", "wb") as file:
        file.write(data)
    step = plan_in_place(tables.view(str(tmp_path / "source")), FINDING)
    assert isinstance(step, Step)
    assert (step.action.word, step.evidence) == ("restore-files", "the names are the digests")
    with tables.repairing(str(tmp_path / "source")) as repair:
        step.act(repair)
    assert read(path) == data


@pytest.mark.usefixtures("needs_root")
def test_another_layer_has_the_same_content(tables: Tables, sound: str) -> None:
    """The damaged one is in quarantine; the copy has no permissions, as all contents."""
    tables.records(ItemKind.LAYERS, [Layer(id="a", diff_digest=FIRST), Layer(id="b", diff_digest=FIRST)])
    shutil.copytree(sound, tables.context.driver.path_of("b"))
    path = content(tables)
    flip_byte_of(path)
    step = plan_in_place(tables.view(), FINDING)

    assert step is not None
    assert tables.carry_out(step) == [os.path.relpath(path, tables.context.layout.graph_root)]
    assert read(path) == read(content(tables, "b"))


@pytest.mark.parametrize("kind", ["tar-split-missing", "tar-split-damaged"])
def test_a_tar_split_is_nothing_that_an_image_has(tables: Tables, kind: str) -> None:
    os.unlink(content(tables))

    assert plan_in_place(tables.view(), of_layer(kind, "a", "x")) is None


def test_without_a_digest_no_other_layer_is_known_to_be_the_same(tables: Tables) -> None:
    tables.records(ItemKind.LAYERS, [Layer(id="a")])

    assert plan_in_place(tables.view(), FINDING) is None


def test_another_layer_in_its_place_is_left_alone(tables: Tables, sound: str) -> None:
    tables.records(ItemKind.LAYERS, [Layer(id="a", diff_digest=FIRST), Layer(id="b", diff_digest=FIRST)])
    shutil.copytree(sound, tables.context.driver.path_of("b"))
    path = content(tables)
    os.unlink(path)
    step = plan_in_place(tables.view(), FINDING)
    tables.records(ItemKind.LAYERS, [Layer(id="a", diff_digest="sha256:" + "2" * 64)])

    assert step is not None
    with pytest.raises(LayerUnknown):
        tables.carry_out(step)
    assert not os.path.exists(path)


def test_bytes_that_have_changed_in_the_source_never_get_the_name() -> None:
    """The last part is not given before the digest was looked at, so the file is not renamed."""
    assert b"".join(_checked(iter([b"a", b"b"]), "layer", "/x", identifier("ab"))) == b"ab"
    with pytest.raises(ContentDamaged, match="has changed in the source"):
        list(_checked(iter([b"a", b"c"]), "layer", "/x", identifier("ab")))
