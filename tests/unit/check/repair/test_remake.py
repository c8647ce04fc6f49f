"""A layer made anew: from what, when not at all, and how it takes the place of the damaged one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.findings import of_layer
from cstore.check.repair.plan import Step
from cstore.check.repair.remake import Reassembly, _is_still, find_donors, packed_digest, plan_remake, remake
from cstore.errors import ContentDamaged, LayerUnknown
from cstore.records.model import Layer
from cstore.store.applied_layer import fill
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from tests.builders import digest, directory, regular
from tests.unit.check.tables import Tables, facts, read, tar, tar_split, unpack, write

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.check.repair.survivors import ArchiveFacts

FILES = directory("d"), regular("d/f", b"hello"), regular("g", b"x" * 5000)
ARCHIVE = tar(*FILES)
DIGEST, OTHER = digest(ARCHIVE), "sha256:" + "1" * 64
RECORD = Layer(id="a", diff_digest=DIGEST, diff_size=len(ARCHIVE))
FINDING = of_layer("file-missing", "a", "x")


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """An imported layer, and one of other files above it."""
    tables = Tables(tmp_path / "own", RECORD, Layer(id="b", parent="a"))
    tables.archive("a", *FILES)
    return tables


def reason(planned: Step | str) -> str:
    """Why it cannot be made anew; else by which evidence it can."""
    return planned.evidence if isinstance(planned, Step) else planned


def test_by_what_a_layer_is_made_anew(tables: Tables, tmp_path: Path) -> None:
    """A source first, then its own tar-split and files, then these with files of other layers."""
    write(str(tmp_path / "a.tar"), ARCHIVE)
    source = tables.view(str(tmp_path / "a.tar"))
    assert reason(plan_remake(source, FINDING, DIGEST)) == f"a source has the archive {DIGEST}"
    assert reason(plan_remake(tables.view(), FINDING, DIGEST)) == "its tar-split and its files"

    os.unlink(f"{tables.tree('a')}/d/f")
    lost = f"the contents of 'd/f' are not in this store; it needs the archive {DIGEST}"
    assert reason(plan_remake(tables.view(), FINDING, DIGEST)) == lost
    unpack(tables.tree("b"), *FILES[:2])
    donated = "its tar-split and its files, and 1 that other layers have"
    assert reason(plan_remake(tables.view(), FINDING, DIGEST)) == donated


def test_many_lost_files_are_counted(tmp_path: Path) -> None:
    entries = [regular(f"f{number}", b"x%d" % number) for number in range(5)]
    archive = tar(*entries)
    tables = Tables(tmp_path, Layer(id="a", diff_digest=digest(archive), diff_size=len(archive)))
    tables.archive("a", *entries, unpacked=False)

    found = reason(plan_remake(tables.view(), FINDING, digest(archive)))
    assert found.startswith("the contents of 'f0', 'f1', 'f2' and 2 more ")


@pytest.mark.parametrize(
    "told",
    [facts(OTHER, len(ARCHIVE)), facts(DIGEST, 7), None],
    ids=["another digest", "another length", "no tar-split"],
)
def test_a_tar_split_of_another_archive_is_not_used(tables: Tables, told: ArchiveFacts | None) -> None:
    """A record that says so much is not contradicted by what may be another layer's file."""
    os.unlink(f"{tables.tree('a')}/g")

    planned = plan_remake(tables.view(facts={"a": told}), FINDING, DIGEST)
    assert reason(planned).startswith("no known archive writer gives the recorded digest")


def test_without_a_digest_nothing_is_made(tables: Tables) -> None:
    assert reason(plan_remake(tables.view(), FINDING, "")) == "no digest is recorded to verify its archive"


def test_a_file_of_another_layer_must_be_the_very_one(tables: Tables) -> None:
    """By name, length and checksum."""
    view = tables.view()
    for data, found in ((b"HELLO", {}), (b"hello!", {}), (b"hello", {b"d/f": f"{tables.tree('b')}/d/f"})):
        write(f"{tables.tree('b')}/d/f", data)
        assert find_donors(view, "a", {b"d/f"}) == found
    assert find_donors(view, "a", set()) == {}


