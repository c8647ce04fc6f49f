"""A full disk: the command says so, the store is as it was, and deleting still works."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, listing, make_tar, regular, tree_manifest
from tests.conftest import StoreRoots

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Finished, Runner, RunnerMaker

pytestmark = pytest.mark.usefixtures("needs_root")

MIB = 1 << 20
SMALL = make_tar(directory("d"), regular("d/file", os.urandom(MIB)))
SMALLER = make_tar(directory("d"), regular("d/file", os.urandom(MIB // 2)))
TOO_BIG = make_tar(*(regular(f"f{n}", os.urandom(MIB)) for n in range(16)))
TOO_MANY = make_tar(*(regular(f"f{n}") for n in range(2000)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A file system of eight MiB and a thousand files."""
    path = tmp_path / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=1000", "tmpfs", str(path)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("cannot mount a small file system here")
    yield str(path)
    subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def roots(disk: str, tmp_path: Path) -> StoreRoots:
    """Roots of a store whose graph root is on the small disk."""
    return StoreRoots(os.path.join(disk, "graph"), str(tmp_path / "run"))


@pytest.fixture
def full(roots: StoreRoots, run_on: RunnerMaker) -> Runner:
    """A store with one layer that fits and one that was deleted."""
    run = run_on(roots)
    run("import-layer", "--id", "fits", "--name", "name", stdin=SMALL).ok()
    run("create-layer", "--id", "gone").ok()
    run("delete-layer", "gone").ok()
    return run


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["import-layer", "--id", "new"], TOO_BIG),
        (["import-layer", "--id", "new"], TOO_MANY),
        (["import-layer", "--id", "new", "fits"], TOO_BIG),
        (["applydiff", "fits"], TOO_BIG),
        (["applydiff", "fits"], TOO_MANY),
        (["set-layer-data", "fits", "item"], bytes(16 * MIB)),
    ],
    ids=["import", "import-files", "import-child", "applydiff", "applydiff-files", "set-layer-data"],
)
def test_too_big(full: Runner, roots: StoreRoots, words: list[str], stdin: bytes) -> None:
    """What does not fit is refused in one sentence that says why, and leaves no byte behind."""
    before, tree = listing(roots.graph), tree_manifest(roots.tree("fits"))

    done = full(*words, stdin=stdin)

    refused(done)
    assert listing(roots.graph) == before
    assert tree_manifest(roots.tree("fits")) == tree
    assert full("diff", "--uncompressed", "fits").ok().output == SMALL
    full("import-layer", "--id", "next", stdin=SMALL).ok()


@pytest.mark.parametrize("left", [0, 4096, 65536])
def test_delete_on_a_full_disk(full: Runner, roots: StoreRoots, left: int) -> None:
    """With nothing or next to nothing left, reading works, a deletion works and makes room."""
    fill(roots, left)

    assert full("layers", "--quiet").ok().stdout == "fits\n"
    assert full("diff", "--uncompressed", "fits").ok().output == SMALL
    full("delete-layer", "name").ok()
    full("import-layer", "--id", "next", stdin=SMALLER).ok()

    assert full("layers", "--quiet").ok().stdout == "next\n"


@pytest.mark.parametrize("left", [0, 4096])
def test_delete_of_a_container_on_a_full_disk(full: Runner, roots: StoreRoots, left: int) -> None:
    """It goes with its layer, and there is room again."""
    full("create-container", "--id", "container", "").ok()
    own = full("layers", "--quiet").ok().lines[1]
    with open(os.path.join(roots.tree(own), "file"), "wb") as file:
        file.write(bytes(65536))
    fill(roots, left)

    full("delete-container", "container").ok()

    assert full("containers").ok().stdout == ""
    assert full("layers", "--quiet").ok().lines == ["fits"]
    full("create-container", "--id", "next", "").ok()


def test_rename_on_a_full_disk(full: Runner, roots: StoreRoots) -> None:
    """Renaming with no byte left works or is refused, and the names are all old or all new."""
    fill(roots, 0)

    done = full("set-names", "--name", "new", "fits")

    if done.code != 0:
        refused(done)
    assert full("get-names", "fits").ok().lines == (["name"] if done.code else ["new"])


def refused(done: Finished) -> None:
    """One sentence that names the reason."""
    assert done.code == 1
    assert done.output == b""
    assert len(done.stderr.splitlines()) == 1
    assert "No space left on device" in done.stderr


def fill(roots: StoreRoots, left: int) -> None:
    """Fill the disk with a file of somebody else's, to the last byte but `left`."""
    path = os.path.join(os.path.dirname(roots.graph), "filler")
    with open(path, "wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
        file.truncate(max(0, file.tell() - left))
