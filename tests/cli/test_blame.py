"""blame: which layers made a file what it is, by which step of the image's history; and which bytes nobody sees."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, hardlink, make_tar, regular, whiteout
from tests.mounts import detach_all
from tests.unit.transfer.archives import as_tar, docker_archive, sha

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")

ROOT = directory("./", mode=0o755, mtime=1)
FIRST = make_tar(
    ROOT,
    directory("etc", mtime=1),
    regular("etc/conf", b"first", mtime=1),
    regular("etc/kept", b"kept", mtime=1),
    regular("etc/cache", b"c" * 1000, mtime=1),
    directory("tmp", mtime=1),
    regular("tmp/a", b"a" * 100, mtime=1),
    hardlink("tmp/b", "tmp/a"),
)
SECOND = make_tar(directory("etc", mtime=2), regular("etc/conf", b"second", mtime=2), whiteout("etc/cache"))
THIRD = make_tar(whiteout("tmp"), regular("etc/new", b"new", mtime=3))
HISTORY = [
    {"created": "2024-01-01T00:00:00Z", "created_by": "ADD rootfs"},
    {"created": "2024-01-02T00:00:00Z", "created_by": "ENV A=1", "empty_layer": True},
    {"created": "2024-01-03T00:00:00Z", "created_by": "RUN sed\n -i conf"},
    {"created": "2024-01-04T00:00:00Z", "created_by": "RUN rm -r /tmp"},
]


@pytest.fixture(params=["overlay", "vfs"])
def told(request: pytest.FixtureRequest, cli_on: Callable[[str], CommandLine], tmp_path: Path) -> Iterator[CommandLine]:
    """Run a command on a store with an image of three layers and one of the first of them, and a container."""
    run = cli_on(request.param)
    for name, layers, steps in (("app", (FIRST, SECOND, THIRD), HISTORY), ("base", (FIRST,), HISTORY[:2])):
        (tmp_path / name).write_bytes(as_tar(docker_archive(layers, (f"example.org/{name}:1",), history=steps)))
        run("load", "--quiet", "-i", str(tmp_path / name)).ok()
    run("create-container", "-i", "box", "example.org/app:1").ok()
    yield run
    detach_all(str(tmp_path))


def rows(out: str) -> list[tuple[str, ...]]:
    """The lines, without the layer's ID."""
    return [(letter, *rest) for letter, _, *rest in (line.split("\t") for line in out.splitlines())]


def test_each_layer_that_did_something_is_told(told: CommandLine) -> None:
    """The last one first, with the step of the history that made it; steps without a layer do not count."""
    first = ("A", "2024-01-01T00:00:00Z", "", "ADD rootfs")
    second = ("2024-01-03T00:00:00Z", "size,time,content", "RUN sed -i conf")

    assert rows(told("blame", "app:1:/etc/conf").ok().out) == [("C", *second), first]
    assert rows(told("blame", "app:1:/etc/kept").ok().out) == [first]
    assert rows(told("blame", "app:1:/etc/new").ok().out) == [("A", "2024-01-04T00:00:00Z", "", "RUN rm -r /tmp")]
    assert rows(told("blame", "base:1:/etc/conf").ok().out) == [first]
    assert rows(told("blame", "app:1:/etc").ok().out) == [first]


def test_what_is_gone_was_removed_by_a_layer(told: CommandLine) -> None:
    """Itself, or a directory that it was in."""
    removed = ("D", "2024-01-04T00:00:00Z", "", "RUN rm -r /tmp")

    assert rows(told("blame", "app:1:/tmp/a").ok().out)[0] == removed
    assert rows(told("blame", "app:1:/tmp").ok().out)[0] == removed
    assert [row[0] for row in rows(told("blame", "app:1:/etc/cache").ok().out)] == ["D", "A"]
    done = told("blame", "app:1:/never")
    assert (done.code, "none of its layers has or ever had" in done.err) == (1, True)


