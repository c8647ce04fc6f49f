"""Data items against what is recorded of them; manifests against configs, and configs against layers."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.items import fit, item_findings, manifest_findings
from cstore.digests import digest_of
from cstore.records.model import Container, Image, Layer
from tests.unit.check.tables import Tables, told

if TYPE_CHECKING:
    from pathlib import Path

FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")


def everything(kind: str, name: str) -> bool:
    """Every item is wanted."""
    return bool(kind and name)


def image(**more: Any) -> Image:
    """An image with one item, `key`, of three bytes."""
    recorded = {"data_names": ("key",), "data_sizes": {"key": 3}, "data_digests": {"key": digest_of(b"abc")}}
    return Image(id="image", **{**recorded, **more})


ITEMS: dict[str, tuple[Image, bytes | None, list[str]]] = {
    "as recorded": (image(), b"abc", []),
    "missing": (image(), None, ["image-data-missing"]),
    "of another length": (image(), b"abcd", ["image-data-size"]),
    "of other contents": (image(), b"abd", ["image-data-digest"]),
    "nothing is recorded of it": (image(data_sizes={}, data_digests={}), b"abd", []),
    "its digest makes no sense": (image(data_digests={"key": "nonsense"}), b"abc", ["image-data-digest"]),
    "an item that is listed twice": (image(data_names=("key", "key")), None, ["image-data-missing"]),
    "of SHA-512": (
        image(data_digests={"key": "sha512:" + hashlib.sha512(b"abc").hexdigest()}), b"abc", [],
    ),
}  # fmt: skip
"""What is recorded, what is there, and the findings."""


@pytest.mark.parametrize(("record", "data", "kinds"), ITEMS.values(), ids=ITEMS)
def test_an_item_of_an_image(tmp_path: Path, record: Image, data: bytes | None, kinds: list[str]) -> None:
    tables = Tables(tmp_path, record)
    if data is not None:
        tables.item("image", "image", "key", data)

    found = list(item_findings(tables.snapshot, everything))
    assert [finding.kind for finding in found] == kinds
    assert all(finding.evidence["key"] == "key" for finding in found)


def test_a_manifest_of_the_first_schema_has_another_digest_than_its_bytes(tmp_path: Path) -> None:
    """Its signatures do not count, so this is no finding; of any other item it is."""
    signed = json.dumps({"schemaVersion": 1, "signatures": []}).encode()
    for key, kinds in (("manifest", []), ("other", [("image-data-digest", "image")])):
        tables = Tables(
            tmp_path / key, image(data_names=(key,), data_sizes={key: len(signed)}, data_digests={key: FIRST})
        )
        tables.item("image", "image", key, signed)
        assert told(item_findings(tables.snapshot, everything)) == kinds


def test_a_manifest_that_is_nested_too_deeply_is_told_of(tmp_path: Path) -> None:
    """It is damaged, and no error of the check."""
    tables = Tables(tmp_path, image(data_names=("manifest",), data_sizes={}, data_digests={"manifest": FIRST}))
    tables.item("image", "image", "manifest", b"[" * 100_000)

    assert told(item_findings(tables.snapshot, everything)) == [("image-data-digest", "image")]


def test_items_of_all_kinds_are_looked_at(tmp_path: Path) -> None:
    """Of layers nothing is recorded but the key, so only what is missing shows."""
    box = Container(id="box", data_names=("key",), data_sizes={"key": 1})
    tables = Tables(tmp_path, Layer(id="layer", data_names=("key",)), box)

    kinds = [("layer-data-missing", "layer"), ("container-data-missing", "box")]
    assert told(item_findings(tables.snapshot, everything)) == kinds
    assert told(item_findings(tables.snapshot, lambda kind, _: kind == "layer")) == kinds[:1]
    tables.item("layer", "layer", "key", b"anything")
    tables.item("container", "box", "key", b"longer")
    assert told(item_findings(tables.snapshot, everything)) == [("container-data-size", "box")]


@pytest.mark.parametrize(("flags", "kinds"), [({}, ["layer-data-missing"]), ({"incomplete": True}, [])])
def test_a_layer_that_is_being_removed_misses_nothing(tmp_path: Path, flags: dict[str, bool], kinds: list[str]) -> None:
    """The next writer removes what is left of a layer that is marked incomplete, its record at last."""
    tables = Tables(tmp_path, Layer(id="layer", data_names=("key",), flags=flags))

    assert [finding.kind for finding in item_findings(tables.snapshot, everything)] == kinds


def test_an_item_that_is_no_file_cannot_be_read(tmp_path: Path) -> None:
    """A directory in its place is neither missing nor followed."""
    tables = Tables(tmp_path, image())
    tables.item("image", "image", "key/below", b"")

    ((kind, _),) = told(item_findings(tables.snapshot, everything))
    assert kind in {"image-data-missing", "image-data-unreadable"}


@pytest.mark.parametrize(
    ("named", "recorded", "fits"),
    [
        ([], [], True),
        ([FIRST], [FIRST], True),
        ([FIRST], [SECOND], False),
        ([FIRST], [""], True),
        ([FIRST], [], False),
        ([FIRST, SECOND], [SECOND, FIRST], False),
        ([FIRST, SECOND], ["", SECOND], True),
    ],
)
def test_a_layer_without_a_digest_may_be_any(named: list[str], recorded: list[str], *, fits: bool) -> None:
    """But there must be as many layers as the config names, in its order."""
    assert fit(named, recorded) is fits


# ── manifests ──


def config(*diff_ids: str) -> bytes:
    """A config that names layers."""
    rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()


def manifest(raw: bytes, **more: Any) -> bytes:
    """A manifest that names that config."""
    named = {"digest": digest_of(raw), "size": len(raw), "mediaType": "application/vnd.oci.image.config.v1+json"}
    return json.dumps({"schemaVersion": 2, "config": named, "layers": [], **more}).encode()


SOUND = config(FIRST)
ARTIFACT = {"config": {"digest": FIRST, "mediaType": "application/vnd.example+json"}}
MANIFESTS: dict[str, tuple[dict[str, bytes], list[str]]] = {
    "an image as pulled": ({"manifest": manifest(SOUND), digest_of(SOUND): SOUND}, []),
    "neither a manifest nor a config": ({"signature": b""}, ["image-without-data"]),
    "a manifest under its digest only": ({"manifest-" + FIRST: b"{}"}, ["image-manifest-missing"]),
    "no JSON": ({"manifest": b"{"}, ["image-manifest-broken"]),
    "a list": ({"manifest": b"[]"}, ["image-manifest-broken"]),
    "it names no config": ({"manifest": b'{"layers":[]}'}, ["image-manifest-broken"]),
    "something else that is called a manifest": ({"manifest": b'{"mine":1}'}, []),
    "the first schema": ({"manifest": b'{"schemaVersion":1,"layers":[]}'}, []),
    "an index": ({"manifest": b'{"manifests":[],"layers":[]}'}, []),
    "an artifact": ({"manifest": manifest(b"", **ARTIFACT)}, []),
    "its config is no item": ({"manifest": manifest(SOUND)}, ["image-config-missing"]),
    "its config makes no sense": ({"manifest": manifest(b"{"), digest_of(b"{"): b"{"}, ["image-config-broken"]),
    "its config names another layer": (
        {"manifest": manifest(config(SECOND)), digest_of(config(SECOND)): config(SECOND)}, ["image-layers-differ"],
    ),
    "its config names more layers": (
        {"manifest": manifest(config(FIRST, SECOND)), digest_of(config(FIRST, SECOND)): config(FIRST, SECOND)},
        ["image-layers-differ"],
    ),
}  # fmt: skip
"""The items of an image on a layer of the first digest, and the findings about its documents."""


@pytest.mark.parametrize(("items", "kinds"), MANIFESTS.values(), ids=MANIFESTS)
def test_documents_of_an_image(tmp_path: Path, items: dict[str, bytes], kinds: list[str]) -> None:
    tables = Tables(
        tmp_path, Layer(id="layer", diff_digest=FIRST), Image(id="image", layer="layer", data_names=tuple(items))
    )
    for key, data in items.items():
        tables.item("image", "image", key, data)

    assert [finding.kind for finding in manifest_findings(tables.snapshot, everything)] == kinds


def test_a_config_with_layers_and_a_record_without(tmp_path: Path) -> None:
    """The record has lost them, whatever the store still has."""
    tables = Tables(tmp_path, Image(id="image", data_names=("manifest", digest_of(SOUND))))
    tables.item("image", "image", "manifest", manifest(SOUND))
    tables.item("image", "image", digest_of(SOUND), SOUND)

    (finding,) = manifest_findings(tables.snapshot, everything)
    assert (finding.kind, finding.evidence["found"]) == ("image-layers-differ", [])


def test_nothing_is_said_of_a_chain_with_an_unknown_layer(tmp_path: Path) -> None:
    """That layer is a finding of its own."""
    tables = Tables(tmp_path, Image(id="image", layer="gone", data_names=("manifest", digest_of(SOUND))))
    tables.item("image", "image", "manifest", manifest(SOUND))
    tables.item("image", "image", digest_of(SOUND), SOUND)

    assert list(manifest_findings(tables.snapshot, everything)) == []
