"""An overlay store that is not what it should be: one sentence that names the thing and the remedy, and no change."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import listing, make_tar, regular
from tests.conftest import StoreRoots
from tests.mounts import detach_all, mounts_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Finished, Runner, RunnerMaker

pytestmark = pytest.mark.usefixtures("needs_root")

UNKNOWN_LINK = "A" * 26


@pytest.fixture
def roots(tmp_path: Path) -> Iterator[StoreRoots]:
    """A store that nobody has opened; its mounts go with the test."""
    yield StoreRoots(str(tmp_path / "graph"), str(tmp_path / "run"), driver="overlay")
    detach_all(str(tmp_path))


@pytest.fixture
def run(roots: StoreRoots, run_on: RunnerMaker) -> Runner:
    """Our tool on a store with three layers on top of each other, each of which was mounted once."""
    run = run_on(roots)
    parent: list[str] = []
    for layer in ("base", "mid", "top"):
        run("create-layer", "--id", layer, *parent).ok()
        parent = [layer]
    run("mount", "top").ok()
    run("unmount", "top").ok()
    return run


@pytest.fixture
def home(roots: StoreRoots) -> str:
    """The driver's home."""
    return os.path.join(roots.graph, "overlay")


def link_of(home: str, layer: str) -> str:
    """The path of a layer's short link."""
    with open(os.path.join(home, layer, "link"), encoding="ascii") as file:
        return os.path.join(home, "l", file.read())


def write_lower(home: str, text: str) -> None:
    """Say something else of what lies below `top`."""
    with open(os.path.join(home, "top", "lower"), "w", encoding="ascii") as file:
        file.write(text)


def refused(done: Finished, *words: str) -> None:
    """Hold a refusal against what it should be: one line with these words, no trace of a program, exit code 1."""
    assert done.code == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert [word for word in words if word not in done.stderr] == []
    assert "Traceback" not in done.stderr


def file_in_place_of(directory: str) -> None:
    """Let a directory become an empty file."""
    shutil.rmtree(directory)
    with open(directory, "x", encoding="utf-8"):
        pass


DAMAGE: dict[str, tuple[Callable[[str], object], list[str]]] = {
    "no-directory": (lambda home: shutil.rmtree(f"{home}/top"), ["layer top has no directory", "delete-layer"]),
    "file-in-its-place": (
        lambda home: file_in_place_of(f"{home}/top"),
        ["layer top has no directory", "delete-layer"],
    ),
    "half-made": (lambda home: shutil.rmtree(f"{home}/top/diff"), ["top/diff", "cstore repair"]),
    "nonsense-below": (lambda home: write_lower(home, "nonsense"), ["top/lower", "'nonsense'", "cstore repair"]),
    "path-below": (lambda home: write_lower(home, "l/../../etc"), ["top/lower", "cstore repair"]),
    "unknown-link": (lambda home: write_lower(home, f"l/{UNKNOWN_LINK}"), [UNKNOWN_LINK, "cstore repair"]),
    "ancestor-gone": (lambda home: shutil.rmtree(f"{home}/base"), ["needs the short link", "cstore repair"]),
    "too-deep": (
        lambda home: write_lower(home, ":".join([f"l/{UNKNOWN_LINK}"] * 501)),
        ["501 ancestors", "squash"],
    ),
}


@pytest.mark.parametrize("words", [["mount", "top"], ["create-layer", "top"]], ids=["mount", "create"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_and_stays_as_it_is(
    kind: str, words: list[str], run: Runner, roots: StoreRoots, home: str
) -> None:
    """Neither mounted nor built upon; and the layers below still work, as does deleting the damaged one."""
    hurt, expected = DAMAGE[kind]
    hurt(home)
    before = listing(roots.graph)

    refused(run(*words), *expected)

    assert listing(roots.graph) == before
    assert [path for path in mounts_below(roots.graph) if path.endswith("/merged")] == []
    assert run("layers", "--quiet").ok().lines == ["base", "mid", "top"]
    run("delete-layer", "top").ok()
    if kind != "ancestor-gone":
        run("mount", "mid").ok()


@pytest.mark.parametrize("way", ["missing", "elsewhere", "dangling", "other-layer"])
def test_a_wrong_short_link_is_got_over(way: str, run: Runner, home: str) -> None:
    """The layers' own files say what is meant; nothing outside is mounted."""
    link = link_of(home, "base")
    os.unlink(link)
    targets = {"elsewhere": "/etc", "dangling": "../nowhere/diff", "other-layer": "../top/diff"}
    if way in targets:
        os.symlink(targets[way], link)

    tree = run("mount", "top").ok().stdout.rstrip("\n")

    assert os.listdir(tree) == []
    assert os.readlink(link) == "../base/diff"


def test_a_directory_that_no_record_owns(run: Runner, home: str) -> None:
    """It is not listed as a layer, named by gc, and gives way to a new layer of that ID."""
    os.makedirs(os.path.join(home, "foreign", "diff"))
    with open(os.path.join(home, "foreign", "diff", "secret"), "w", encoding="ascii"):
        pass

    assert "foreign" not in run("layers", "--quiet").ok().lines
    refused(run("mount", "foreign"), "foreign")
    assert os.path.join(home, "foreign") in run("gc").ok().stderr
    run("create-layer", "--id", "foreign").ok()
    assert os.listdir(run("mount", "foreign").ok().stdout.rstrip("\n")) == []


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("#!/bin/sh\necho no such luck >&2\nexit 3\n", "no such luck"),
        ("#!/bin/sh\nexit 3\n", "status 3"),
        ("#!/bin/sh\nexit 0\n", "status 0"),
        ("", "Exec format error"),
    ],
    ids=["says-why", "silent", "lies", "empty"],
)
def test_a_mount_program_that_fails(script: str, reason: str, run: Runner, roots: StoreRoots, tmp_path: Path) -> None:
    """What it said, or how it ended; and the store is not taken for one that it has written."""
    program = tmp_path / "program"
    program.write_text(script)
    program.chmod(0o755)
    before = listing(roots.graph)

    refused(run("--storage-opt", f"overlay.mount_program={program}", "mount", "top"), str(program), reason, "by hand")

    assert listing(roots.graph) == before
    run("mount", "top").ok()


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("overlay.mountopt=nonsense=1", ["nonsense"]),
        ("overlay.mountopt=bind", ["'bind'", "leave it out"]),
        ("overlay.size=1G", ["'size'", "quotas", "leave it out"]),
        ("overlay.inodes=1000", ["'inodes'", "quotas", "leave it out"]),
        ("overlay.nonsense=1", ["'overlay.nonsense'"]),
        ("overlay.force_mask=worldwide", ["force_mask"]),
        ("overlay.skip_mount_home=perhaps", ["skip_mount_home"]),
        ("overlay.mount_program=/no/such/program", ["/no/such/program", "install it"]),
    ],
)
def test_options_that_cannot_be_had(option: str, words: list[str], run: Runner, roots: StoreRoots) -> None:
    """Each is named, before anything is made or mounted."""
    before = listing(roots.graph)
    command = ["create-layer"] if "size" in option or "inodes" in option else ["mount", "top"]

    refused(run("--storage-opt", option, *command), *words)

    assert listing(roots.graph) == before


