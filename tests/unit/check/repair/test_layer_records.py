"""Lost layer records: which directories were layers, and what each record says, by which witness."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.archive.compression import Compression
from cstore.check.repair.layer_records import LayerRecords, _delivery, _parents_first
from cstore.check.repair.survivors import ExpectedLayer
from cstore.records.codec import encode
from cstore.records.model import Container, IDMapEntry, Image, Layer
from cstore.store.places import ItemKind
from tests.builders import directory, regular
from tests.unit.check.tables import Tables, facts, write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FIRST, SECOND = (f"sha256:{digit * 64}" for digit in "12")
FILES = directory("d"), regular("d/f", b"hello")


def rebuilt(
    tables: Tables, containers: Mapping[str, Container | None] | None = None, **more: Any
) -> tuple[dict[str, Layer], dict[str, str]]:
    """The records that can be made, and why others cannot."""
    records = LayerRecords(tables.view(**more).survivors, containers or {})
    made = {one.record.id: one.record for one in records.rebuild()}
    return made, dict(records.lost)


def test_a_directory_that_something_names_was_a_layer(tmp_path: Path) -> None:
    """By an image, a child, a config or a container; of one that nothing names nobody knows whether it was whole."""
    tables = Tables(
        tmp_path, Layer(id="child", parent="parent"), Image(id="image", layer="top", mapped_layers=("copy",)),
        trees=["parent", "top", "copy", "named", "own", "idle"],
    )  # fmt: skip

    made, lost = rebuilt(tables, {"own": None}, expected={"named": ExpectedLayer("image", "", FIRST)})
    assert made.keys() == {"parent", "top", "copy", "named", "own"}
    assert lost == {"idle": "nothing shows that it was completed, and nothing uses it"}


def test_an_imported_layer_was_one_and_so_was_all_below_it(tmp_path: Path) -> None:
    tables = Tables(tmp_path, trees=["base", "top"], driver="overlay")
    tables.archive("top", *FILES)
    tables.lay("top", "base")

    made, _ = rebuilt(tables)
    assert {name: layer.parent for name, layer in made.items()} == {"base": "", "top": "base"}


@pytest.mark.parametrize(("driver", "is_lost"), [("vfs", True), ("overlay", False)])
def test_a_layer_with_an_unknown_parent_would_seem_full_of_strays(
    tmp_path: Path, driver: str, *, is_lost: bool
) -> None:
    """On a driver of whole trees it is given up; on overlay its own files are all that is compared."""
    tables = Tables(tmp_path, Image(id="image", layer="top"), trees=["top"], driver=driver)
    tables.archive("top", *FILES)
    write(os.path.join(tables.tree("top"), "of-a-parent"), b"")

    made, lost = rebuilt(tables)
    assert lost == ({"top": "nothing says what its parent was"} if is_lost else {})
    assert ("top" in made) is not is_lost


def test_the_archive_tells_digest_size_and_owners(tmp_path: Path) -> None:
    """Where files have changed, a config stands in for the digest; without one the layer is lost."""
    tables = Tables(tmp_path, Image(id="image", layer="top"), trees=["top"])
    tables.archive("top", *FILES)
    expected = {"top": ExpectedLayer("image", "", SECOND)}

    whole, _ = rebuilt(tables, facts={"top": facts(FIRST, 7)}, expected=expected)
    assert (whole["top"].diff_digest, whole["top"].diff_size, whole["top"].uids) == (FIRST, 7, (0,))
    broken, _ = rebuilt(tables, facts={"top": facts("", 7)}, expected=expected)
    assert broken["top"].diff_digest == SECOND


def test_what_can_be_read_of_a_damaged_record_is_believed(tmp_path: Path) -> None:
    """Names, metadata and times, which nothing else tells; its mark of being unfinished is not kept."""
    tables = Tables(tmp_path, trees=["layer"])
    row = Layer(id="layer", names=("mine",), metadata="m", parent="base", created="2026-01-02T03:04:05Z")
    tables.text(ItemKind.LAYERS, b"[" + encode(row)[:-1] + b",,")

    made, _ = rebuilt(tables)
    layer = made["layer"]
    assert (layer.names, layer.metadata, layer.parent, layer.created) == (("mine",), "m", "base", row.created)


def test_a_row_that_says_incomplete_was_no_layer(tmp_path: Path) -> None:
    tables = Tables(tmp_path, trees=["half"])
    tables.text(ItemKind.LAYERS, b"[" + encode(Layer(id="half", flags={"incomplete": True}))[:-1] + b",,")

    assert rebuilt(tables)[0] == {}


def test_data_items_are_those_that_lie_there(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Image(id="image", layer="top"), trees=["top"])
    tables.item("layer", "top", "key", b"value")

    assert rebuilt(tables)[0]["top"].data_names == ("key",)


def test_a_containers_own_layer_is_mapped_as_the_container_is(tmp_path: Path) -> None:
    """Unless the driver shifts owners when it mounts."""
    box = Container(id="box", layer="own", uid_map=(IDMapEntry(0, 1000, 10),), gid_map=(IDMapEntry(0, 1000, 10),))
    tables = Tables(tmp_path, box, trees=["own"])

    assert rebuilt(tables, {"own": box})[0]["own"].uid_map == box.uid_map


BLOBS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gzip": (
        {"digest": FIRST, "size": 7, "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"},
        {"compressed_digest": FIRST, "compressed_size": 7, "compression": Compression.GZIP.value},
    ),
    "Docker's gzip": (
        {"digest": FIRST, "size": 7, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"},
        {"compressed_digest": FIRST, "compressed_size": 7, "compression": Compression.GZIP.value},
    ),
    "uncompressed": (
        {"digest": FIRST, "size": 7, "mediaType": "application/vnd.oci.image.layer.v1.tar"},
        {"compressed_digest": FIRST, "compressed_size": 7, "compression": 0},
    ),
    "no size": ({"digest": FIRST}, {}),
    "a size that is text": ({"digest": FIRST, "size": "7"}, {}),
}


@pytest.mark.parametrize(("blob", "fields"), BLOBS.values(), ids=BLOBS)
def test_how_a_blob_was_delivered(blob: dict[str, Any], fields: dict[str, Any]) -> None:
    """A manifest says it, if it makes sense."""
    assert _delivery(blob) == fields


def test_parents_first() -> None:
    """A ring ends, in the order of the IDs."""
    assert _parents_first(["c", "b", "a"], {"c": "b", "b": "a", "a": "known"}) == ["a", "b", "c"]
    assert _parents_first(["a", "b"], {"a": "b", "b": "a"}) == ["a", "b"]
