"""Record files as such: their form, doubles, names, IDs that are unsafe, digests that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.check.record_files import record_findings
from cstore.records.codec import encode
from cstore.records.model import Container, Image, Layer, Record
from cstore.records.table import Location
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables, told, write

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "0" * 64

TABLES: dict[str, tuple[tuple[Record, ...], list[tuple[str, str]]]] = {
    "sound records": ((Layer(id="a", names=("one",), diff_digest=DIGEST), Image(id="i", names=("one",))), []),
    "a name of two layers": (
        (Layer(id="a", names=("one",)), Layer(id="b", names=("one",))), [("duplicate-name", "a")],
    ),
    "a name of two images": (
        (Image(id="i", names=("one",)), Image(id="j", names=("one",))), [("duplicate-name", "i")],
    ),
    "a name of two containers": (
        (Container(id="x", names=("one",)), Container(id="y", names=("one",))), [("duplicate-name", "x")],
    ),
    "two layers of one ID": ((Layer(id="a"), Layer(id="a")), [("duplicate-id", "a")]),
    "two images of one ID": ((Image(id="i"), Image(id="i")), [("duplicate-id", "i")]),
    "an ID that leads out of the store": ((Container(id="../x"),), [("unsafe-id", "../x")]),
    "an ID that is another file of the store": ((Layer(id="tmp"),), [("unsafe-id", "tmp")]),
    "digests that are none": (
        (Layer(id="a", diff_digest="sha256:abc", compressed_digest="none"),),
        [("digest-invalid", "a"), ("digest-invalid", "a")],
    ),
}  # fmt: skip
"""Records, and the findings that they give."""


@pytest.mark.parametrize(("records", "expected"), TABLES.values(), ids=TABLES)
def test_records(tmp_path: Path, records: tuple[Record, ...], expected: list[tuple[str, str]]) -> None:
    safe = [each.id for each in records if isinstance(each, Layer)]
    tables = Tables(tmp_path, *records, without_tree=safe)

    assert told(record_findings(tables.snapshot)) == expected


def test_a_record_in_two_files_is_a_double(tmp_path: Path) -> None:
    """The evidence names each file that has it."""
    tables = Tables(tmp_path, Layer(id="a"), volatile=[Layer(id="a")])

    (finding,) = record_findings(tables.snapshot)
    files = tables.context.places[ItemKind.LAYERS].files
    assert finding.evidence["paths"] == [files[Location.STABLE], files[Location.VOLATILE]]


@pytest.mark.parametrize(
    ("text", "kind"),
    [(b"[{", "records-damaged"), (b"no JSON", "records-damaged"), (b"", "records-empty"), (None, "records-missing")],
)
def test_a_file_that_cannot_be_trusted(tmp_path: Path, text: bytes | None, kind: str) -> None:
    """Empty or missing it is damage only because layers are there. The evidence names the kind of record."""
    tables = Tables(tmp_path, trees=["a"])
    write(tables.context.layout.tar_split("a"), b"")
    path = tables.context.places[ItemKind.LAYERS].files[Location.STABLE]
    if text is None:
        import os

        os.unlink(path)
    else:
        tables.text(ItemKind.LAYERS, text)

    (finding,) = record_findings(tables.snapshot)
    assert (finding.kind, finding.subject.path, finding.evidence["item_kind"]) == (kind, path, "layer")


def test_records_beside_a_break_are_still_looked_at(tmp_path: Path) -> None:
    """So that one repair mends both."""
    tables = Tables(tmp_path)
    tables.text(ItemKind.IMAGES, b"[" + encode(Image(id="i")) + b"," + encode(Image(id="i")) + b",{")

    assert {kind for kind, _ in told(record_findings(tables.snapshot))} == {"records-damaged", "duplicate-id"}
