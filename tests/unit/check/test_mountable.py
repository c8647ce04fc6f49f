"""Layers that are mounted to see whether they can be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.check.mountable import unmountable
from cstore.errors import DriverUnusable
from cstore.kernel.namespaces import CAP_SYS_ADMIN, has_capability
from cstore.records.model import Layer
from cstore.store.places import ItemKind
from tests.unit.check.tables import Tables, told

if TYPE_CHECKING:
    from pathlib import Path


def everything(kind: str, name: str) -> bool:
    """Every item is wanted."""
    return bool(kind and name)


@pytest.fixture
def overlay(tmp_path: Path) -> Tables:
    """Two layers of overlay: `sound`, which is mounted as it is, and `lost`, whose list of ancestors leads nowhere."""
    if not has_capability(CAP_SYS_ADMIN):
        pytest.skip("needs root: layers are mounted")
    tables = Tables(tmp_path, Layer(id="sound"), Layer(id="lost", parent="sound"), driver="overlay")
    try:
        tables.context.driver.require()
    except DriverUnusable as error:
        pytest.skip(error.message)
    home = tables.context.layout.driver_home
    for layer, link in (("sound", "A"), ("lost", "B")):
        os.mkdir(os.path.join(home, layer, "work"))
        with open(os.path.join(home, layer, "link"), "w", encoding="ascii") as file:
            file.write(link)
    with open(os.path.join(home, "lost/lower"), "w", encoding="ascii") as file:
        file.write("l/NOWHERE")
    return tables


def test_what_cannot_be_mounted_is_a_finding(overlay: Tables) -> None:
    """And nothing stays mounted."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        before = file.read()
    notes: list[str] = []

    assert told(unmountable(overlay.snapshot, everything, notes)) == [("layer-unreadable", "lost")]
    assert notes == []
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert file.read() == before


def test_what_is_not_asked_for_unfinished_or_gone_is_not_mounted(overlay: Tables) -> None:
    """A layer that was removed while the others were mounted is no finding."""
    snapshot = overlay.snapshot
    assert unmountable(snapshot, lambda _, name: name == "sound", []) == []

    overlay.records(ItemKind.LAYERS, [Layer(id="sound"), Layer(id="lost", parent="sound", flags={"incomplete": True})])
    assert unmountable(overlay.snapshot, everything, []) == []
    overlay.records(ItemKind.LAYERS, [Layer(id="sound")])
    assert unmountable(snapshot, everything, []) == []


def test_a_process_that_may_not_mount_says_so(tmp_path: Path) -> None:
    """It finds nothing, because it looked at nothing."""
    if has_capability(CAP_SYS_ADMIN):
        pytest.skip("this process may mount")
    notes: list[str] = []

    assert unmountable(Tables(tmp_path, Layer(id="layer")).snapshot, everything, notes) == []
    assert "cstore unshare" in notes[0]
