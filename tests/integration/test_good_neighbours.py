"""What cstore makes in a store while it works is out of every other tool's sight, and what theirs is stays theirs."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular, typical_tar
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Runner, StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")

_F_OFD_SETLK = 37


@contextmanager
def held(path: str) -> Iterator[None]:
    """Hold the lock of a file as the Go tools do: with a lock that belongs to the open file."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(fd, _F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
        yield
    finally:
        os.close(fd)


def wait_for(pattern: str, directory: Path) -> Path:
    """Wait until something of that form is there."""
    for _ in range(3000):
        found = next(iter(directory.glob(pattern)), None)
        if found is not None:
            return found
        time.sleep(0.01)
    pytest.fail(f"nothing like {pattern} appeared")


@pytest.fixture(params=["overlay", "vfs"])
def roots(request: pytest.FixtureRequest, store_roots: StoreRoots) -> StoreRoots:
    """A store of each driver that works anywhere."""
    return replace(store_roots, driver=request.param)


def test_nothing_is_made_in_the_home_but_layers(run: Runner, roots: StoreRoots, tmp_path: Path) -> None:
    """Not even while an import is at work: its tree grows beside the home, on the home's file system."""
    run("create-layer", "--id", "base", roots=roots).ok()
    before = sorted(os.listdir(os.path.join(roots.graph, roots.driver)))
    command = [sys.executable, "-m", "cstore", *roots.options, "import-layer", "--id", "half", "base"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(typical_tar(files=50)[:20_000])
    process.stdin.flush()

    staged = wait_for(f"cstore-staging/{roots.driver}/temp-dir-*/*", tmp_path / "graph")

    assert sorted(os.listdir(os.path.join(roots.graph, roots.driver))) == before
    assert staged.stat().st_dev == os.stat(os.path.join(roots.graph, roots.driver)).st_dev
    process.stdin.close()
    process.wait()
    assert not os.path.exists(os.path.join(roots.graph, "cstore-staging"))


def test_an_import_of_another_tool_outlives_everything(run: Runner, roots: StoreRoots) -> None:
    """`tempdirs` and what has an owner in it stay, whatever is made, removed, repaired and collected."""
    run("create-layer", "--id", "base", roots=roots).ok()
    theirs = os.path.join(roots.graph, roots.driver, "tempdirs")
    tree = os.path.join(theirs, "temp-dir-123", "0-layer", "diff")
    os.makedirs(tree)
    with held(os.path.join(theirs, "lock-123")):
        run("import-layer", "--id", "top", "base", stdin=make_tar(regular("f", b"x")), roots=roots).ok()
        run("delete-layer", "top", roots=roots).ok()
        run("repair", "--yes", roots=roots)
        run("gc", roots=roots).ok()

        assert os.path.isdir(tree)
        assert run("layers", roots=roots).ok().lines[0] == "base"


def test_the_directory_of_other_tools_stays_when_it_is_empty(run: Runner, roots: StoreRoots) -> None:
    """One of them may be about to make something in it: what nobody owns in it goes, as they do it themselves."""
    run("create-layer", "--id", "base", roots=roots).ok()
    theirs = os.path.join(roots.graph, roots.driver, "tempdirs")
    os.makedirs(os.path.join(theirs, "temp-dir-123", "0-layer"))

    assert "temp-dir-123" in run("gc", "--dry-run", roots=roots).ok().stdout
    run("gc", roots=roots).ok()

    assert os.listdir(theirs) == []
    run("create-layer", "--id", "other", roots=roots).ok()
    run("delete-layer", "other", roots=roots).ok()
    assert os.listdir(theirs) == []


def test_a_partial_pull_goes_when_nobody_holds_its_lock(run: Runner, store_roots: StoreRoots) -> None:
    """One that is at work stays, and one without a lock file: nobody can tell whether that is at work."""
    roots = replace(store_roots, driver="overlay")
    run("create-layer", "--id", "base", roots=roots).ok()
    pulls = os.path.join(roots.graph, "overlay", "staging")
    for name in ("1", "2", "3"):
        os.makedirs(os.path.join(pulls, name, "dir"))
    open(os.path.join(pulls, "1", "staging.lock"), "w").close()
    with held(os.path.join(pulls, "2", "staging.lock")):
        assert os.path.join(pulls, "1") in run("check", roots=roots).stdout
        dry = run("gc", "--dry-run", roots=roots).ok().stdout
        assert [name for name in ("1", "2", "3") if os.path.join(pulls, name) in dry] == ["1"]
        assert sorted(os.listdir(pulls)) == ["1", "2", "3"]
        run("gc", roots=roots).ok()
        assert sorted(os.listdir(pulls)) == ["2", "3"]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A file system of its own."""
    point = tmp_path / "disk"
    point.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(point)], check=True)
    yield str(point)
    detach_all(str(point))


def test_a_home_on_a_disk_of_its_own(run: Runner, store_roots: StoreRoots, disk: str, tmp_path: Path) -> None:
    """Nothing can be renamed into it from beside it, so layers are made where no tool looks for layers."""
    roots = replace(store_roots, driver="overlay")
    os.makedirs(roots.graph)
    os.symlink(disk, os.path.join(roots.graph, "overlay"))
    run("import-layer", "--id", "base", stdin=make_tar(regular("f", b"x")), roots=roots).ok()
    command = [sys.executable, "-m", "cstore", *roots.options, "import-layer", "--id", "half", "base"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None
    process.stdin.write(typical_tar(files=50)[:20_000])
    process.stdin.flush()
    staging = wait_for("graph/overlay/staging/cstore-staging", tmp_path)
    wait_for("temp-dir-*/*", staging)
    process.kill()
    process.wait()
    process.stdin.close()

    assert run("check", roots=roots).code == 1
    assert run("gc", roots=roots).ok().code == 0
    assert run("check", roots=roots).code == 0
    run("delete-layer", "base", roots=roots).ok()
    assert not os.path.exists(staging)


@pytest.mark.parametrize("place", ["cstore-staging", "overlay/staging", "overlay/tempdirs"])
def test_a_link_in_the_place_of_staging_is_not_followed(
    run: Runner, store_roots: StoreRoots, tmp_path: Path, place: str
) -> None:
    """Nothing is made and nothing removed where it leads."""
    roots = replace(store_roots, driver="overlay")
    run("create-layer", "--id", "base", roots=roots).ok()
    for name in ("overlay/temp-dir-1", "temp-dir-1", "1"):
        (tmp_path / "outside" / name).mkdir(parents=True)
    (tmp_path / "outside" / "1" / "staging.lock").touch()
    os.symlink(tmp_path / "outside", os.path.join(roots.graph, place))

    made = run("create-layer", "--id", "other", roots=roots)
    run("gc", roots=roots)

    assert (made.code == 0) == (place != "cstore-staging")
    if made.code:
        assert made.stderr.count("\n") <= 2
        assert "symbolic link" in made.stderr
    found = sorted(str(path.relative_to(tmp_path / "outside")) for path in (tmp_path / "outside").rglob("*"))
    assert found == ["1", "1/staging.lock", "overlay", "overlay/temp-dir-1", "temp-dir-1"]
