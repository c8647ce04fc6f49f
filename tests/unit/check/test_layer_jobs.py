"""Which layers are read, what a worker is told of each, and how they are divided among workers."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.contents import LayerJob
from cstore.check.layer_jobs import (
    _divide,
    examine_all,
    imported_layers,
    layer_jobs,
    tar_split_findings,
    tolerance_of,
)
from cstore.records.model import Layer
from cstore.store.places import ItemKind
from tests.builders import directory, regular
from tests.unit.check.tables import Tables, told

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "0" * 64
FILES = directory("d"), regular("d/f", b"hello")


def everything(kind: str, name: str) -> bool:
    """Every item is wanted."""
    return bool(kind and name)


def test_only_layers_that_were_imported_and_are_whole_can_be_put_together_again(tmp_path: Path) -> None:
    tables = Tables(
        tmp_path,
        Layer(id="imported", diff_digest=DIGEST),
        Layer(id="partial", toc_digest=DIGEST, diff_size=-1),
        Layer(id="writable"),
        Layer(id="half", diff_digest=DIGEST, flags={"incomplete": True}),
        Layer(id="odd", diff_digest="nonsense"),
        Layer(id="gone", diff_digest=DIGEST),
        Layer(id="../unsafe", diff_digest=DIGEST),
        without_tree=["gone", "../unsafe"],
    )

    assert [layer.id for layer, _ in imported_layers(tables.snapshot, everything)] == ["imported", "partial"]


def test_an_imported_layer_has_a_tar_split(tmp_path: Path) -> None:
    """But for a partial pull, of whose archive only the table of contents may have come."""
    imported = [Layer(id=each, diff_digest=DIGEST) for each in ("missing", "link", "there")]
    tables = Tables(tmp_path, *imported, Layer(id="partial", toc_digest=DIGEST))
    tables.archive("there", *FILES)
    os.symlink("/etc/passwd", tables.context.layout.tar_split("link"))

    found = told(tar_split_findings(tables.snapshot, everything))
    assert found == [("tar-split-missing", "missing"), ("tar-split-damaged", "link")]


def job_of(tables: Tables, layer: str) -> LayerJob:
    """What a worker is told of a layer."""
    return layer_jobs(tables.snapshot, everything, compare=True)[layer]


def test_a_layer_is_another_when_its_files_or_its_record_are(tmp_path: Path) -> None:
    """So that what was read of the old one is not said of the new one."""
    record = Layer(id="a", diff_digest=DIGEST, diff_size=10)
    tables = Tables(tmp_path, record)
    tables.archive("a", *FILES)
    first = job_of(tables, "a").identity
    assert job_of(tables, "a").identity == first

    tables.records(ItemKind.LAYERS, [record.with_(diff_size=11)])
    renamed = job_of(tables, "a").identity
    os.rename(tables.tree("a"), tables.tree("b"))
    tables.archive("a", *FILES)
    assert len({first, renamed, job_of(tables, "a").identity}) == 3


def test_what_a_directory_with_everything_below_is_compared_with(tmp_path: Path) -> None:
    """The archives of all ancestors, lowest first; nothing if one of them was changed by hand, or is unknown."""
    layers = [Layer(id=own, parent=parent, diff_digest=DIGEST) for own, parent in (("a", ""), ("b", "a"), ("c", "b"))]
    above = Layer(id="writable", parent="c"), Layer(id="d", parent="writable", diff_digest=DIGEST)
    tables = Tables(tmp_path, *layers, *above)
    for layer in "abcd":
        tables.archive(layer, *FILES)

    split = tables.context.layout.tar_split
    assert job_of(tables, "a").below == ()
    assert job_of(tables, "c").below == (split("a"), split("b"))
    assert job_of(tables, "d").below is None
    os.unlink(split("a"))
    assert job_of(tables, "c").below is None


def test_a_layer_of_changes_is_compared_with_its_own_archive_alone(tmp_path: Path) -> None:
    layers = Layer(id="a", diff_digest=DIGEST), Layer(id="b", parent="a", diff_digest=DIGEST)
    tables = Tables(tmp_path, *layers, driver="overlay")
    tables.archive("a", *FILES)

    assert (job_of(tables, "a").whole, job_of(tables, "a").below) == (False, ())


TOLERANCES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "owners that could not be set": ({"driver_options": ("vfs.ignore_chown_errors=true",)}, {}, "owners"),
    "a partial pull": ({}, {"toc_digest": DIGEST}, "partial"),
}


@pytest.mark.parametrize(("config", "record", "field"), TOLERANCES.values(), ids=TOLERANCES)
def test_what_may_differ(tmp_path: Path, config: dict[str, Any], record: dict[str, Any], field: str) -> None:
    """One thing because of the configuration, another because of the record; neither without it."""
    tables = Tables(tmp_path, Layer(id="a"), config=config)
    split = tables.context.layout.tar_split("a")

    def tolerated(layer: Layer, settings: Any) -> bool:
        return bool(getattr(tolerance_of(settings, layer, split, tables.tree("a")), field))

    plain = Tables(tmp_path / "plain").context.config
    assert tolerated(Layer(id="a", **record), tables.context.config)
    assert not tolerated(Layer(id="a"), plain)


def job(layer: str, size: int) -> LayerJob:
    """A layer to look into, of which nothing is there."""
    return LayerJob(layer, DIGEST, size, "/nowhere", ("/nowhere",), ("/nowhere",))


def test_each_layer_goes_to_whoever_has_least_to_do() -> None:
    """The first ones first; of many small ones each costs something, too."""
    large, *small = job("large", 100 << 20), *(job(f"small{number}", 0) for number in range(4))

    shares = _divide([large, *small], 2)
    assert [[each.layer for each in share] for share in shares] == [["large"], [each.layer for each in small]]
    assert [len(share) for share in _divide(small, 2)] == [2, 2]
    assert _divide(small[:1], 8) == [small[:1]]


def test_layers_without_time_are_named(tmp_path: Path) -> None:
    """They are neither sound nor damaged."""
    assert examine_all([]).problems == {}
    done = examine_all([job("a", 1), job("b", 1)], workers=1, deadline=time.monotonic() - 1)

    assert (done.problems, done.unexamined) == ({}, ("a", "b"))
