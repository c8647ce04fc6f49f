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


@pytest.mark.parametrize("name", [name for name in DRIVERS if name != "vfs"])
def test_an_existing_store_names_its_driver(tmp_path: Path, name: str) -> None:
    """Whichever it is, except for vfs."""
    assert choose_drivers(homes(tmp_path, name), "", ()) == (name,)


def test_a_store_of_vfs_is_used_if_vfs_is_asked_for(tmp_path: Path) -> None:
    """As the Go library does: without a name or an order that has vfs, the choice is made as for a new store."""
    graph = homes(tmp_path, used=("vfs",))

    assert choose_drivers(graph, "", ())[0] == "overlay"
    assert choose_drivers(graph, "", ("overlay", "vfs")) == ("vfs",)
    assert choose_drivers(graph, "vfs", ()) == ("vfs",)


def test_an_empty_home_counts_only_if_there_is_no_other(tmp_path: Path) -> None:
    """A start that failed leaves one behind."""
    assert choose_drivers(homes(tmp_path, "zfs", "overlay", used=("btrfs",)), "", ()) == ("btrfs",)


def test_two_stores_in_one_place_are_for_the_user_to_choose(tmp_path: Path) -> None:
    """The error names both; a configured order, or a name, decides."""
    graph = homes(tmp_path, used=("btrfs", "overlay", "vfs"))

    with pytest.raises(DriverError, match="btrfs, overlay") as told:
        choose_drivers(graph, "", ())
    assert "contains several valid graphdrivers: btrfs, overlay" in told.value.go_text
    assert choose_drivers(graph, "", ("zfs", "vfs", "btrfs")) == ("vfs",)
    assert choose_drivers(graph, "btrfs", ()) == ("btrfs",)


def test_nothing_there_yet(tmp_path: Path) -> None:
    """All of them may be tried, those of a configured order first."""
    assert choose_drivers(str(tmp_path / "none"), "", ("aufs", "btrfs")) == ("btrfs", "overlay", "zfs", "vfs")
    assert choose_drivers(str(tmp_path / "none"), "", ()) == ("overlay", "btrfs", "zfs", "vfs")
    assert os.listdir(tmp_path) == []


def test_what_aufs_left_is_no_error(tmp_path: Path) -> None:
    """The driver is gone from all tools: its directory, or its name in the order, stops nobody."""
    graph = homes(tmp_path, used=("aufs",))

    assert choose_drivers(graph, "", ())[0] == "overlay"
    assert choose_drivers(graph, "", ("aufs", "vfs"))[0] == "vfs"
    with pytest.raises(DriverUnknown, match="aufs"):
        choose_drivers(graph, "aufs", ())
