"""A full disk: an image can still be deleted, and one that does not fit leaves nothing."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import listing
from tests.conftest import StoreRoots
from tests.crash.test_full_disk import MIB, SMALL, fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, RunnerMaker

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[StoreRoots]:
    """Roots of a store on a file system of eight MiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small file system here")
    yield StoreRoots(str(path / "graph"), str(tmp_path / "run"))
    subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def run_small(small: StoreRoots, run_on: RunnerMaker) -> Runner:
    """A store with one image of one layer."""
    run = run_on(small)
    run("import-layer", "--id", "base", stdin=SMALL).ok()
    run("create-image", "--id", "it", "--name", "name", "base").ok()
    run("set-image-data", "it", "manifest", stdin=b"{}").ok()
    return run


@pytest.mark.parametrize("left", [0, 4096])
def test_an_image_can_be_deleted(run_small: Runner, small: StoreRoots, left: int) -> None:
    """Its layers make room for the records without it."""
    fill(small, left)

    assert run_small("images", "--quiet").ok().stdout == "it\n"
    assert run_small("delete-image", "name").ok().stderr == "name: base\n"
    assert run_small("images").ok().stdout == run_small("layers").ok().stdout == ""
    assert os.listdir(small.tree("")) == []


def test_data_that_do_not_fit_leave_nothing(run_small: Runner, small: StoreRoots) -> None:
    """The old item is still there."""
    before = listing(small.graph)

    refused = run_small("set-image-data", "it", "manifest", stdin=bytes(16 * MIB))

    assert refused.code == 1
    assert "No space left on device" in refused.stderr
    assert listing(small.graph) == before
    assert run_small("get-image-data", "it", "manifest").ok().output == b"{}"
