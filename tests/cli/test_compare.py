"""compare: what differs between two items, in what, and by how much."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import directory, make_tar, node, regular, symlink, whiteout
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")

ROOT = directory("./", mode=0o755, mtime=1)
BASE = make_tar(
    ROOT,
    directory("d", mtime=1),
    regular("d/gone", b"gone"),
    regular("d/deep", b"deep"),
    regular("same", b"same", mtime=1),
    regular("text", b"one\ntwo\nthree\n"),
    regular("bytes", b"\0\1"),
    regular("mode", b"", mode=0o644),
    regular("owner", b"", uid=1),
    symlink("link", "a"),
    node("device", b"3", (1, 3)),
    regular("noted", b"", pax={b"SCHILY.xattr.user.note": b"1"}),
    regular("kind", b"kind"),
)
TOP = make_tar(
    ROOT,
    whiteout("d"),
    regular("same", b"same", mtime=9),
    regular("text", b"one\n2\x1b[0m\nthree\n"),
    regular("bytes", b"\0\2"),
    regular("mode", b"", mode=0o4600),
    regular("owner", b"", uid=2),
    symlink("link", "b"),
    node("device", b"3", (1, 5)),
    regular("noted", b"", pax={b"SCHILY.xattr.user.note": b"2"}),
    directory("kind"),
    regular("kind/in", b"in"),
    regular("new\n", b"12345"),
)


@pytest.fixture(params=["overlay", "vfs"])
def told(request: pytest.FixtureRequest, cli_on: Callable[[str], CommandLine], tmp_path: Path) -> Iterator[CommandLine]:
    """Run a command on a store with two layers, the second one an image's, and a container."""
    run = cli_on(request.param)
    for name, parent, data in (("base", [], BASE), ("top", ["base"], TOP)):
        (tmp_path / name).write_bytes(data)
        run("import-layer", "-i", name, "-f", str(tmp_path / name), *parent).ok()
    run("create-image", "-i", "abc", "-n", "localhost/app:1.0", "top").ok()
    run("create-container", "-i", "box", "abc").ok()
    yield run
    detach_all(str(tmp_path))


def test_each_difference_is_told_with_what_it_is(told: CommandLine) -> None:
    """What is only touched is the same; a directory that is gone takes all that was in it; the totals come last."""
    assert told("compare", "-0", "base", "app:1.0").ok().out.split("\0")[:-1] == [
        "C /bytes: content",
        "D /d",
        "D /d/deep",
        "D /d/gone",
        "C /device: device 1,3 -> 1,5",
        "C /kind: type file -> directory",
        "A /kind/in",
        "C /link: link",
        "C /mode: mode 0644 -> 4600",
        "A /new\n",
        "C /noted: xattrs",
        "C /owner: owner 1:0 -> 2:0",
        "C /text: size 14 -> 16, content",
    ]
    last = told("compare", "base", "top").ok().lines[-1]
    assert last == "total: 2 added (+7 bytes), 3 removed (-8 bytes), 8 changed (-2 bytes)"


def test_there_is_a_way_back(told: CommandLine) -> None:
    """What was added is removed then; nothing differs from itself, nor a new container from its image."""
    lines = told("compare", "top", "base").ok().lines
    assert {"A /d", "A /d/gone", "D /kind/in"} <= set(lines)
    assert told("compare", "top", "top").ok().lines == told("compare", "app:1.0", "box").ok().lines
    nothing = "total: 0 added (+0 bytes), 0 removed (+0 bytes), 0 changed (+0 bytes)"
    assert told("compare", "top", "top").lines == [nothing]


def test_a_path_limits_it(told: CommandLine) -> None:
    """Directories are compared as if they were roots, files with each other."""
    assert told("compare", "-0", "base:/text", "top:/text").ok().out == "C /: size 14 -> 16, content\0"
    assert told("compare", "-0", "base:/d", "top:/kind").ok().out.split("\0")[:-1] == ["D /deep", "D /gone", "A /in"]
    assert told("compare", "base:/d", "top:/d").code == 1


def test_another_time_is_a_change_if_wanted(told: CommandLine) -> None:
    """Rebuilt layers differ in the times of all their files."""
    lines = told("compare", "--times", "base", "top").ok().lines
    assert "C /same: time 1970-01-01T00:00:01Z -> 1970-01-01T00:00:09Z" in lines


def test_the_differences_of_texts_are_shown(told: CommandLine) -> None:
    """As diff(1) shows them; of other files it is only said that they differ."""
    lines = told("compare", "--content", "base:/", "top:/").ok().lines
    start = lines.index("--- old/text")
    assert lines[start : start + 7] == [
        "--- old/text", "+++ new/text", "@@ -1,3 +1,3 @@", " one", "-two", "+2\x1b[0m", " three",
    ]  # fmt: skip
    assert lines[lines.index("C /bytes: content") + 1] == "  (not a text, or too large to compare by line)"


def test_the_document_has_both_files_and_the_totals(told: CommandLine) -> None:
    """And says that it is complete."""
    found = told("compare", "--json", "--content", "base", "app:1.0").ok().json
    changes = {one["path"]: one for one in found["differences"]}

    assert (found["version"], found["old"]["kind"], found["new"]["kind"]) == (1, "layer", "image")
    assert (changes["/mode"]["old"]["mode"], changes["/mode"]["new"]["mode"]) == ("0644", "4600")
    assert changes["/text"]["what"] == ["size", "content"]
    assert "+2\x1b[0m" in changes["/text"]["text"]
    assert ("old" in changes["/new\n"], changes["/new\n"]["change"]) == (False, "added")
    assert (found["totals"]["removed"], found["complete"]) == ({"files": 3, "bytes": -8}, True)


def test_a_lost_layer_makes_the_answer_a_part(told: CommandLine, store_roots: StoreRoots) -> None:
    """The layer is named, and the exit status tells."""
    if not os.path.isdir(f"{store_roots.graph}/overlay"):
        pytest.skip("a whole tree does not lack what another one has")
    os.rename(f"{store_roots.graph}/overlay/base", f"{store_roots.graph}/elsewhere")
    done = told("compare", "top", "box")

    assert (done.code, "cannot be read" in done.err, done.lines[-1].startswith("total: 0 added")) == (1, True, True)
    assert told("compare", "--json", "top", "box").json["complete"] is False
