"""An import of the Go tool 1.62 or newer, held half way, lives through whatever cstore does meanwhile.

Such an import is staged without any lock of the store: a directory is made, a file in it locked, and the tree unpacked
beside that; the record is staged in a directory of the same kind.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.conftest import ROOT
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")
HOLD = """
import fcntl, os, struct, sys
fds = [os.open(path, os.O_RDWR | os.O_CREAT, 0o600) for path in sys.argv[1:]]
for fd in fds:
    fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["overlay", "vfs", "overlay with an image store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Callable[..., str], list[str]]]:
    """How to run cstore on a store with one layer, and where imports are staged in it."""
    driver, _, separate = request.param.partition(" ")
    graph, images = str(tmp_path / "graph"), str(tmp_path / "images") if separate else ""
    roots = ["--graph", graph, "--run", str(tmp_path / "run"), "--storage-driver", driver]
    roots += ["--image-store", images] if images else []

    def run(*words: str, data: bytes = b"") -> str:
        environ = {**os.environ, "CONTAINERS_STORAGE_CONF": os.devnull, "PYTHONPATH": ROOT}
        command = [sys.executable, "-m", "cstore", *roots, *words]
        done = subprocess.run(command, input=data, capture_output=True, check=False, env=environ)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        return done.stdout.decode()

    run("import-layer", "--id", "first", data=make_tar(regular("f", b"text")))
    places = [f"{root}/{driver}/tempdirs" for root in (graph, images) if root]
    yield run, [*places, f"{graph}/{driver}-layers/tmp"]
    detach_all(str(tmp_path))


def use(run: Callable[..., str]) -> None:
    """Everything that could sweep: listing, checking, repairing, sweeping, importing, deleting."""
    run("layers")
    run("check")
    run("repair", "--yes")
    run("import-layer", "--id", "second", data=make_tar(regular("g", b"more")))
    run("gc")
    run("delete-layer", "second")
    assert json.loads(run("layers", "--json"))[0]["id"] == "first"


def test_a_place_for_staging_that_is_empty_is_never_removed(store: tuple[Callable[..., str], list[str]]) -> None:
    """Between making it and locking a file in it the Go tool has nothing there to be seen by."""
    run, places = store
    for place in places:
        os.makedirs(place, exist_ok=True)
    before = [os.stat(place).st_ino for place in places]
    use(run)

    assert [os.stat(place).st_ino for place in places] == before


def test_a_tree_whose_lock_is_held_is_left_alone(store: tuple[Callable[..., str], list[str]]) -> None:
    """It is swept once its owner is gone, and not before."""
    run, places = store
    trees, locks = [], []
    for place in places:
        os.makedirs(f"{place}/temp-dir-4711/0-tree/diff", exist_ok=True)
        trees.append(f"{place}/temp-dir-4711/0-tree/diff")
        locks.append(f"{place}/lock-4711")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, *locks], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        use(run)
        assert all(map(os.path.isdir, trees))
        holder.stdin.close()
    run("import-layer", "--id", "third", data=make_tar(regular("h", b"most")))
    run("gc")

    assert not any(map(os.path.exists, trees))
