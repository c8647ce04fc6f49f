"""What belongs to nothing, and mount counts against mounts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.check.leftovers import leftover_findings, mount_findings
from cstore.records.model import Image, Layer
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables, identifier, told, write

if TYPE_CHECKING:
    from pathlib import Path

STRAY = identifier("stray")


def test_what_a_collection_would_remove(tmp_path: Path) -> None:
    """A directory of a layer without a record, a tar-split and data of nobody, a file that never got its name."""
    tables = Tables(tmp_path, Layer(id="layer"), trees=[STRAY])
    layout = tables.context.layout
    write(layout.tar_split(identifier("other")), b"")
    write(os.path.join(layout.images, identifier("image"), "manifest"), b"")
    write(os.path.join(layout.layers, ".tmp-layers.json123"), b"")

    found = dict(told(leftover_findings(tables.snapshot)))
    assert found["layer-unaccounted"] == STRAY
    assert found["leftover-tar-split"] == layout.tar_split(identifier("other"))
    assert found["leftover-data"] == os.path.join(layout.images, identifier("image"))
    assert found["leftover-temporary"] == os.path.join(layout.layers, ".tmp-layers.json123")
    assert len(found) == 4


def test_while_a_record_file_is_damaged_nothing_is_a_leftover(tmp_path: Path) -> None:
    """What it described is lost, not left over; what has no ID for a name never had a record."""
    tables = Tables(tmp_path, trees=[STRAY])
    layout = tables.context.layout
    write(os.path.join(layout.images, identifier("image"), "manifest"), b"")
    write(os.path.join(layout.images, "notes", "text"), b"")
    tables.text(ItemKind.IMAGES, b"[{")

    assert told(leftover_findings(tables.snapshot)) == [("image-record-lost", identifier("image"))]
    tables.text(ItemKind.LAYERS, b"[{")
    found = told(leftover_findings(tables.snapshot))
    assert found == [("layer-record-lost", STRAY), ("image-record-lost", identifier("image"))]


def test_a_recorded_item_is_neither_lost_nor_left_over(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="layer"), Image(id=identifier("image"), layer="layer"))
    tables.item("image", identifier("image"), "manifest", b"{}")
    tables.text(ItemKind.CONTAINERS, b"[{")

    assert told(leftover_findings(tables.snapshot)) == []


def mounts(tables: Tables, text: bytes) -> list[tuple[str, str]]:
    """The findings for a mount table."""
    write(tables.context.layout.mountpoints, text)
    return told(mount_findings(tables.snapshot))


def test_a_count_without_a_mount(tmp_path: Path) -> None:
    """Of a layer that there is; one that is gone took its count with it."""
    tables = Tables(tmp_path, Layer(id="layer"), driver="overlay")
    path = os.path.join(tables.context.driver.path_of("layer"), "merged")
    row = b'{"id":"%s","path":"%s","count":2}'

    assert mounts(tables, b"[" + row % (b"layer", path.encode()) + b"]") == [("mount-gone", "layer")]
    assert mounts(tables, b"[" + row % (b"gone", path.encode()) + b"]") == []


def test_a_mount_table_that_cannot_be_read(tmp_path: Path) -> None:
    """Nothing is known of mounts then, so nothing else is said of them."""
    tables = Tables(tmp_path, Layer(id="layer"))

    assert mounts(tables, b"[{") == [("mount-table-damaged", tables.context.layout.mountpoints)]
    assert mounts(tables, b"[]") == []
