"""Disks without a free block or inode: removals succeed and free space."""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.conftest import StoreRoots
from tests.faults.commands import ALL
from tests.faults.full import DISKS, FREEING, LEFT, FullDisk, fill, small_disk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, RunnerMaker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

SEED = 20261130
SMALL = make_tar(regular("f", b"small"))


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A separate small file system."""
    require(request.param)
    with small_disk(request.param, str(tmp_path)) as mountpoint:
        yield mountpoint


def require(kind: str) -> None:
    """Skip if such a disk cannot be created."""
    program = DISKS[kind][0][0]
    if shutil.which(program) is None or not os.path.exists("/dev/loop-control"):
        pytest.skip(f"no {program}, or no loop devices here")


@pytest.fixture
def run(disk: str, run_on: RunnerMaker) -> Runner:
    """A store of small items on that disk, including the run root: a layer, an image, a mounted container."""
    runner = run_on(StoreRoots(f"{disk}/graph", f"{disk}/run", "overlay"))
    runner("import-layer", "--id", "below", stdin=SMALL).ok()
    runner("import-layer", "--id", "spare", "below", stdin=SMALL).ok()
    runner("import-layer", "--id", "top", "below", stdin=SMALL).ok()
    runner("import-layer", "--id", "loose", "below", stdin=make_tar(regular("g", b"loose"))).ok()
    runner("create-image", "--id", "image", "--name", "img", "top").ok()
    runner("set-image-data", "img", "item", stdin=b"data").ok()
    runner("create-container", "--id", "container", "--name", "con", "img").ok()
    runner("mount", "con").ok()
    return runner


def mounted() -> list[str]:
    """Return all mount points."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        return [line.split()[1] for line in file]


@pytest.mark.parametrize("left", [0, 192 << 10])
def test_everything_can_be_removed_one_after_the_other(disk: str, run: Runner, left: int) -> None:
    """After removing a data item, name, mount, container, image and layers, the store is sound and works."""
    fill(disk, left)

    run("untag", "img").ok()
    run("delete-image-data", "image", "item").ok()
    run("release", "--yes", "loose").ok()
    run("unmount", "con").ok()
    assert not any(point.startswith(disk + "/") and point.endswith("/merged") for point in mounted())
    run("delete-container", "con").ok()
    run("delete-image", "image").ok()
    run("delete-layer", "spare").ok()

    assert run("layers", "--quiet").ok().lines == ["below"]
    run("check").ok()
    shutil.rmtree(os.path.join(disk, "filler"))
    run("import-layer", "--id", "next", "below", stdin=SMALL).ok()
    run("check").ok()


def test_wipe_frees_a_full_disk(disk: str, run: Runner) -> None:
    """Wipe removes everything in one go, and can be called again."""
    fill(disk, 0)

    run("wipe").ok()

    assert run("layers").ok().stdout + run("images").ok().stdout + run("containers").ok().stdout == ""
    run("wipe").ok()
    run("check").ok()


@pytest.mark.parametrize("words", [["import-layer", "--id", "new", "below"], ["set-image-data", "img", "item"]])
def test_what_does_not_fit_leaves_nothing(disk: str, run: Runner, words: list[str]) -> None:
    """It is refused with the reason; the store is sound, and the same command works once there is space."""
    fill(disk, 0)
    large = make_tar(regular("f", os.urandom(4 << 20)))

    done = run(*words, stdin=large)

    assert done.code == 1
    assert "No space left on device" in done.stderr
    run("check").ok()
    assert run("get-image-data", "img", "item").ok().output == b"data"
    shutil.rmtree(os.path.join(disk, "filler"))
    run(*words, stdin=large).ok()
    run("check").ok()


def test_a_sample_of_commands_on_a_full_disk_with_vfs(tmp_path: Path) -> None:
    """Deletions succeed, failures are explained, and the same command works once there is space."""
    require("xfs")
    choice = random.Random(SEED)
    commands = [*choice.sample(sorted(FREEING), 3), *choice.sample(sorted(ALL.keys() - FREEING), 1)]
    with small_disk("xfs", str(tmp_path)) as disk:
        os.mkdir(work := str(tmp_path / "work"))
        lab = FullDisk(work, "vfs", disk)

        wrong = {command: said for command in commands if (said := lab.on_full(command, choice.choice(LEFT)))}

    assert not wrong