def test_an_archive_is_put_together_of_the_layers_files_and_others(tmp_path: Path) -> None:
    root, split, donor = unpack(str(tmp_path / "root"), *FILES), str(tmp_path / "split"), str(tmp_path / "donor")
    write(split, tar_split(*FILES))
    write(f"{root}/d/f", b"HELLO")
    write(donor, b"hello")

    def whole(reassembly: Reassembly) -> bytes:
        buffer, data = memoryview(bytearray(700)), b""
        while count := reassembly.readinto(buffer):
            data += buffer[:count]
        return data

    assert whole(Reassembly(split, [root], {b"d/f": donor})) == ARCHIVE
    os.unlink(f"{root}/g")
    with pytest.raises(ContentDamaged, match="missing"):
        whole(Reassembly(split, [root], {}))


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({}, True),
        ({"names": ("x",)}, True),
        ({"created": "2026-01-01T00:00:00Z"}, False),
        ({"diff_digest": OTHER}, False),
        ({"parent": "b"}, False),
    ],
)
def test_whether_it_is_still_the_layer_that_was_planned_for(change: dict[str, str], *, same: bool) -> None:
    """Names come and go; another parent, time or archive is another layer."""
    assert _is_still(RECORD.with_(**change), RECORD) is same


@pytest.mark.usefixtures("needs_root")
def test_the_damaged_layer_is_exchanged_whole(tables: Tables) -> None:
    """Its directory and its tar-split are in quarantine; what the record did not say of the archive is added."""
    tables.records(ItemKind.LAYERS, [Layer(id="a", diff_digest=DIGEST)])
    write(f"{tables.tree('a')}/new", b"strange")
    with tables.repairing() as repair:
        remake("a", DIGEST, {}, repair)
        case = repair.quarantine.case

    assert sorted(os.listdir(tables.tree("a"))) == ["d", "g"]
    assert read(f"{tables.tree('a')}/d/f") == b"hello"
    assert case is not None
    assert len(case.entries) == 3
    layer = Reader(tables.context).layers.get("a")
    assert layer is not None
    assert layer.diff_size == len(ARCHIVE)


@pytest.mark.usefixtures("needs_root")
def test_what_comes_out_must_be_the_recorded_layer(tables: Tables) -> None:
    """Else nothing is changed, and nothing stays behind."""
    write(f"{tables.tree('a')}/d/f", b"HELLO")
    with tables.repairing() as repair, pytest.raises(ContentDamaged, match="instead of"):
        remake("a", DIGEST, {}, repair)

    assert read(f"{tables.tree('a')}/d/f") == b"HELLO"
    staging = os.walk(os.path.join(tables.context.layout.graph_root, "cstore-staging"))
    assert [names for _, _, names in staging if names] == []


@pytest.mark.usefixtures("needs_root")
def test_a_layer_that_was_replaced_meanwhile_stays(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was looked at before the archive was applied, and is looked at again under the lock."""

    def replaced(*arguments: Any, **named: Any) -> Any:
        tables.records(ItemKind.LAYERS, [RECORD.with_(created="2026-01-01T00:00:00Z")])
        return fill(*arguments, **named)

    monkeypatch.setattr("cstore.check.repair.remake.fill", replaced)
    before = os.stat(tables.tree("a")).st_ino
    with tables.repairing() as repair, pytest.raises(LayerUnknown):
        remake("a", DIGEST, {}, repair)

    assert os.stat(tables.tree("a")).st_ino == before


def test_of_a_child_only_its_changes_are_packed(tmp_path: Path) -> None:
    """As if nothing else were there; of what is no layer there is no digest."""
    tables = Tables(tmp_path, Layer(id="base"), Layer(id="child", parent="base"), Layer(id="alone"))
    own = regular("own", b"mine")
    for layer, entries in (("base", FILES), ("child", (*FILES, own)), ("alone", (own,))):
        unpack(tables.tree(layer), *entries)
        os.utime(tables.tree(layer), (1, 1))

    assert packed_digest(tables.context, "child") == packed_digest(tables.context, "alone") != ""
    assert packed_digest(tables.context, "none") == ""


@pytest.mark.usefixtures("needs_root")
def test_a_layer_without_a_directory_gets_one(tables: Tables, tmp_path: Path) -> None:
    """From a source, as there is nothing else."""
    source = str(tmp_path / "a.tar")
    write(source, ARCHIVE)
    os.rename(tables.tree("a"), tmp_path / "aside")
    with tables.repairing(source) as repair:
        remake("a", DIGEST, None, repair)

    assert read(f"{tables.tree('a')}/d/f") == b"hello"
