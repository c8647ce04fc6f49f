"""The mount table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.errors import RecordsChanged, RecordsDamaged
from cstore.records.mounts import Mount, MountTable

from .sample_files import put, read

if TYPE_CHECKING:
    from pathlib import Path

TWO = b'[{"id":"a","path":"/m/a","count":1},{"id":"b","path":"/m/b","count":3}]'


def test_a_table_is_read_and_written_back_the_same(tmp_path: Path) -> None:
    """All keys are always there."""
    path = put(str(tmp_path / "mountpoints.json"), TWO)
    table = MountTable.load(path)

    assert list(table) == [Mount("a", "/m/a", 1), Mount("b", "/m/b", 3)]
    assert table.get("b") == Mount("b", "/m/b", 3)
    assert table.get("c") is None
    table.save()
    assert read(path) == TWO


@pytest.mark.parametrize("data", [None, b"", b"null", b"[]"])
def test_nothing_is_mounted(tmp_path: Path, data: bytes | None) -> None:
    """After a reboot there is no file; reading makes none."""
    path = str(tmp_path / "run" / "mountpoints.json")
    if data is not None:
        (tmp_path / "run").mkdir()
        put(path, data)

    table = MountTable.load(path)

    assert list(table) == []
    assert (tmp_path / "run").exists() == (data is not None)
    table.set("a", "/m/a <x>", 1)
    table.save()
    assert read(path) == b'[{"id":"a","path":"/m/a \\u003cx\\u003e","count":1}]'


def test_entries_that_mount_nothing_are_dropped(tmp_path: Path) -> None:
    """Without a path or a count; of two for a layer the later counts."""
    data = (
        b'[{"id":"a","path":"","count":1},{"id":"b","path":"/b","count":0},{"id":"c","path":"/c","count":-1},{"id":"e"},'
        b'{"id":"d","path":"/old","count":1},{"id":"d","path":"/d","count":2,"later":true}]'
    )

    assert list(MountTable.load(put(str(tmp_path / "m"), data))) == [Mount("d", "/d", 2)]


def test_mounts_come_and_go(tmp_path: Path) -> None:
    """A count of 0 is the end of a mount."""
    table = MountTable.load(put(str(tmp_path / "m"), TWO))

    table.set("b", "/m/b", 2)
    table.set("a", "", 0)
    table.set("c", "/m/c", 1)
    table.drop("nobody")
    assert list(table) == [Mount("b", "/m/b", 2), Mount("c", "/m/c", 1)]
    table.drop("b")
    table.save()

    assert list(MountTable.load(str(tmp_path / "m"))) == [Mount("c", "/m/c", 1)]
    assert table.is_current()


def test_the_order_of_the_layers(tmp_path: Path) -> None:
    """The peer writes mounts in layer order and forgets those of unknown layers."""
    table = MountTable.load(put(str(tmp_path / "m"), TWO))
    table.set("c", "/m/c", 1)

    table.arrange(["c", "x", "a"])

    assert [mount.id for mount in table] == ["c", "a"]


@pytest.mark.parametrize(
    "data", [b"[", b"{}", b'[{"id":1}]', b"[null]", b"\0\0", b'[{"path":"/x"}]', b'[{"id":"\xff"}]']
)
def test_damage_is_refused(tmp_path: Path, data: bytes) -> None:
    """Who only reads may go on without; that is for the caller to decide."""
    path = put(str(tmp_path / "m"), data)

    with pytest.raises(RecordsDamaged) as caught:
        MountTable.load(path)

    assert caught.value.path == path
    assert list(MountTable(path)) == []


def test_a_table_that_somebody_else_wrote_is_not_overwritten(tmp_path: Path) -> None:
    """Whoever ignores the lock does not lose a mount through us; nor is damage overwritten unseen."""
    path = put(str(tmp_path / "m"), TWO)
    table = MountTable.load(path)
    put(path, b"[]")

    with pytest.raises(RecordsChanged):
        table.save()
    with pytest.raises(RecordsChanged):
        MountTable(path).save()
    assert read(path) == b"[]"
