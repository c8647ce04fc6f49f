"""Lost data items: whose bytes are taken, by which digest; and what is written down where only the record is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.findings import Finding, Subject, of_container, of_image, of_layer
from cstore.check.repair.heal_items import config, container_item, image_item, layer_item, manifest
from cstore.check.repair.plan import Step
from cstore.digests import digest_of
from cstore.oci.chain import layer_ids
from cstore.oci.config import parse_config
from cstore.oci.media_types import made_up_manifest
from cstore.records.model import Container, Image, Layer
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from tests.unit.check.tables import Tables, identifier, planned, read, write

if TYPE_CHECKING:
    from pathlib import Path

FIRST = "sha256:" + "1" * 64
CONFIG = json.dumps({"rootfs": {"type": "layers", "diff_ids": [FIRST]}}).encode()
NAMED = {"digest": digest_of(CONFIG), "size": len(CONFIG), "mediaType": "application/vnd.oci.image.config.v1+json"}
MANIFEST = json.dumps({"schemaVersion": 2, "config": NAMED, "layers": [{"digest": FIRST, "size": 1}]}).encode()
IMAGE, OTHER = identifier("image"), identifier("other")


def record(**items: bytes) -> Image:
    """An image whose record has these items."""
    named = {key.replace("_", ":"): data for key, data in items.items()}
    return Image(
        id=IMAGE, data_names=tuple(named), data_sizes={key: len(data) for key, data in named.items()},
        data_digests={key: digest_of(data) for key, data in named.items()},
    )  # fmt: skip


def lost(key: str, kind: str = "image-data-missing") -> Finding:
    """An item of the image that is lost."""
    return of_image(kind, IMAGE, "x", part=key, key=key)


def items(tables: Tables, image: str = IMAGE) -> dict[str, bytes]:
    """What the items of the image are, read by their keys."""
    files = tables.view().survivors.image_files[image]
    return {key: data for key in files.keys if (data := files.read(key)) is not None}


SOURCES = ["another key", "another image", "a file"]


@pytest.mark.parametrize("where", SOURCES)
def test_an_item_is_known_by_its_digest_wherever_it_is(tmp_path: Path, where: str) -> None:
    """Under another key of the image, in another image, in a file that was given."""
    tables = Tables(tmp_path, record(signature=b"bytes"), Image(id=OTHER))
    source = str(tmp_path / "bytes")
    if where == "another key":
        tables.item("image", IMAGE, "else", b"bytes")
    elif where == "another image":
        tables.item("image", OTHER, "key", b"bytes")
    write(source, b"bytes" if where == "a file" else b"other")

    steps = list(image_item(tables.view(source), lost("signature")))
    assert planned(steps) == [("write-item", IMAGE)]
    tables.carry_out(*steps)
    assert items(tables)["signature"] == b"bytes"


def test_without_such_bytes_the_digest_is_named(tmp_path: Path) -> None:
    """Or that none is recorded by which they could be known."""
    tables = Tables(tmp_path, record(signature=b"bytes"))

    (with_digest,) = planned(image_item(tables.view(), lost("signature")))
    assert with_digest == (f"no copy with the digest {digest_of(b'bytes')} exists", IMAGE)
    (without,) = planned(image_item(tables.view(), lost("unknown")))
    assert without == ("no digest is recorded", IMAGE)


def test_a_key_that_is_a_digest_goes_before_the_record(tmp_path: Path) -> None:
    """The item has the digest that its key names, so only size and digest are recorded again."""
    key = digest_of(CONFIG)
    wrong = Image(id=IMAGE, data_names=(key,), data_sizes={key: 1}, data_digests={key: FIRST})
    tables = Tables(tmp_path, wrong)
    tables.item("image", IMAGE, key, CONFIG)

    steps = list(image_item(tables.view(), lost(key, "image-data-digest")))
    assert planned(steps) == [("record-item", IMAGE)]
    tables.carry_out(*steps)
    after = Reader(tables.context).images.get(IMAGE)
    assert after is not None
    assert (after.data_sizes[key], after.data_digests[key]) == (len(CONFIG), key)


def test_bytes_of_the_recorded_digest_do_not_belong_under_the_key_of_another(tmp_path: Path) -> None:
    """The record is wrong then, and has no say against the key."""
    key = digest_of(CONFIG)
    tables = Tables(tmp_path, Image(id=IMAGE, data_names=(key,), data_digests={key: digest_of(b"else")}))
    tables.item("image", IMAGE, "else", b"else")

    reason = f"no copy with the digest {digest_of(b'else')} exists"
    assert planned(image_item(tables.view(), lost(key))) == [(reason, IMAGE)]


def test_what_somebody_has_written_meanwhile_stays(tmp_path: Path) -> None:
    """Item or record: the plan was made for what was there then."""
    for change in ("item", "record"):
        tables = Tables(tmp_path / change, record(signature=b"bytes"))
        tables.item("image", IMAGE, "else", b"bytes")
        steps = list(image_item(tables.view(), lost("signature")))
        if change == "item":
            tables.item("image", IMAGE, "signature", b"newer")
        else:
            tables.records(ItemKind.IMAGES, [record(signature=b"newer")])

        assert tables.carry_out(*steps) == []
        assert items(tables).get("signature") == (b"newer" if change == "item" else None)


# ── documents ──


def test_a_manifest_comes_from_the_copy_under_its_digest(tmp_path: Path) -> None:
    key = f"manifest-{digest_of(MANIFEST)}"
    tables = Tables(tmp_path, record(**{key: MANIFEST}).with_(digest=digest_of(MANIFEST)))
    tables.item("image", IMAGE, key, MANIFEST)

    steps = list(manifest(tables.view(), of_image("image-manifest-missing", IMAGE, "x")))
    assert planned(steps) == [("write-item", IMAGE)]
    tables.carry_out(*steps)
    assert items(tables)["manifest"] == MANIFEST
    after = Reader(tables.context).images.get(IMAGE)
    assert after is not None
    assert "manifest" in after.data_names


def test_a_manifest_must_make_sense_whatever_its_digest(tmp_path: Path) -> None:
    """One that was damaged before its digest was recorded is no cure."""
    tables = Tables(tmp_path, record(manifest=b"{}"))
    tables.item("image", IMAGE, "copy", b"{}")

    finding = of_image("image-manifest-broken", IMAGE, "x")
    assert planned(manifest(tables.view(), finding)) == [("no copy of it is left", IMAGE)]


def test_a_lost_config_is_found_by_the_digest_that_the_manifest_names(tmp_path: Path) -> None:
    """What has that digest and is no config is what the manifest wrongly names."""
    key = digest_of(CONFIG)
    tables = Tables(tmp_path, record(manifest=MANIFEST), Image(id=OTHER))
    tables.item("image", IMAGE, "manifest", MANIFEST)
    finding = of_image("image-config-missing", IMAGE, "x", part=key)
    assert planned(config(tables.view(), finding)) == [("no copy of it is left", IMAGE)]

    tables.item("image", OTHER, "aside", CONFIG)
    steps = list(config(tables.view(), finding))
    assert planned(steps) == [("write-item", IMAGE)]
    tables.carry_out(*steps)
    assert items(tables)[key] == CONFIG
    odd = of_image("image-config-broken", IMAGE, "x", part=digest_of(MANIFEST))
    assert planned(config(tables.view(), odd)) == [("no copy of it is left", IMAGE)]


def test_a_manifest_that_was_made_up_is_made_up_again(tmp_path: Path) -> None:
    """Podman writes one for an image that came without: from its config and its layers, always the same bytes."""
    layer = layer_ids([FIRST])[0]
    made = made_up_manifest(CONFIG, [(FIRST, 7)])
    image = identifier("x")
    keys = "manifest", digest_of(CONFIG)
    named = Image(id=image, layer=layer, data_names=keys, data_digests={"manifest": digest_of(made)})
    tables = Tables(tmp_path, Layer(id=layer, diff_digest=FIRST, diff_size=7), named)
    tables.item("image", image, digest_of(CONFIG), CONFIG)
    view = tables.view()
    view.survivors.image_files[image].__dict__["config"] = parse_config(CONFIG)

    (step,) = image_item(view, of_image("image-data-missing", image, "x", part="manifest", key="manifest"))
    assert isinstance(step, Step)
    assert "Podman" in step.evidence


# ── layers and containers ──


def test_a_layers_item_comes_from_the_same_layer_of_another_store(tmp_path: Path) -> None:
    """Same ID and same archive; nothing else tells what the item was."""
    layer = Layer(id="layer", diff_digest=FIRST, data_names=("key",))
    finding = of_layer("layer-data-missing", "layer", "x", part="key", key="key")
    reason = "it has no recorded digest, and no source has a layer with it"
    for name, theirs, expected in (
        ("same", layer, "write-item"), ("other archive", layer.with_(diff_digest="sha256:" + "2" * 64), reason),
        ("other id", layer.with_(id="layer2"), reason),
    ):  # fmt: skip
        other = Tables(tmp_path / name / "other", theirs)
        other.item("layer", theirs.id, "key", b"value")
        tables = Tables(tmp_path / name / "own", layer)
        steps = list(layer_item(tables.view(other.context.layout.graph_root), finding))

        assert planned(steps) == [(expected, "layer")]
        if expected == "write-item":
            tables.carry_out(*steps)
            assert read(f"{tables.context.layout.layer_data('layer')}/key") == b"value"


def test_a_layers_item_that_is_there_by_now_stays(tmp_path: Path) -> None:
    layer = Layer(id="layer", diff_digest=FIRST, data_names=("key",))
    other, tables = Tables(tmp_path / "other", layer), Tables(tmp_path / "own", layer)
    other.item("layer", "layer", "key", b"theirs")
    finding = of_layer("layer-data-missing", "layer", "x", part="key", key="key")
    steps = list(layer_item(tables.view(other.context.layout.graph_root), finding))
    tables.item("layer", "layer", "key", b"newer")

    assert tables.carry_out(*steps) == []
    assert read(f"{tables.context.layout.layer_data('layer')}/key") == b"newer"


CONTAINERS: dict[str, tuple[str, Any]] = {
    "container-data-missing": ("there is no other copy of it", "box"),
    "container-data-unreadable": ("there is no other copy of it", "box"),
    "container-data-size": ("record-item", "box"),
    "container-data-digest": ("record-item", "box"),
}


@pytest.mark.parametrize(("kind", "expected"), CONTAINERS.items(), ids=CONTAINERS)
def test_a_containers_item_is_the_only_copy(tmp_path: Path, kind: str, expected: tuple[str, str]) -> None:
    """So if it is there, the record is what is corrected."""
    tables = Tables(tmp_path)

    finding = of_container(kind, "box", "x", part="key", key="key")
    assert planned(container_item(tables.view(), finding)) == [expected]


def test_a_container_is_recorded_with_what_its_item_is(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Container(id="box", data_names=("key",), data_sizes={"key": 1}))
    tables.item("container", "box", "key", b"value")

    finding = Finding("container-data-size", Subject("container", "box"), "x", {"key": "key"})
    tables.carry_out(*container_item(tables.view(), finding))
    after = Reader(tables.context).containers.get("box")
    assert after is not None
    assert (after.data_sizes, after.data_digests) == ({"key": 5}, {"key": digest_of(b"value")})
