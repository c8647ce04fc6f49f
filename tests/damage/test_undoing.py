"""What a repair made goes when it is undone, and what it took out comes back: the store is as it was before."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from cstore.store.quarantine import undo
from tests.damage.healing import repair
from tests.damage.specimen import BASE, IMAGE, Specimen

if TYPE_CHECKING:
    from collections.abc import Callable

    Maker = Callable[[str], Specimen]

HUGE = 1 << 42


def _fifo(path: str) -> None:
    os.mkfifo(path)


def _huge(path: str) -> None:
    with open(path, "wb") as file:
        file.truncate(HUGE)


def _link(path: str) -> None:
    os.symlink("/nonexistent", path)


def _nothing(path: str) -> None:
    del path


def _replace(path: str, by: Callable[[str], None]) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
    by(path)


def _all(specimen: Specimen) -> dict[str, Any]:
    """Everything but the quarantine: types and modes, and how long a file is or where a link leads."""
    found = {}
    for folder, names, files in os.walk(specimen.graph):
        names[:] = [name for name in names if name != "cstore-quarantine"]
        for name in (*names, *(file for file in files if not file.endswith(".lock"))):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = (status.st_mode, 0 if os.path.isdir(path) else status.st_size)
    return found


@pytest.mark.parametrize("by", [_fifo, _huge, _link, _nothing])
def test_the_directory_of_short_links_is_as_it_was(by: Callable[[str], None], fresh: Maker) -> None:
    """Repair makes it and all links again; undone, what stood there is back, however large, and nothing is read."""
    specimen = fresh("overlay")
    _replace(specimen.home("l"), by)
    before = _all(specimen)
    result = repair(specimen)

    undone = undo(specimen.open().context, result.case)

    assert (result.healed, undone.left) == (True, ())
    assert _all(specimen) == before


def test_links_made_since_stay(fresh: Maker) -> None:
    """The directory that a repair made is everybody's by then: it goes only when nothing is in it."""
    specimen = fresh("overlay")
    _replace(specimen.home("l"), _fifo)
    result = repair(specimen)
    os.symlink(f"../{BASE}/diff", specimen.home("l", "A" * 26))

    undone = undo(specimen.open().context, result.case)

    assert undone.left == (f"{specimen.home('l')}: it has other files now",)
    assert os.listdir(specimen.home("l")) == ["A" * 26]


def test_the_directory_of_an_image_goes_again(fresh: Maker) -> None:
    """An item that another image has is written again, in a directory that was lost."""
    specimen = fresh("vfs")

    def add(rows: list[dict[str, Any]]) -> None:
        image = next(row for row in rows if row["id"] == IMAGE)
        rows.append({**image, "id": "second", "names": []})

    specimen.edit("images", add)
    before = _all(specimen)
    result = repair(specimen)
    assert os.path.isdir(specimen.beside("images", "second"))

    undone = undo(specimen.open().context, result.case)

    assert undone.left == ()
    assert _all(specimen) == before


@pytest.mark.parametrize("kind", ["layers", "images", "containers"])
def test_a_monstrous_record_file_is_back_at_once(kind: str, fresh: Maker) -> None:
    """It is told from the file in its place by its size, not by reading it."""
    specimen = fresh("vfs")
    _replace(specimen.records(kind), _huge)
    before = _all(specimen)
    result = repair(specimen)

    undone = undo(specimen.open().context, result.case)

    assert undone.left == ()
    assert _all(specimen) == before


@pytest.mark.parametrize("by", [_fifo, _link])
@pytest.mark.parametrize("place", ["overlay/staging", "cstore-staging", "cstore-staging/overlay"])
def test_something_else_where_trees_are_staged(place: str, by: Callable[[str], None], fresh: Maker) -> None:
    """It ends no check: it is found, put aside, and comes back."""
    specimen = fresh("overlay")
    path = os.path.join(specimen.graph, place)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    by(path)
    before = _all(specimen)

    found = [(finding.kind, finding.subject.path) for finding in specimen.check().findings]
    result = repair(specimen)

    assert (found, result.healed, os.path.lexists(path)) == ([("thing-wrong", path)], True, False)
    assert undo(specimen.open().context, result.case).left == ()
    assert _all(specimen) == before
