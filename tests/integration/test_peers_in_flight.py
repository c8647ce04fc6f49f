"""An import of the Go tool 1.62 or newer, held half way, lives through whatever cstore does meanwhile.

Such an import is staged without any lock of the store: a directory is made, a file in it locked, and the tree unpacked
beside that; the record is staged in a directory of the same kind.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular, typical_tar
from tests.conftest import ROOT, find_peer
from tests.integration.test_good_neighbours import wait_for
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


TRY = """
import fcntl, struct, sys
try:
    with open(sys.argv[1], "r+b") as file:
        fcntl.fcntl(file, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))  # F_OFD_SETLK
except OSError:
    sys.exit(1)
"""


def sweep_as_the_go_tool(graph: str, images: str, driver: str) -> None:
    """Remove what the Go tool 1.63 removes on opening a store and in `gc`: what nobody locks, or nobody records."""
    folders = [f"{root}/{driver}/tempdirs" for root in (graph, images) if root] + [f"{graph}/{driver}-layers/tmp"]
    for folder in folders:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            path = f"{folder}/{name}"
            lock = path if name.startswith("lock-") else f"{folder}/lock-{name.rpartition('-')[2]}"
            if subprocess.run([sys.executable, "-c", TRY, lock], check=False).returncode == 0:
                os.unlink(path) if os.path.isfile(path) else shutil.rmtree(path)
    known = set()
    for root in filter(None, (graph, images)):
        path = f"{root}/{driver}-layers/layers.json"
        if os.path.exists(path):
            with open(path, "rb") as file:
                known |= {row["id"] for row in json.load(file)}
    for root in filter(None, (graph, images)):
        for home in (f"{root}/{driver}/dir" if driver == "vfs" else f"{root}/{driver}", f"{root}/{driver}-layers"):
            for name in os.listdir(home) if os.path.isdir(home) else ():
                path, layer = f"{home}/{name}", name.removesuffix(".tar-split.gz")
                is_layer = name.endswith(".tar-split.gz") if home.endswith("-layers") else name not in RESERVED
                if is_layer and layer not in known:
                    os.unlink(path) if os.path.isfile(path) else shutil.rmtree(path)


RESERVED = {"l", "staging", "tempdirs", "backingFsBlockDev", ".has-mount-program"}


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


@pytest.mark.parametrize("place", ["overlay", "vfs", "overlay with an image store"])
def test_an_import_of_ours_lives_through_all_that_the_go_tool_does(place: str, tmp_path: Path) -> None:
    """Half of the archive has come: the newest tool sweeps, Debian's lists, checks, imports, deletes and collects."""
    driver, _, separate = place.partition(" ")
    graph, images = str(tmp_path / "graph"), str(tmp_path / "images") if separate else ""
    roots = ["--graph", graph, "--run", str(tmp_path / "run"), "--storage-driver", driver]
    ours = [sys.executable, "-m", "cstore", *roots, *(["--image-store", images] if images else [])]
    theirs = [find_peer("containers-storage"), *roots] if not images else []
    environ = {**os.environ, "CONTAINERS_STORAGE_CONF": os.devnull, "PYTHONPATH": ROOT}

    def run(*command: str, data: bytes = b"") -> bytes:
        done = subprocess.run(command, input=data, capture_output=True, check=False, env=environ)
        assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
        return done.stdout

    archive = typical_tar(files=50)
    run(*ours, "import-layer", "--id", "base", data=make_tar(regular("f", b"text")))
    command = [*ours, "import-layer", "--id", "half", "base"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ) as process:
        assert process.stdin is not None
        process.stdin.write(archive[:20_000])
        process.stdin.flush()
        wait_for(f"*/cstore-staging/{driver}/temp-dir-*/*", tmp_path)
        sweep_as_the_go_tool(graph, images, driver)
        if theirs:
            for words in ("layers", "check", "gc", "delete-layer other"):
                if words.startswith("delete"):
                    run(*theirs, "import-layer", "--id", "other", "base", data=make_tar(regular("g", b"more")))
                subprocess.run([*theirs, *words.split()], capture_output=True, check=False, env=environ)
        sweep_as_the_go_tool(graph, images, driver)
        process.stdin.write(archive[20_000:])
        process.stdin.close()
        assert process.wait() == 0

    sweep_as_the_go_tool(graph, images, driver)
    assert run(*ours, "diff", "-u", "half") == archive
    run(*ours, "check")
    assert not list(tmp_path.glob("*/cstore-staging"))
    detach_all(str(tmp_path))
