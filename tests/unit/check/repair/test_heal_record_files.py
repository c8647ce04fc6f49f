"""Record files written again: what is readable stays byte for byte, what is lost is made anew, each once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cstore.check.repair.heal_record_files import Rebuilding, heal_record_files
from cstore.check.repair.plan import Step, Unrepairable
from cstore.digests import digest_of
from cstore.records.codec import encode
from cstore.records.model import Container, Image, Layer
from cstore.records.table import Location
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from tests.unit.check.tables import Tables, identifier, planned, read

if TYPE_CHECKING:
    from pathlib import Path

FIRST = "sha256:" + "1" * 64
CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": [FIRST]}}).encode()
IMAGE = digest_of(CONFIG).removeprefix("sha256:")
LOST = identifier("lost")


def file_of(tables: Tables, item_kind: ItemKind = ItemKind.LAYERS) -> str:
    """The record file of a kind."""
    return tables.context.places[item_kind].files[Location.STABLE]


def healed(tables: Tables, item_kind: ItemKind = ItemKind.LAYERS) -> list[Step | Unrepairable]:
    """What is planned for one damaged file."""
    return list(heal_record_files(tables.view().survivors, {(item_kind, file_of(tables, item_kind)): "it is cut"}, {}))


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """A file of layer records of which one can be read, and a layer that an image needs without its record."""
    tables = Tables(tmp_path, Image(id="image", layer=LOST), trees=["sound", LOST])
    tables.text(ItemKind.LAYERS, b'[{"id":"sound","unknown":{"x":1}},{"id":')
    return tables


def test_what_can_be_read_stays_byte_for_byte(tables: Tables) -> None:
    """Fields that we do not know, too; the old file is in quarantine."""
    (step,) = healed(tables)
    assert isinstance(step, Step)
    assert (step.action.word, step.subject.path) == ("write-record-file", file_of(tables))
    assert step.what.endswith("1 readable records, 1 recovered")

    taken = tables.carry_out(step)
    assert taken == ["vfs-layers/layers.json"]
    assert b'{"id":"sound","unknown":{"x":1}}' in read(file_of(tables))
    assert Reader(tables.context).layers.ids() == ["sound", LOST]


def test_a_file_that_is_sound_by_now_is_left_alone(tables: Tables) -> None:
    """Somebody may have restored it from a backup."""
    steps = healed(tables)
    tables.records(ItemKind.LAYERS, [Layer(id="restored")])

    assert tables.carry_out(*steps) == []
    assert Reader(tables.context).layers.ids() == ["restored"]


def test_of_records_with_one_id_the_first_stays(tables: Tables) -> None:
    rows = encode(Layer(id="sound", metadata="first")), encode(Layer(id="sound", metadata="second"))
    tables.text(ItemKind.LAYERS, b"[" + b",".join(rows) + b",{")

    tables.carry_out(*healed(tables))
    assert [layer.metadata for layer in Reader(tables.context).layers if layer.id == "sound"] == ["first"]


def test_what_cannot_be_made_again_is_told_while_it_can_be(tables: Tables) -> None:
    """Once the file is written, nothing tells of it any more."""
    tables.records(ItemKind.IMAGES, [])
    *_, lost = healed(tables)

    assert isinstance(lost, Unrepairable)
    assert (lost.subject.id, lost.last_seen) == (LOST, True)


def test_only_damaged_files_are_written(tables: Tables) -> None:
    assert planned(heal_record_files(tables.view().survivors, {}, {})) == []


def test_each_kind_stands_on_those_before(tmp_path: Path) -> None:
    """With all three files gone: the image by its config, on the layer that was made again; the container on both."""
    layer, own, box = identifier("layer"), identifier("own"), identifier("box")
    tables = Tables(tmp_path, trees=[layer, own])
    for item_kind in ItemKind:
        tables.text(item_kind, b"[{")
    tables.item("image", IMAGE, digest_of(CONFIG), CONFIG)
    tables.item("container", box, "state", own.encode())
    rows = Layer(id=own, parent=layer), Layer(id=layer, diff_digest=FIRST)
    tables.text(ItemKind.LAYERS, b"[" + b",".join(map(encode, rows)) + b",{")

    made = Rebuilding(tables.view().survivors, {IMAGE[:9]: ["mine"]}).made
    (image,), (container,) = made[ItemKind.IMAGES], made[ItemKind.CONTAINERS]
    assert (image.record.id, image.record.layer, image.record.names) == (IMAGE, layer, ("mine",))
    assert container.record.with_(data_sizes={}, data_digests={}, created="", flags={}) == Container(
        id=box, image=IMAGE, layer=own, data_names=("state",), created=""
    )


def test_an_image_without_names_gets_advice(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="layer", diff_digest=FIRST))
    tables.text(ItemKind.IMAGES, b"[{")
    tables.item("image", IMAGE, digest_of(CONFIG), CONFIG)

    (step,) = healed(tables, ItemKind.IMAGES)
    assert isinstance(step, Step)
    assert f"cstore add-names --name NAME {IMAGE}" in step.advice
