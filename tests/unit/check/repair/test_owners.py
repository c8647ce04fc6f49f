"""An ID map that nobody recorded, told by the owners of files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.check.repair.owners import owners_shifted_to, read_headers
from cstore.errors import CstoreError
from cstore.records.model import Layer
from tests.builders import directory, regular
from tests.unit.check.tables import USER, Tables, tar_split, write

if TYPE_CHECKING:
    from pathlib import Path

FILES = directory("d"), regular("d/f", b"hello"), regular("g")


def shifted(tables: Tables) -> tuple[int, int] | None:
    """Where root is in the layer."""
    return owners_shifted_to(tables.view().survivors, "a")


def shift(tables: Tables, *names: str, by: int = 1000) -> None:
    """Give files to others."""
    for name in names:
        os.chown(os.path.join(tables.tree("a"), name), USER + by, os.getegid() + by)


def test_owners_as_in_the_archive_are_no_map(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="a"))
    assert shifted(tables) is None  # no tar-split tells what they were
    tables.archive("a", *FILES)

    assert shifted(tables) is None


@pytest.mark.usefixtures("needs_root")
def test_all_owners_are_shifted_by_as_much_or_it_is_damage(tmp_path: Path) -> None:
    """What is not there does not count."""
    tables = Tables(tmp_path, Layer(id="a"))
    tables.archive("a", *FILES)
    shift(tables, "d", "d/f")
    assert shifted(tables) is None

    shift(tables, "g")
    assert shifted(tables) == (1000, 1000)
    os.unlink(os.path.join(tables.tree("a"), "g"))
    assert shifted(tables) == (1000, 1000)


@pytest.mark.usefixtures("needs_root")
def test_one_file_alone_is_no_map(tmp_path: Path) -> None:
    """It may as well be damage."""
    tables = Tables(tmp_path, Layer(id="a"))
    tables.archive("a", regular("g"))
    shift(tables, "g")

    assert shifted(tables) is None


def test_headers_without_contents(tmp_path: Path) -> None:
    """Every path is known, and the checksums; files are not opened."""
    path = str(tmp_path / "split")
    write(path, tar_split(*FILES))

    nodes = read_headers(path).nodes
    assert set(nodes) == {b"d", b"d/f", b"g"}
    assert nodes[b"d/f"].checksum is not None
    with pytest.raises(CstoreError):
        read_headers(str(tmp_path / "none"))
