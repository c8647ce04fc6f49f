"""The store's own directories and lock files: type, mode, owner; and what stands where something else belongs."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.check.places import place_findings, thing_findings
from cstore.records.model import Container, Layer
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables, make_directory, told, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """A store with a layer, a container and all lock files, closed to others."""
    made = Tables(tmp_path, Layer(id="layer"), Container(id="box", layer="layer"))
    make_directory(made.context.layout.run_root)
    for place in made.context.places.values():
        for lock in place.locks:
            write(lock, b"")
    return made


def kinds(tables: Tables) -> set[str]:
    """The kinds of findings about directories and locks."""
    return {finding.kind for finding in place_findings(tables.snapshot)}


MODES = {0o700: set(), 0o755: {"place-open"}, 0o777: {"place-mode"}, 0o500: {"place-mode"}, 0o1777: {"place-open"}}
"""Modes of a directory of the store, and what is said of each: a sticky one cannot be emptied by others."""


@pytest.mark.parametrize(("mode", "expected"), MODES.items(), ids=map(oct, MODES))
def test_modes_of_the_stores_directories(tables: Tables, mode: int, expected: set[str]) -> None:
    os.chmod(tables.context.layout.layers, mode)

    assert kinds(tables) == expected


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o711])
def test_roots_made_by_hand_may_be_read_by_others(tables: Tables, mode: int) -> None:
    """Only what is in them need be closed."""
    os.chmod(tables.context.layout.graph_root, mode)

    assert kinds(tables) == set()


def test_a_finding_says_what_the_mode_should_be(tables: Tables) -> None:
    os.chmod(tables.context.layout.layers, 0o777)  # noqa: S103  - what is found

    (finding,) = place_findings(tables.snapshot)
    assert finding.evidence == {"mode": "0777", "expected": "0700"}


def test_a_file_in_the_place_of_a_directory(tables: Tables) -> None:
    os.rmdir(tables.context.layout.run_root)
    with open(tables.context.layout.run_root, "wb"):
        pass

    assert ("place-wrong", tables.context.layout.run_root) in told(place_findings(tables.snapshot))


def test_a_dangling_link_in_the_place_of_a_directory(tables: Tables) -> None:
    """A directory that is not there yet is nothing; a link that leads nowhere is."""
    os.rmdir(tables.context.layout.run_root)
    assert kinds(tables) == set()
    os.symlink("/nowhere/at/all", tables.context.layout.run_root)

    assert kinds(tables) == {"place-wrong"}


@pytest.mark.parametrize(
    ("instead", "kind"), [("nothing", "lock-missing"), ("link", "lock-wrong"), ("directory", "lock-wrong")]
)
def test_a_lock_file_that_is_none(tables: Tables, instead: str, kind: str) -> None:
    lock = tables.context.layout.layers_lock
    os.unlink(lock)
    if instead == "link":
        os.symlink("/etc/passwd", lock)
    elif instead == "directory":
        os.mkdir(lock)

    assert told(place_findings(tables.snapshot)) == [(kind, lock)]


def test_a_lock_that_guards_nothing_is_not_missed(tables: Tables) -> None:
    """Whoever writes the first record makes it."""
    place = tables.context.places[ItemKind.IMAGES]
    os.unlink(place.locks[0])
    for path in place.files.values():
        os.unlink(path)

    assert kinds(tables) == set()


THINGS = {
    "vfs/dir/layer": "a layer's directory", "vfs-layers/layer": "a layer's data",
    "vfs-containers/box": "a container's data",
    "cstore-quarantine": "the quarantine", "vfs-layers/tmp": "what is being made",
}  # fmt: skip


@pytest.mark.parametrize("path", THINGS)
def test_a_fifo_in_the_place_of_a_directory(tables: Tables, path: str) -> None:
    """It is told of and never opened, so nobody waits for whoever would write into it."""
    full = os.path.join(tables.context.layout.graph_root, path)
    if os.path.isdir(full):
        os.rmdir(full)
    os.mkfifo(full)

    assert told(thing_findings(tables.snapshot)) == [("thing-wrong", full)]
    assert stat.S_ISFIFO(os.lstat(full).st_mode)


def test_no_path_is_made_of_an_unsafe_id(tmp_path: Path) -> None:
    """What it leads to is none of the store's."""
    tables = Tables(tmp_path, Layer(id="../../aside"), without_tree=["../../aside"])
    os.mkfifo(tmp_path / "aside")

    assert told(thing_findings(tables.snapshot)) == []


def test_data_of_a_layer_that_is_called_like_a_journal(tmp_path: Path) -> None:
    """Its directory stands where a journal would, and is rightly there."""
    tables = Tables(tmp_path, Layer(id="odd.replacing.json"))
    os.mkdir(os.path.join(tables.context.layout.layers, "odd.replacing.json"))

    assert told(thing_findings(tables.snapshot)) == []
