"""What is taken out into quarantine when it cannot be healed, and what stays because somebody needs it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cstore.check.findings import KINDS, Finding, Subject, of_layer, of_store
from cstore.check.repair.put_aside import container_aside, image_aside, layer_aside, put_aside
from cstore.errors import (
    ContainerOccupied,
    ImageUsedByContainer,
    LayerHasChildren,
    LayerUsedByContainer,
    LayerUsedByImage,
)
from cstore.records.model import Container, Image, Layer
from cstore.store.reading import Reader
from tests.unit.check.tables import Tables, planned, write

if TYPE_CHECKING:
    from pathlib import Path

CHAIN = Layer(id="base"), Layer(id="top", parent="base"), Layer(id="own", parent="top")
IMAGE, BOX = Image(id="image", layer="top"), Container(id="box", image="image", layer="own")

PARTS = ("file-", "tar-split-", "layer-data-", "container-data-missing", "container-data-unreadable")
NEVER = [kind for kind in KINDS if kind.startswith(PARTS)]


@pytest.mark.parametrize("kind", NEVER)
def test_a_part_never_costs_the_whole(tmp_path: Path, kind: str) -> None:
    """More would be lost than is: a file never costs a layer, an item never a container."""
    subject = Subject("container" if kind.startswith("container") else "layer", "x")

    assert list(put_aside(Tables(tmp_path).view(), Finding(kind, subject, "x"))) == []


def test_only_what_lies_in_the_store_itself_is_taken_out(tmp_path: Path) -> None:
    """A lost item whole, a leftover by its path, an unaccounted layer by its directory; nothing of other stores."""
    view = Tables(tmp_path).view()
    outcomes = [
        *put_aside(view, of_layer("layer-tree-missing", "x", "x")),
        *put_aside(view, of_layer("layer-unaccounted", "y", "x")),
        *put_aside(view, of_store("leftover-data", "/g/z", "x")),
        *put_aside(view, of_store("place-wrong", "/g/vfs", "x")),
        *put_aside(view, of_layer("layer-tree-missing", "x", "x", read_only=True)),
    ]

    assert planned(outcomes) == [("take-out", "x"), ("take-out", "y"), ("take-out", "/g/z")]


def left(tables: Tables) -> set[str]:
    """What is recorded still."""
    reader = Reader(tables.context)
    return {*reader.layers.ids(), *reader.images.ids(), *reader.containers.ids()}


def test_a_layer_goes_with_its_directory_its_tar_split_and_its_data(tmp_path: Path) -> None:
    """All of it is in the case, from which it can be brought back."""
    tables = Tables(tmp_path, Layer(id="layer", data_names=("key",)))
    write(tables.context.layout.tar_split("layer"), b"split")
    tables.item("layer", "layer", "key", b"value")
    with tables.repairing() as repair:
        layer_aside("layer", repair)
        case = repair.quarantine.case

    assert left(tables) == set()
    assert case is not None
    taken = {os.path.basename(getattr(entry, "path", "")) for entry in case.entries}
    assert {"layer", "layer.tar-split.gz"} <= taken
    assert not os.path.exists(tables.tree("layer"))


@pytest.mark.parametrize(
    ("layer", "error"), [("base", LayerHasChildren), ("top", LayerHasChildren), ("own", LayerUsedByContainer)]
)
def test_a_layer_that_something_needs_stays(tmp_path: Path, layer: str, error: type[Exception]) -> None:
    tables = Tables(tmp_path, *CHAIN, IMAGE, BOX)
    with tables.repairing() as repair, pytest.raises(error):
        layer_aside(layer, repair)

    assert left(tables) == {"base", "top", "own", "image", "box"}


def test_an_images_top_layer_stays(tmp_path: Path) -> None:
    tables = Tables(tmp_path, *CHAIN[:2], IMAGE)
    with tables.repairing() as repair, pytest.raises(LayerUsedByImage):
        layer_aside("top", repair)


def test_an_image_goes_with_the_layers_that_it_alone_has(tmp_path: Path) -> None:
    """Down to the first one that something else needs."""
    others = Layer(id="mapped", parent="base"), Layer(id="other", parent="base")
    tables = Tables(tmp_path, *CHAIN[:2], *others, IMAGE.with_(mapped_layers=("mapped",)))
    with tables.repairing() as repair:
        image_aside("image", repair)

    assert left(tables) == {"base", "other"}


def test_a_container_keeps_the_layers_of_its_image(tmp_path: Path) -> None:
    """A damaged image's record goes; with `unused`, as for one that is sound, nothing does."""
    tables = Tables(tmp_path, *CHAIN, IMAGE, BOX)
    with tables.repairing() as repair:
        with pytest.raises(ImageUsedByContainer):
            image_aside("image", repair, unused=True)
        assert "image" in left(tables)
        image_aside("image", repair)

    assert left(tables) == {"base", "top", "own", "box"}


def test_a_container_goes_with_its_own_layer(tmp_path: Path) -> None:
    tables = Tables(tmp_path, *CHAIN, IMAGE, BOX)
    tables.item("container", "box", "key", b"value")
    with tables.repairing() as repair:
        container_aside("box", repair)

    assert left(tables) == {"base", "top", "image"}
    assert not os.path.exists(tables.context.layout.container_data("box"))


def test_a_container_goes_even_if_its_layer_has_children(tmp_path: Path) -> None:
    """The layer stays for them, and the error says so."""
    tables = Tables(tmp_path, *CHAIN, Layer(id="child", parent="own"), IMAGE, BOX)
    with tables.repairing() as repair, pytest.raises(LayerHasChildren):
        container_aside("box", repair)

    assert left(tables) == {"base", "top", "own", "child", "image"}


def test_a_container_that_somebody_lives_in_stays(tmp_path: Path) -> None:
    """If it is sound; one that is damaged goes whatever becomes of its processes."""
    tables = Tables(tmp_path, *CHAIN, IMAGE, BOX)
    with subprocess.Popen(["sleep", "60"], cwd=tables.tree("own")) as process, tables.repairing() as repair:
        try:
            with pytest.raises(ContainerOccupied):
                container_aside("box", repair, unused=True)
            assert "box" in left(tables)
            container_aside("box", repair)
        finally:
            process.kill()

    assert "box" not in left(tables)


def test_what_is_gone_is_taken_out_already(tmp_path: Path) -> None:
    """No case is opened for nothing."""
    tables = Tables(tmp_path)
    with tables.repairing() as repair:
        image_aside("image", repair)
        container_aside("box", repair)
        assert repair.quarantine.case is None


def test_of_an_unsafe_id_only_the_record_goes(tmp_path: Path) -> None:
    """Nothing that its path leads to is its own."""
    tables = Tables(tmp_path, Image(id="../x"))
    write(str(tmp_path / "graph/x/manifest"), b"somebody's")
    with tables.repairing() as repair:
        image_aside("../x", repair)

    assert left(tables) == set()
    assert os.path.exists(tmp_path / "graph/x/manifest")


def test_of_a_layer_with_an_unsafe_id_only_the_record_goes(tmp_path: Path) -> None:
    """Not even the tree that the driver would find under its name, which is that of the store's own file."""
    tables = Tables(tmp_path, Layer(id="layers.lock"))
    write(os.path.join(tables.tree("layers.lock"), "file"), b"somebody's")
    with tables.repairing() as repair:
        layer_aside("layers.lock", repair)

    assert left(tables) == set()
    assert os.path.exists(os.path.join(tables.tree("layers.lock"), "file"))
