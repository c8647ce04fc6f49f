"""What a layer's writer could not make is no damage; what somebody removed since is."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.check import CheckOptions, check_store
from cstore.config import Overrides, load_config
from cstore.store import NewLayer, Store, open_store
from tests.builders import Entry, directory, make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")

ARCHIVE = make_tar(
    directory("dev", mtime=1_600_000_000),
    Entry(b"dev/null", type=b"3", device=(1, 3)),
    Entry(b"dev/sda", type=b"4", device=(8, 0)),
    regular("f", b"contents"),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with a layer that has two devices."""
    roots = Overrides(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="vfs")
    made = open_store(load_config(roots, environ={"HOME": str(tmp_path)}))
    (tmp_path / "archive").write_bytes(ARCHIVE)
    fd = os.open(tmp_path / "archive", os.O_RDONLY)
    made.layers.put(NewLayer(id="layer"), fd)
    os.close(fd)
    return made


def missing(store: Store, *names: str, restore: bool) -> list[str]:
    """What a check misses when these devices are gone, and their directory tells nothing of it, or does."""
    folder = os.path.join(store.config.graph_root, "vfs", "dir", "layer", "dev")
    before = os.stat(folder)
    for name in names:
        os.unlink(os.path.join(folder, name))
    if restore:
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = check_store(store.context, CheckOptions(workers=1)).findings
    return [finding.sentence for finding in found if finding.kind == "file-missing"]


def test_devices_that_were_never_there_are_not_missed(store: Store) -> None:
    """Root of a user namespace wrote the layer, and could make none; the directory has the time of the archive."""
    assert missing(store, "null", "sda", restore=True) == []


@pytest.mark.parametrize("names", [("null",), ("null", "sda")])
def test_devices_that_were_removed_are_missed(store: Store, names: tuple[str, ...]) -> None:
    """There is another, or the directory was changed after the layer had been written."""
    assert len(missing(store, *names, restore=len(names) == 1)) == len(names)
