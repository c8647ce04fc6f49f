"""Lost container records: which layer was whose, and what the engine's files tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cstore.check.repair.container_records import ContainerRecords, layers_of_lost, writable_layers
from cstore.digests import digest_of
from cstore.records.codec import encode
from cstore.records.model import Container, IDMapEntry, Image, Layer
from cstore.store.places import ItemKind
from tests.builders import directory
from tests.unit.check.tables import Tables, identifier

if TYPE_CHECKING:
    from pathlib import Path

FIRST = "sha256:" + "1" * 64
OWN, SECOND = identifier("own"), identifier("second")
BOX, OTHER = identifier("box"), identifier("other")


def test_layers_that_may_have_been_a_containers_own(tmp_path: Path) -> None:
    """Without an archive, a name, a user and a child; recorded or not."""
    tables = Tables(
        tmp_path, Layer(id="base"), Layer(id="own", parent="base"), Layer(id="imported", diff_digest=FIRST),
        Layer(id="named", names=("n",)), Layer(id="top"), Image(id="image", layer="top"), Layer(id="used"),
        Container(id="box", layer="used"), trees=["lost", "split"],
    )  # fmt: skip
    tables.archive("split", directory("d"))

    assert writable_layers(tables.view().survivors) == ["own", "lost"]


def test_the_engines_files_name_the_layer(tmp_path: Path) -> None:
    """Else one layer and one container that are left belong together; of two nobody knows which is whose."""
    tables = Tables(tmp_path, trees=[OWN])
    tables.item("container", BOX, "state", b"/var/lib/" + OWN.encode() + b"/merged")
    tables.item("container", OTHER, "state", b"nothing")
    assert layers_of_lost(tables.view().survivors) == {OWN: BOX}

    left = Tables(tmp_path / "left", trees=[OWN])
    left.item("container", BOX, "state", b"nothing")
    assert layers_of_lost(left.view().survivors) == {OWN: BOX}
    left.item("container", OTHER, "state", b"nothing")
    assert layers_of_lost(left.view().survivors) == {}


def test_what_is_left_of_the_record_names_it_first(tmp_path: Path) -> None:
    tables = Tables(tmp_path, trees=[OWN, SECOND])
    tables.item("container", BOX, "state", OWN.encode())
    tables.text(ItemKind.CONTAINERS, b"[" + encode(Container(id=BOX, layer=SECOND))[:-1] + b",,")

    assert layers_of_lost(tables.view().survivors) == {SECOND: BOX}


def rebuilt(tables: Tables, layer: Layer | None, images: dict[str, str]) -> tuple[list[Container], list[str]]:
    """The record of the container, if one can be made; and those that are lost."""
    layers = {layer.id: layer} if layer else {}
    records = ContainerRecords(tables.view().survivors, {OWN: BOX}, layers)
    return [one.record for one in records.rebuild(images)], [name for name, _ in records.lost]


def test_a_container_is_what_its_layer_and_its_files_tell(tmp_path: Path) -> None:
    """The image below, the map and the label of the layer, the items that lie there."""
    layer = Layer(id=OWN, parent="top", created="2026-01-02T03:04:05Z", uid_map=(IDMapEntry(0, 1, 2),), mount_label="l")
    tables = Tables(tmp_path, layer)
    tables.item("container", BOX, "key", b"value")

    ((box,), lost) = rebuilt(tables, layer, {"top": "image"})
    assert (box.image, box.layer, box.created) == ("image", OWN, layer.created)
    assert (box.uid_map, box.flags["MountLabel"]) == (layer.uid_map, "l")
    assert (box.data_names, box.data_digests) == (("key",), {"key": digest_of(b"value")})
    assert lost == []


def test_a_container_without_a_layer_is_lost(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    tables.item("container", BOX, "key", b"value")

    assert rebuilt(tables, None, {}) == ([], [BOX])


def test_a_name_is_taken_from_settings_that_know_the_container(tmp_path: Path) -> None:
    """Not its ID, and none that another container has."""
    layer = Layer(id=OWN)
    settings = {"container-id": BOX, "container-name": "mine"}
    for number, (text, others, names) in enumerate((
        (settings, (), ("mine",)),
        ({**settings, "container-name": BOX}, (), ()),
        ({**settings, "container-id": OTHER}, (), ()),
        (settings, (Container(id="x", names=("mine",)),), ()),
    )):  # fmt: skip
        tables = Tables(tmp_path / str(number), layer, *others)
        tables.item("container", BOX, "buildah.json", json.dumps(text).encode())
        ((box,), _) = rebuilt(tables, layer, {})
        assert box.names == names
