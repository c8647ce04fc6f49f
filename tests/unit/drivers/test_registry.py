"""The driver of a store that exists is found; where nothing is yet, it is the first that works."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.drivers.registry import DRIVERS, choose_drivers
from cstore.errors import DriverError, DriverUnknown

if TYPE_CHECKING:
    from pathlib import Path


def homes(graph: Path, *names: str, used: tuple[str, ...] = ()) -> str:
    for name in (*names, *used):
        (graph / name).mkdir(parents=True)
    for name in used:
        (graph / name / "something").mkdir()
    return str(graph)


@pytest.mark.parametrize("name", DRIVERS)
def test_an_existing_store_names_its_driver(tmp_path: Path, name: str) -> None:
    """Whichever it is; the peer passes over vfs."""
    assert choose_drivers(homes(tmp_path, name), "", ()) == (name,)


def test_an_empty_home_counts_only_if_there_is_no_other(tmp_path: Path) -> None:
    """A start that failed leaves one behind."""
    assert choose_drivers(homes(tmp_path, "zfs", "overlay", used=("btrfs",)), "", ()) == ("btrfs",)


def test_two_stores_in_one_place_are_for_the_user_to_choose(tmp_path: Path) -> None:
    """The error names both; a configured order, or a name, decides."""
    graph = homes(tmp_path, used=("btrfs", "vfs"))

    with pytest.raises(DriverError, match="btrfs, vfs") as told:
        choose_drivers(graph, "", ())
    assert "contains several valid graphdrivers: btrfs, vfs" in told.value.peer
    assert choose_drivers(graph, "", ("overlay", "vfs", "btrfs")) == ("vfs",)
    assert choose_drivers(graph, "btrfs", ()) == ("btrfs",)


def test_nothing_there_yet(tmp_path: Path) -> None:
    """All of them may be tried, those of a configured order first."""
    assert choose_drivers(str(tmp_path / "none"), "", ("aufs", "btrfs")) == ("btrfs", "overlay", "zfs", "vfs")
    assert choose_drivers(str(tmp_path / "none"), "", ()) == ("overlay", "btrfs", "zfs", "vfs")
    assert os.listdir(tmp_path) == []


def test_a_store_of_a_driver_that_we_do_not_have(tmp_path: Path) -> None:
    """No second store is begun beside it."""
    with pytest.raises(DriverUnknown, match="aufs"):
        choose_drivers(homes(tmp_path, used=("aufs",)), "", ())
