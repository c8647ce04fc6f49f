"""The umask of whoever makes a store decides on the same modes in it as with the Go tool."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, make_tar, regular
from tests.conftest import StoreRoots
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, RunnerMaker

pytestmark = [pytest.mark.peer, pytest.mark.usefixtures("needs_root")]

BASE = make_tar(directory("d", mode=0o2777), regular("d/f", b"hi", mode=0o4666))
EXACT = {"l", "link", "lower", "diff", "overlay-true"}
"""What cstore gives one mode whatever the umask, as the roots of whole trees. All are in directories with 0700."""
UPPER = make_tar(directory("new", mode=0o777), regular("new/g", b"ho", mode=0o666))


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="{:03o}".format)
def umask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """The umask of the test and the programs that it runs; what they left mounted goes."""
    before = os.umask(request.param)
    yield
    os.umask(before)
    detach_all(str(tmp_path))


def fill(run: Runner, tmp_path: Path) -> None:
    """Make something of every kind, with names and IDs that are the same in every store."""
    (tmp_path / "item").write_bytes(b"data")
    run("import-layer", "--id", "base", stdin=BASE).ok()
    run("import-layer", "--id", "upper", "base", stdin=UPPER).ok()
    run("create-layer", "--id", "empty", "upper").ok()
    run("create-image", "--id", "image", "--name", "img", "upper").ok()
    run("set-image-data", "--file", str(tmp_path / "item"), "img", "item").ok()
    run("create-container", "--id", "container", "--name", "con", "img").ok()
    run("set-container-data", "--file", str(tmp_path / "item"), "con", "item").ok()
    run("get-container-dir", "con").ok()
    run("get-container-run-dir", "con").ok()
    run("mount", "con").ok()
    run("unmount", "con").ok()


def modes(roots: StoreRoots) -> dict[str, str]:
    """The mode of all that has a name of its own in both roots; random IDs and links are left out."""
    found = {}
    for root in (roots.graph, roots.run):
        top = os.path.dirname(root)
        for folder, folders, files in os.walk(root):
            for name in (*folders, *files):
                path = os.path.join(folder, name)
                status = os.lstat(path)
                if not stat.S_ISLNK(status.st_mode) and name not in EXACT and not folder.endswith("/vfs/dir"):
                    found[os.path.relpath(path, top)] = stat.filemode(status.st_mode)
    return found


@pytest.mark.parametrize("driver", ["overlay", "vfs"])
@pytest.mark.usefixtures("umask")
def test_modes_of_a_store_are_those_of_the_go_tool(
    tmp_path: Path, run_on: RunnerMaker, peer_on: RunnerMaker, driver: str
) -> None:
    """What both make has one mode, whatever the umask, and what only cstore makes is closed to others."""
    ours, theirs = (
        StoreRoots(str(tmp_path / name / "graph"), str(tmp_path / name / "run"), driver) for name in ("ours", "theirs")
    )
    fill(run_on(ours), tmp_path)
    fill(peer_on(theirs), tmp_path)

    made, expected = modes(ours), modes(theirs)

    assert {path: mode for path, mode in made.items() if path in expected} == {
        path: mode for path, mode in expected.items() if path in made
    }
    assert f"graph/{driver}-layers/layers.lock" in expected
    own = {path: mode for path, mode in made.items() if path.startswith("graph/cstore-")}
    assert own
    assert {path: mode for path, mode in own.items() if not mode.endswith("------")} == {}