def test_layers_and_containers_have_the_history_of_an_image(told: CommandLine) -> None:
    """What a container changes itself has none; the layer is told all the same."""
    layer = told("image", "--json", "example.org/app:1").json[0]["layer"]
    assert [row[-1] for row in rows(told("blame", f"{layer}:/etc/conf").ok().out)] == ["RUN sed -i conf", "ADD rootfs"]
    told("copy", __file__, "box:/etc/conf").ok()
    found = rows(told("blame", "box:/etc/conf").ok().out)
    assert [(row[0], row[-1]) for row in found] == [("C", ""), ("C", "RUN sed -i conf"), ("A", "ADD rootfs")]


def test_all_images_can_be_asked(told: CommandLine) -> None:
    """Those in which a layer has, or had, the file; the layer's ID is that of the records."""
    lines = told("blame", "--all", "/etc/cache").ok().lines

    assert [line.split("\t")[:2] for line in lines] == [
        ["example.org/app:1", "D"], ["example.org/app:1", "A"], ["example.org/base:1", "A"],
    ]  # fmt: skip
    assert {line.split("\t")[2] for line in lines[1:]} == {sha(FIRST)[7:]}
    assert told("blame", "--all", "/never").ok().out == ""


def test_the_documents_say_the_same(told: CommandLine) -> None:
    """With the file as it was from each layer on."""
    events = told("blame", "--json", "app:1:/etc/conf").ok().json["events"]
    assert [(one["change"], one["file"]["size"]) for one in events] == [("changed", 6), ("added", 5)]
    assert events[0]["created_by"] == "RUN sed\n -i conf"
    images = told("blame", "--all", "--json", "/etc/new").ok().json["images"]
    assert [image["names"] for image in images] == [["example.org/app:1"]]
    assert told("blame", "--json", "app:1:/tmp/a").ok().json["events"][0].get("file") is None


def test_what_is_not_seen_is_waste(told: CommandLine, store_roots: StoreRoots) -> None:
    """The largest first; of a file with several names one is told where layers hold changes."""
    lines = [line.split("\t") for line in told("blame", "--waste", "app:1").ok().lines]
    first = sha(FIRST)[7:]
    whole = not os.path.isdir(f"{store_roots.graph}/overlay")

    expected = [["1000", "deleted", first, "/etc/cache"], ["100", "deleted", first, "/tmp/a"]]
    expected += [["100", "deleted", first, "/tmp/b"]] if whole else []
    assert lines[:-1] == [*expected, ["5", "overwritten", first, "/etc/conf"]]
    assert lines[-1] == [f"total: {1205 if whole else 1105} bytes in {4 if whole else 3} files"]
    assert told("blame", "--waste", "base:1").ok().lines == ["total: 0 bytes in 0 files"]


def test_the_store_wastes_what_no_image_shows(told: CommandLine, store_roots: StoreRoots) -> None:
    """While another image shows a file, it is only this one that does not need it; but each whole tree is a copy."""
    lines = told("blame", "--waste").ok().lines
    left = "0 bytes in 0 files" if os.path.isdir(f"{store_roots.graph}/overlay") else "200 bytes in 2 files"
    assert lines[1:] == ["0\t0\texample.org/base:1", f"total: {left} that no image shows"]
    told("delete-image", "example.org/base:1").ok()
    found = told("blame", "--waste", "--json").ok().json
    assert found["bytes"] == found["images"][0]["bytes"] > 1000
    assert (found["files"][0]["path"], found["files"][0]["reason"]) == ("/etc/cache", "deleted")


@pytest.mark.parametrize("words", [["--waste", "--all"], [], ["--all"], ["--waste", "app:1:/etc"]], ids=" ".join)
def test_what_makes_no_sense_is_refused(told: CommandLine, words: list[str]) -> None:
    """In a sentence."""
    done = told("blame", *words)

    assert (done.code, done.err.startswith("cstore: "), "internal" in done.err) == (1, True, False)
