"""Lost image records: their layers, names and items, and the images of which no record can be made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cstore.check.repair.image_records import ImageRecords, top_layer
from cstore.digests import digest_of
from cstore.oci.chain import layer_ids
from cstore.records.codec import encode
from cstore.records.model import Container, IDMapEntry, Image, Layer
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")
CONFIG = json.dumps({"created": "2026-01-02T03:04:05Z", "rootfs": {"type": "layers", "diff_ids": [FIRST]}}).encode()
IMAGE = digest_of(CONFIG).removeprefix("sha256:")
LAYER = Layer(id="layer", diff_digest=FIRST)


def rebuilt(
    tables: Tables, names: Mapping[str, Sequence[str]] | None = None
) -> tuple[dict[str, Image], dict[str, str]]:
    """The records that can be made, and why others cannot."""
    view = tables.view()
    layers = {name: layer for name, (layer, _) in view.snapshot.all_layers.items()}
    records = ImageRecords(view.survivors, layers, names or {})
    made = {one.record.id: one.record for one in records.rebuild()}
    return made, dict(records.lost)


def with_config(tables: Tables, identifier: str = IMAGE) -> Tables:
    """The store, with the config of an image."""
    tables.item("image", identifier, digest_of(CONFIG), CONFIG)
    return tables


def test_a_config_tells_layers_and_time_and_the_items_are_what_lies_there(tmp_path: Path) -> None:
    made, _ = rebuilt(with_config(Tables(tmp_path, LAYER)))

    image, key = made[IMAGE], digest_of(CONFIG)
    assert (image.layer, image.created, image.names) == ("layer", "2026-01-02T03:04:05Z", ())
    assert (image.data_names, image.data_sizes, image.data_digests) == ((key,), {key: len(CONFIG)}, {key: key})


def test_without_config_record_or_container_it_is_lost(tmp_path: Path) -> None:
    tables = Tables(tmp_path, LAYER)
    tables.item("image", "image", "signature", b"")

    made, lost = rebuilt(tables)
    assert made == {}
    assert "no config" in lost["image"]


def test_containers_tell_the_top_layer_if_they_agree(tmp_path: Path) -> None:
    layers = LAYER, Layer(id="other"), Layer(id="a", parent="layer"), Layer(id="b", parent="other")
    boxes = Container(id="x", image="image", layer="a"), Container(id="y", image="image", layer="b")
    for count, expected in ((1, {"image": "layer"}), (2, {})):
        tables = Tables(tmp_path / str(count), *layers, *boxes[:count])
        tables.item("image", "image", "signature", b"")
        assert {name: image.layer for name, image in rebuilt(tables)[0].items()} == expected


def box(**metadata: Any) -> Container:
    """A container with what an engine noted of it."""
    return Container(id="box", image=IMAGE, layer="own", metadata=json.dumps(metadata))


def test_names_are_those_given_then_those_left_then_those_that_containers_noted(tmp_path: Path) -> None:
    """None that another image has."""
    own = Layer(id="own", parent="layer")
    tables = with_config(Tables(tmp_path, LAYER, own, box(**{"image-id": IMAGE, "image-name": "noted"})))

    assert rebuilt(tables)[0][IMAGE].names == ("noted",)
    assert rebuilt(tables, {IMAGE[:6]: ["given"]})[0][IMAGE].names == ("given",)
    assert rebuilt(tables, {"": ["given"], "ffffff": ["given"]})[0][IMAGE].names == ("noted",)
    tables.records(ItemKind.IMAGES, [Image(id="other", names=("noted",))])
    assert rebuilt(tables)[0][IMAGE].names == ()


def test_the_id_that_a_container_was_made_by_is_no_name(tmp_path: Path) -> None:
    """Nor is metadata that makes no sense."""
    for number, name in enumerate((IMAGE[:12], 7, "")):
        noted = box(**{"image-id": IMAGE, "image-name": name})
        tables = with_config(Tables(tmp_path / str(number), LAYER, Layer(id="own", parent="layer"), noted))
        assert rebuilt(tables)[0][IMAGE].names == ()


def test_what_is_left_of_the_record_is_believed_for_what_nothing_else_tells(tmp_path: Path) -> None:
    """The items are those that lie there, and the layer is the config's."""
    tables = with_config(Tables(tmp_path, LAYER))
    row = Image(
        id=IMAGE, names=("mine",), metadata="m", layer="gone", data_names=("gone",), created="2020-01-01T00:00:00Z"
    )  # fmt: skip
    tables.text(ItemKind.IMAGES, b"[" + encode(row)[:-1] + b",,")

    image = rebuilt(tables)[0][IMAGE]
    assert (image.names, image.metadata, image.created) == (("mine",), "m", "2020-01-01T00:00:00Z")
    assert (image.layer, image.data_names) == ("layer", (digest_of(CONFIG),))


def test_copies_of_the_top_layer_with_other_owners_belong_to_the_image(tmp_path: Path) -> None:
    """If nobody else has them, and nobody named them."""
    mapped = LAYER.with_(id="copy", uid_map=(IDMapEntry(0, 1000, 10),))
    others = mapped.with_(id="named", names=("n",)), mapped.with_(id="taken"), mapped.with_(id="far", parent="plain")
    layers = LAYER, mapped, LAYER.with_(id="plain"), *others
    tables = with_config(Tables(tmp_path, *layers, Image(id="other", layer="taken")))

    assert rebuilt(tables)[0][IMAGE].mapped_layers == ("copy",)


def test_one_name_goes_to_one_image(tmp_path: Path) -> None:
    """The first of those that would get it."""
    tables = Tables(tmp_path, LAYER)
    for name in ("a", "b"):
        tables.item("image", name, digest_of(CONFIG), CONFIG)
        tables.item("image", name, "manifest", json.dumps({"config": {"digest": digest_of(CONFIG)}}).encode())

    made, _ = rebuilt(tables, {"a": ["mine"], "b": ["mine"]})
    assert [made[name].names for name in ("a", "b")] == [("mine",), ()]


def test_the_top_layer_of_a_config(tmp_path: Path) -> None:
    """By its usual ID, else by digests from below; a copy with other owners only where nothing else fits."""
    del tmp_path
    usual = layer_ids([FIRST, SECOND])
    base, top = Layer(id="base", diff_digest=FIRST), Layer(id="top", parent="base", diff_digest=SECOND)
    mapped = top.with_(id="a", uid_map=(IDMapEntry(0, 1000, 10),))

    def found(*layers: Layer) -> str:
        return top_layer([FIRST, SECOND], {layer.id: layer for layer in layers})

    assert found(Layer(id=usual[-1]), base, top) == usual[-1]
    assert found(base, top) == "top"
    assert found(base, mapped, top) == "top"
    assert found(base, mapped) == "a"
    assert found(top) == ""
    assert found(base, top.with_(parent="other")) == ""
    assert top_layer([], {"base": base}) == ""
