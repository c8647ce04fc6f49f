"""Fields that can still be read of broken records, and in copies that were never renamed into place."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.repair.hints import gather_hints, rows_in_files
from cstore.records.codec import encode
from cstore.records.model import Layer
from cstore.records.table import Location
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables, write

if TYPE_CHECKING:
    from pathlib import Path

A = '{"id":"a","names":["a-name"],"created":"2026-01-02T03:04:05Z"}'
HINTS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "the fields before a break": (A.replace("2026", "20\0\0")[:-1], {"a": {"names": ("a-name",)}}),
    "a field of a wrong type is left out": ('{"id":"a","names":7,"metadata":"m"}', {"a": {"metadata": "m"}}),
    "a number that may have gone on is left out": ('{"id":"a","metadata":"m","diff-size":12', {"a": {"metadata": "m"}}),
    "a record without an ID is nothing": ('{"names":["n"]}', {}),
    "unknown fields are left out": ('{"id":"a","other":1}', {"a": {}}),
}
"""What stands between the brackets of a record file, and the fields that are believed."""


@pytest.mark.parametrize(("text", "believed"), HINTS.values(), ids=HINTS)
def test_hints_of_broken_records(tmp_path: Path, text: str, believed: dict[str, dict[str, Any]]) -> None:
    tables = Tables(tmp_path)
    tables.text(ItemKind.LAYERS, f"[{text}]".encode())

    assert rows_in_files(tables.snapshot, ItemKind.LAYERS) == believed


def test_the_file_goes_before_copies_and_a_younger_copy_before_an_older_one(tmp_path: Path) -> None:
    """Field by field: what only a copy tells is taken from it. Copies do not count as rows of the file."""
    tables = Tables(tmp_path, Layer(id="a", metadata="file"))
    path = tables.context.places[ItemKind.LAYERS].files[Location.STABLE]
    for moment, layer in ((1, Layer(id="b", metadata="old", mount_label="l")), (2, Layer(id="b", metadata="young"))):
        copy = os.path.join(os.path.dirname(path), f".tmp-layers.json{9 - moment}")
        write(copy, b"[" + encode(layer) + b"]")
        os.utime(copy, (moment, moment))
    write(
        os.path.join(os.path.dirname(path), ".tmp-layers.json0"), b"[" + encode(Layer(id="a", metadata="copy")) + b"]"
    )

    found = gather_hints(tables.snapshot, ItemKind.LAYERS)
    assert found["a"]["metadata"] == "file"
    assert (found["b"]["metadata"], found["b"]["mount_label"]) == ("young", "l")
    assert rows_in_files(tables.snapshot, ItemKind.LAYERS).keys() == {"a"}
