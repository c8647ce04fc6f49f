"""What a host gives to a store: room, the clock, and how a program is told what it does."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from cstore.check.host import Fact, HostReport, Level, _clock, _locks, _mounts, _settings, _space, examine_host
from cstore.fs.lockfile import LockFile
from cstore.records.model import Layer
from tests.unit.check.tables import Tables, write

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30


def room(*, free: int, total: int, inodes_free: int = 10**6, inodes: int = 10**6) -> os.statvfs_result:
    """A file system with that many bytes and inodes."""
    return os.statvfs_result((1, 1, total, free, free, inodes, inodes_free, inodes_free, 0, 255))


ROOM: dict[str, tuple[dict[str, int], list[Level]]] = {
    "half is free": ({"free": 50 * GIB, "total": 100 * GIB}, [Level.OK, Level.OK]),
    "little is free": ({"free": 4 * GIB, "total": 100 * GIB}, [Level.WARNING, Level.OK]),
    "hardly any, of much": ({"free": 9 * GIB, "total": 1000 * GIB}, [Level.WARNING, Level.OK]),
    "hardly any, of little": ({"free": GIB // 2, "total": 100 * GIB}, [Level.PROBLEM, Level.OK]),
    "no inodes": ({"free": GIB, "total": GIB, "inodes_free": 5, "inodes": 10**6}, [Level.OK, Level.PROBLEM]),
    "no fixed number of inodes": ({"free": GIB, "total": GIB, "inodes_free": 0, "inodes": 0}, [Level.OK]),
}
"""Room, and how bytes and inodes are to be taken: little room is a problem only where it is little for a layer."""


@pytest.mark.parametrize(("size", "levels"), ROOM.values(), ids=ROOM)
def test_room(tmp_path: Path, size: dict[str, int], levels: list[Level]) -> None:
    facts = list(_space(Tables(tmp_path).context, "/graph", room(**size)))

    assert [fact.level for fact in facts] == levels
    assert all((" prune " in fact.remedy) == (fact.level is not Level.OK) for fact in facts)


@pytest.mark.parametrize(("ahead", "level"), [(-3600, Level.OK), (60, Level.OK), (3600, Level.WARNING)])
def test_a_clock_that_was_set_back(tmp_path: Path, ahead: int, level: Level) -> None:
    """Whoever wrote last had a later time: ages are wrong until the clock is right. Two minutes may be a drift."""
    tables = Tables(tmp_path)
    lock = tables.context.layout.layers_lock
    write(lock, b"")
    os.utime(lock, (time.time() + ahead, time.time() + ahead))

    assert [fact.level for fact in _clock(tables.context)] == [level]


def test_who_holds_a_lock(tmp_path: Path) -> None:
    tables = Tables(tmp_path)
    lock = tables.context.layout.layers_lock
    assert [fact.sentence for fact in _locks(tables.context)] == ["no process holds a lock of the store"]
    with LockFile(lock).exclusive(tables.context.lock_policy):
        (fact,) = _locks(tables.context)

    assert fact.sentence.startswith(f"{lock} is held by ")
    assert str(os.getpid()) in fact.sentence


def test_warnings_of_the_configuration_are_facts(tmp_path: Path) -> None:
    """Those that only writers are told of, too."""
    tables = Tables(tmp_path, config={"warnings": ("one",), "write_warnings": ("two",), "source": "/etc/x.conf"})

    facts = [fact for fact in _settings(tables.context) if fact.area == "configuration"]
    assert [(fact.level, fact.sentence) for fact in facts] == [
        (Level.OK, "read from /etc/x.conf"), (Level.WARNING, "one"), (Level.WARNING, "two"),
    ]  # fmt: skip


def test_mount_counts_that_are_wrong_are_warnings(tmp_path: Path) -> None:
    tables = Tables(tmp_path, Layer(id="layer"))
    write(tables.context.layout.mountpoints, b"[{")

    assert [fact.level for fact in _mounts(tables.context)] == [Level.WARNING]
    write(tables.context.layout.mountpoints, b"[]")
    assert [fact.level for fact in _mounts(tables.context)] == [Level.OK]


def test_only_problems_are_problems() -> None:
    facts = tuple(Fact("area", level, level.value) for level in Level)

    assert [fact.sentence for fact in HostReport(facts).problems] == ["problem"]


def test_a_store_that_is_not_there_yet_is_looked_at_where_it_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made; each area has something to say."""
    monkeypatch.setenv("PATH", "")
    context: Any = Tables(tmp_path).context
    context.layout.graph_root = str(tmp_path / "graph")

    report = examine_host(context)
    areas = {fact.area for fact in report.facts}
    assert {"kernel", "driver", "file system", "space", "user", "configuration", "locks", "mounts", "clock"} <= areas
    assert report.bytes_total > 0
    assert not os.path.exists(context.layout.run_root)
