"""A new store for which nobody names a driver gets the best one that works where it is, and keeps it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")
WARNING = "a new store uses vfs instead"


@pytest.fixture
def on_overlay(tmp_path: Path) -> Iterator[str]:
    """A directory on an overlay mount, as in most containers."""
    for name in ("lower", "upper", "work", "on"):
        (tmp_path / name).mkdir()
    where = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", where, str(tmp_path / "on")], check=True)
    yield str(tmp_path / "on")
    detach_all(str(tmp_path))


def cstore(place: str, *words: str, before: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run cstore on a store in `place`, without a driver's name anywhere."""
    roots = ["--graph", os.path.join(place, "graph"), "--run", os.path.join(place, "run")]
    return subprocess.run(
        [*before, sys.executable, "-m", "cstore", *roots, *words],
        input=make_tar(regular("f", b"text")),
        capture_output=True,
        check=True,
        env={**os.environ, "CONTAINERS_STORAGE_CONF": os.devnull, **env},
    )


def test_where_overlay_cannot_be_used_the_next_one_is(on_overlay: str) -> None:
    """With one warning that says why, as long as overlay cannot be used; then the store must be asked for."""
    looked = cstore(on_overlay, "layers", PATH="/nonexistent")
    assert looked.stdout == b""
    assert os.listdir(on_overlay) == []
    made = cstore(on_overlay, "import-layer", "--id", "layer", PATH="/nonexistent")

    assert [WARNING in line for line in made.stderr.decode().splitlines()] == [True]
    assert b"overlayfs" in made.stderr
    again = cstore(on_overlay, "diff", "--uncompressed", "layer", PATH="/nonexistent")
    assert again.stdout == make_tar(regular("f", b"text"))
    assert b"uses vfs instead" in again.stderr
    asked = cstore(on_overlay, "--storage-driver", "vfs", "diff", "--uncompressed", "layer")
    assert (asked.stdout, asked.stderr) == (again.stdout, b"")
    there = {name for name in os.listdir(os.path.join(on_overlay, "graph")) if name != "cstore-reserve"}
    assert there == {"vfs", "vfs-layers"}


def test_a_store_of_vfs_alone_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    """As in the Go library, unless the driver or its place in `driver_priority` is configured."""
    cstore(str(tmp_path), "--storage-driver", "vfs", "import-layer", "--id", "layer")

    looked = cstore(str(tmp_path), "layers")
    assert looked.stdout == b""
    assert b"holds a store of vfs" in looked.stderr
    assert b"--storage-driver vfs" in looked.stderr
    conf = tmp_path / "storage.conf"
    conf.write_text("[storage]\ndriver_priority = ['overlay', 'vfs']\n")
    assert cstore(str(tmp_path), "layers", CONTAINERS_STORAGE_CONF=str(conf)).stdout == b"layer\n"


def test_a_process_that_may_not_mount_needs_no_overlay(tmp_path: Path) -> None:
    """Root in a container without privileges, and without a mount program, imports all the same."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    without = ("/usr/bin/setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")
    made = cstore(str(tmp_path), "import-layer", "--id", "layer", before=without, PATH="/nonexistent")

    assert [WARNING in line for line in made.stderr.decode().splitlines()] == [True]
    assert b"CAP_SYS_ADMIN" in made.stderr
    assert os.listdir(tmp_path / "graph" / "vfs" / "dir") == ["layer"]


def test_where_overlay_works_it_is_used(tmp_path: Path) -> None:
    """Without a word."""
    made = cstore(str(tmp_path), "import-layer", "--id", "layer")
    detach_all(str(tmp_path))

    assert made.stderr == b""
    assert (tmp_path / "graph" / "overlay" / "layer").is_dir()
