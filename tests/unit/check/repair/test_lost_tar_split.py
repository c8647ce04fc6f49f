"""A lost tar-split looked for: where, for how long, and whose form of headers is tried first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.archive.dialects.table import DIALECTS
from cstore.check.repair.lost_tar_split import _likeness, _ranked, find_archive
from cstore.digests import digest_of
from cstore.errors import CstoreError
from cstore.records.model import Layer
from tests.builders import directory, regular
from tests.unit.check.tables import Tables, tar, unpack

if TYPE_CHECKING:
    from pathlib import Path

FILES = directory("d"), regular("d/f", b"hello")
OTHER = "sha256:" + "1" * 64


def test_an_archive_is_looked_for_once(tmp_path: Path) -> None:
    """What came of it is known in all rounds; a failure is as good as nothing found."""
    tables = Tables(tmp_path, Layer(id="a", diff_digest=OTHER))
    searched: dict[tuple[str, str], None] = {}
    view = tables.view(searched=searched, search_time=0.2)

    assert find_archive(view, "a", OTHER) is None
    assert searched == {("a", OTHER): None}
    assert find_archive(tables.view(search_time=0.2), "none", OTHER) is None


def test_without_time_nothing_is_looked_for(tmp_path: Path) -> None:
    """A dry run takes none."""
    archive = tar(*FILES)
    tables = Tables(tmp_path, Layer(id="a", diff_digest=digest_of(archive), diff_size=len(archive)))
    unpack(tables.tree("a"), *FILES)

    assert find_archive(tables.view(search_time=0.0), "a", digest_of(archive)) is None


MARKS = {
    "Go": (b"0000644\0", b"ustar\x0000", b"\0", b"f"),
    "GNU tar": (b"0000644\0", b"ustar  \0", b"root", b"./f"),
    "bsdtar": (b"000644 \0", b"ustar\x0000", b"root", b"f"),
}


def header(mode: bytes, magic: bytes, owner: bytes, name: bytes) -> bytes:
    """A header with these marks of who wrote it."""
    block = bytearray(512)
    block[: len(name)], block[100 : 100 + len(mode)] = name, mode
    block[257 : 257 + len(magic)], block[265 : 265 + len(owner)] = magic, owner
    return bytes(block)


@pytest.mark.parametrize(("marks", "form"), [("GNU tar", "gnu"), ("bsdtar", "bsd")])
def test_the_dialect_most_like_a_header_is_of_its_family(marks: str, form: str) -> None:
    sample = header(*MARKS[marks])

    best = max(DIALECTS, key=lambda dialect: _likeness(dialect, sample))
    assert best.form.value.startswith((form, "python-gnu") if form == "gnu" else form)


@pytest.mark.parametrize("name", [b"./f", b"f"])
def test_how_names_begin_tells_dialects_of_one_family_apart(name: bytes) -> None:
    mode, magic, owner, _ = MARKS["GNU tar"]
    sample = header(mode, magic, owner, name)

    assert max(DIALECTS, key=lambda dialect: _likeness(dialect, sample)).prefix == name.removesuffix(b"f")


def test_other_layers_tell_which_dialects_to_try_first(tmp_path: Path) -> None:
    """All of them are tried in the end; without another layer, in the usual order."""
    tables = Tables(tmp_path, Layer(id="a"), Layer(id="b"))
    assert list(_ranked(tables.view(), "a")) == list(DIALECTS)
    gnu = [entry.but(magic=b"ustar  \0", name=b"./" + entry.name, uname=b"root") for entry in FILES]
    tables.archive("b", *gnu)

    ranked = _ranked(tables.view(), "a")
    assert "gnu" in ranked[0].form.value
    assert sorted(map(str, ranked)) == sorted(map(str, DIALECTS))


def test_a_store_whose_records_are_damaged_is_searched_all_the_same(tmp_path: Path) -> None:
    """An unreadable layer is nothing found, and no error of the repair."""
    tables = Tables(tmp_path, Layer(id="a", parent="gone"), without_tree=["a"], driver="overlay")

    try:
        assert find_archive(tables.view(search_time=1.0), "a", OTHER) is None
    except CstoreError as error:  # pragma: no cover
        pytest.fail(str(error))
