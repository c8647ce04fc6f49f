"""Disks that are full to the last block, or out of inodes: what removes something succeeds, and makes room."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.conftest import StoreRoots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, RunnerMaker

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("needs_root")]

DISKS = {
    "ext4": (["mkfs.ext4", "-q", "-m", "0", "-I", "256"], 48 << 20),
    "ext4 without inodes": (["mkfs.ext4", "-q", "-m", "0", "-N", "300"], 48 << 20),
    "xfs": (["mkfs.xfs", "-q"], 320 << 20),
}
"""What makes a file system, and how large it is."""

SMALL = make_tar(regular("f", b"small"))


@pytest.fixture(params=DISKS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A small file system of its own."""
    words, size = DISKS[request.param]
    if shutil.which(words[0]) is None or not os.path.exists("/dev/loop-control"):
        pytest.skip(f"no {words[0]}, or no loop devices here")
    image, mountpoint = tmp_path / "image", tmp_path / "disk"
    mountpoint.mkdir()
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run([*words, str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mountpoint)], check=True)
    yield str(mountpoint)
    subprocess.run(["umount", "--lazy", str(mountpoint)], check=True)


@pytest.fixture
def run(disk: str, run_on: RunnerMaker) -> Runner:
    """A store of small items on that disk, the run root too: a layer, an image, a container that is mounted."""
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


def fill(disk: str, left: int) -> None:
    """Fill the disk with somebody else's files, but for some bytes."""
    os.mkdir(os.path.join(disk, "filler"))
    few_inodes = os.statvfs(disk).f_files < 1000
    with suppress(OSError):
        for number in range(1, 1000 if few_inodes else 20):
            fd = os.open(f"{disk}/filler/{number}", os.O_WRONLY | os.O_CREAT)
            try:
                for size in (1 << 20, 1 << 16, 1 << 12, 512):
                    while number < 20 and write_some(fd, size):
                        pass
            finally:
                os.close(fd)
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize < 1 << 17
    if left:
        with open(f"{disk}/filler/1", "rb+") as file:
            file.truncate(max(0, os.path.getsize(file.name) - left))


def mounted() -> list[str]:
    """All mount points."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        return [line.split()[1] for line in file]


def write_some(fd: int, size: int) -> bool:
    """Write some bytes; say whether there was room for them."""
    try:
        return os.write(fd, bytes(size)) == size
    except OSError:
        return False


@pytest.mark.parametrize("left", [0, 192 << 10])
def test_everything_can_be_removed_one_after_the_other(disk: str, run: Runner, left: int) -> None:
    """A data item, a name, a mount, the container, the image with its layers, others: the store is sound, and works."""
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
    """Wipe removes everything at once, and can be called again."""
    fill(disk, 0)

    run("wipe").ok()

    assert run("layers").ok().stdout + run("images").ok().stdout + run("containers").ok().stdout == ""
    run("wipe").ok()
    run("check").ok()


@pytest.mark.parametrize("words", [["import-layer", "--id", "new", "below"], ["set-image-data", "img", "item"]])
def test_what_does_not_fit_leaves_nothing(disk: str, run: Runner, words: list[str]) -> None:
    """It is refused with the reason; the store is sound, and the same works once there is room."""
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
