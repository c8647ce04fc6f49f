"""How a step changes the store: under all locks, with what it replaces in quarantine, and as the store is by then."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cstore.check.repair.repair_context import set_mode, set_owner
from cstore.errors import LockTimeout, SystemFailure
from cstore.fs.lock_policy import LockPolicy
from cstore.fs.lockfile import LockFile
from cstore.records.model import Layer
from cstore.records.table import Location
from cstore.store.places import ItemKind
from cstore.store.reading import Reader
from tests.unit.check.tables import Tables, read, write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    """A store with a layer."""
    return Tables(tmp_path, Layer(id="a", names=("mine",)))


def layers(tables: Tables) -> dict[str, Layer]:
    """The layer records."""
    return {layer.id: layer for layer in Reader(tables.context).layers}


def test_a_record_is_changed_as_it_is_under_the_lock(tables: Tables) -> None:
    """The journal has both; a change that changes nothing, or of what is gone, leaves no case."""
    with tables.repairing() as repair:
        repair.change(ItemKind.LAYERS, "a", "why", lambda found: found)
        repair.change(ItemKind.LAYERS, "gone", "why", lambda found: found.with_(metadata="x"))
        nothing = repair.quarantine.case
        repair.change(ItemKind.LAYERS, "a", "why", lambda found: found.with_(metadata="m"))
        case = repair.quarantine.case

    assert layers(tables)["a"].metadata == "m"
    assert nothing is None
    assert case is not None
    assert len(case.entries) == 1


def test_a_record_that_is_there_by_now_is_not_added(tables: Tables) -> None:
    """Nor does one that is added take a name away from somebody."""
    with tables.repairing() as repair:
        with repair.locked() as writer:
            repair.add(writer, ItemKind.LAYERS, Layer(id="a", metadata="x"), Location.STABLE, "why")
        with repair.locked() as writer:
            repair.add(writer, ItemKind.LAYERS, Layer(id="b", names=("mine", "own")), Location.STABLE, "why")

    found = layers(tables)
    assert (found["a"].metadata, found["a"].names, found["b"].names) == ("", ("mine",), ("own",))


def test_a_record_is_taken_out_once(tables: Tables) -> None:
    with tables.repairing() as repair:
        repair.forget(ItemKind.LAYERS, "a", "why")
        repair.forget(ItemKind.LAYERS, "a", "why")

    assert layers(tables) == {}


def test_what_an_unfinished_writer_left_may_be_what_is_healed(tables: Tables) -> None:
    """A repair does not sweep it, as every other writer would."""
    tables.records(ItemKind.LAYERS, [Layer(id="half", flags={"incomplete": True})])
    with tables.repairing() as repair, repair.locked() as writer:
        assert "half" in writer.layers

    assert "half" in layers(tables)


def test_a_file_that_is_written_again_is_kept(tables: Tables) -> None:
    path = tables.context.places[ItemKind.LAYERS].files[Location.STABLE]
    before = read(path)
    with tables.repairing() as repair:
        with repair.locked():
            repair.rewrite(ItemKind.LAYERS, Location.STABLE, [b'{"id":"x"}', b'{"id":"y"}'], "why")
        case = repair.quarantine.case

    assert read(path) == b'[{"id":"x"},{"id":"y"}]'
    assert case is not None
    assert [read(case.path_of(entry)) for entry in case.entries] == [before]  # type: ignore[arg-type]


def test_an_item_in_a_directory_that_was_lost(tables: Tables) -> None:
    directory = tables.context.layout.layer_data("a")
    with tables.repairing() as repair, repair.locked():
        repair.item(directory, "key", b"value", "layer")

    assert read(os.path.join(directory, "key")) == b"value"


def test_a_step_waits_for_every_writer(tables: Tables) -> None:
    tables.context.lock_policy = LockPolicy(timeout=0)
    busy = LockFile(tables.context.layout.containers_lock)
    with busy.exclusive(LockPolicy()), tables.repairing() as repair, pytest.raises(LockTimeout), repair.locked():
        pass


def test_a_mode_or_an_owner_is_set_on_the_thing_itself(tmp_path: Path) -> None:
    """Never on what a link leads to."""
    write(str(tmp_path / "file"), b"")
    os.chmod(tmp_path / "file", 0o640)
    os.symlink("file", tmp_path / "link")

    with pytest.raises(SystemFailure):
        set_mode(str(tmp_path / "link"), 0o600)
    set_owner(str(tmp_path / "link"), os.geteuid(), os.getegid())
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == 0o640
    set_mode(str(tmp_path / "file"), 0o600)
    assert stat.S_IMODE(os.stat(tmp_path / "file").st_mode) == 0o600
    with pytest.raises(SystemFailure, match="none"):
        set_owner(str(tmp_path / "none"), 0, 0)