def test_a_label_without_a_security_module(run: Runner) -> None:
    """The label is named, with what it needs."""
    if os.path.exists("/sys/fs/selinux/enforce"):
        pytest.skip("SELinux is on")
    refused(run("mount", "--label", "system_u:object_r:container_file_t:s0:c1,c2", "top"), "s0:c1,c2", "SELinux")


def test_a_full_disk(run_on: RunnerMaker, tmp_path: Path) -> None:
    """What does not fit leaves nothing behind, and what is there can be deleted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    roots = StoreRoots(str(disk / "graph"), str(tmp_path / "run"), driver="overlay")
    run = run_on(roots)
    try:
        run("import-layer", "--id", "fits", stdin=make_tar(regular("f", bytes(1 << 20)))).ok()
        before = listing(roots.graph)
        refused(run("import-layer", "--id", "big", "fits", stdin=make_tar(regular("f", bytes(8 << 20)))), "free some")
        assert listing(roots.graph) == before
        run("delete-layer", "fits").ok()
    finally:
        detach_all(str(disk))


def test_a_file_system_that_cannot_hold_layers(run_on: RunnerMaker, tmp_path: Path) -> None:
    """The kernel puts no overlay on an overlay: without a program, another driver or place is proposed."""
    for name in ("lower", "upper", "work", "on"):
        (tmp_path / name).mkdir()
    where = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", where, str(tmp_path / "on")], check=True)
    roots = StoreRoots(str(tmp_path / "on/graph"), str(tmp_path / "run"), driver="overlay")
    try:
        done = run_on(roots)("create-layer", "--id", "layer", env={"PATH": "/nonexistent"})
        refused(done, "overlayfs", "mount_program")
        assert run_on(roots)("layers", "--quiet").ok().stdout == ""
    finally:
        detach_all(str(tmp_path / "on"))


def test_a_link_to_a_layer_that_is_gone_is_a_leftover(run: Runner, home: str) -> None:
    """Gc names and removes it, and so does wipe; that of a layer with a record stays, though its directory is gone."""
    run("create-layer", "--id", "kept").ok()
    lost = os.path.join(home, "l", "A" * 26)
    needed = os.path.join(home, "l", "B" * 26)
    os.symlink(f"../{'e' * 64}/diff", lost)
    os.symlink("../kept/diff", needed)

    for way in ("--dry-run", "--verbose"):
        assert [line.split("\t")[::2] for line in run("gc", way).ok().lines] == [["link", lost]]
    assert (os.path.lexists(lost), os.path.lexists(needed)) == (False, True)
    os.symlink(f"../{'e' * 64}/diff", lost)
    run("wipe").ok()
    assert os.listdir(os.path.join(home, "l")) == []


def test_the_copy_of_a_layer_is_no_garbage(run: Runner, home: str) -> None:
    """Though it looks like a layer: no link leads to it. What a tool made under such a name is."""
    run("create-layer", "--id", "it").ok()
    shutil.copytree(os.path.join(home, "it"), os.path.join(home, "it.bak"), symlinks=True)
    run("create-storage-layer", "--id", "orphan").ok()

    told = run("gc", "--verbose").ok()

    assert [line.split("\t")[2] for line in told.lines] == [os.path.join(home, "orphan")]
    assert os.path.join(home, "it.bak") in told.stderr
    assert os.path.isdir(os.path.join(home, "it.bak", "diff"))
