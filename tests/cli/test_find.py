"""find: files that meet conditions, in an item or in all images, without a mount."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import digest, directory, make_tar, regular, symlink, whiteout
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
BASE = make_tar(
    directory("bin"),
    regular("bin/su", b"su", mode=0o4755),
    regular("bin/wall", b"wall", mode=0o2755),
    regular("bin/ping", b"ping", pax={b"SCHILY.xattr.security.capability": CAPABILITY}),
    regular("etc/app.conf", b"a" * 3000, uid=7, gid=8, mtime=1_600_000_000),
    regular("etc/other", b"a" * 1024, mtime=1_700_000_000),
    symlink("etc/link.conf", "app.conf"),
)
TOP = make_tar(whiteout("bin/su"), regular("etc/app.conf", b"new", mtime=1_750_000_000), regular("x.conf", b""))


@pytest.fixture(params=["overlay", "vfs"])
def told(request: pytest.FixtureRequest, cli_on: Callable[[str], CommandLine], tmp_path: Path) -> Iterator[CommandLine]:
    """Run a command on a store with two images, one of which has a layer more, and one without layers."""
    run = cli_on(request.param)
    for name, parent, data in (("base", [], BASE), ("top", ["base"], TOP)):
        (tmp_path / name).write_bytes(data)
        run("import-layer", "-i", name, "-f", str(tmp_path / name), *parent).ok()
        run("create-image", "-i", f"{name}-image", "-n", f"img/{name}:1", name).ok()
    run("create-image", "-i", "empty").ok()
    yield run
    detach_all(str(tmp_path))


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--name", "*.conf"], ["/etc/app.conf", "/etc/link.conf"]),
        (["--name", "*.CONF"], []),
        (["--name", "?u"], ["/bin/su"]),
        (["--path", "/etc/*f"], ["/etc/app.conf", "/etc/link.conf"]),
        (["--path", "*p*"], ["/bin/ping", "/etc/app.conf"]),
        (["--type", "l"], ["/etc/link.conf"]),
        (["--type", "d"], ["/", "/bin", "/etc"]),
        (["--type", "dl", "--name", "*n*"], ["/bin", "/etc/link.conf"]),
        (["--size", "+1k"], ["/etc/app.conf", "/etc/other"]),
        (["--size", "-1k", "--size", "+3"], ["/bin/ping", "/bin/wall", "/etc/other"]),
        (["--size", "3000"], ["/etc/app.conf"]),
        (["--newer", "2021-01-01", "--type", "f"], ["/etc/other"]),
        (["--older", "2023-01-01T00:00:00Z", "--size", "+1k"], ["/etc/app.conf"]),
        (["--owner", "7"], ["/etc/app.conf"]),
        (["--owner", "7:9"], []),
        (["--mode", "4755"], ["/bin/su"]),
        (["--mode", "/6000"], ["/bin/su", "/bin/wall"]),
        (["--mode", "-2000"], ["/bin/wall"]),
        (["--setuid"], ["/bin/su", "/bin/wall"]),
        (["--capability"], ["/bin/ping"]),
        (["--digest", digest(b"wall")], ["/bin/wall"]),
    ],
    ids=" ".join,
)
def test_conditions_have_to_hold(told: CommandLine, words: list[str], found: list[str]) -> None:
    """Each of them, of a file itself: links are not followed."""
    assert told("find", *words, "base").ok().lines == found


def test_what_is_found_is_what_the_item_shows(told: CommandLine) -> None:
    """Below the path that was given, of whatever kind of item."""
    assert told("find", "--setuid", "img/top:1").ok().lines == ["/bin/wall"]
    assert told("find", "--size", "3", "top").ok().lines == ["/etc/app.conf"]
    assert told("find", "--name", "*.conf", "top:/etc").ok().lines == ["/etc/app.conf", "/etc/link.conf"]
    assert told("find", "-0", "top:/bin/").ok().out == "/bin\0/bin/ping\0/bin/wall\0"
    assert told("find", "top:/nothing").code == 1


def test_all_images_are_looked_into(told: CommandLine) -> None:
    """Each file is named with its image; what one image hides another may show."""
    assert told("find", "--all", "--setuid").ok().lines == [
        "img/base:1:/bin/su",
        "img/base:1:/bin/wall",
        "img/top:1:/bin/wall",
    ]
    assert told("find", "--all", "--name", "app.conf", "--size", "+1k").ok().lines == ["img/base:1:/etc/app.conf"]
    assert told("find", "--all", "--name", "x.conf").ok().lines == ["img/top:1:/x.conf"]


def test_what_layers_above_hide_is_found_nowhere(
    told: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All images together show what each shows alone, in its order, however a layer hides or brings back what is below.

    So they do when several processes read the layers, and when a layer has more than is kept.
    """
    above = [
        make_tar(directory("bin"), whiteout("bin/.wh..opq"), regular("bin/new", b"new", mode=0o4755)),
        make_tar(whiteout("etc"), regular("bin/su", b"again", mode=0o4711)),
        make_tar(regular("etc", b"a file"), symlink("bin/wall", "su"), whiteout("bin/new")),
        make_tar(directory("etc", mode=0o700), regular("etc/other", b"back")),
    ]
    parent, images = "base", ["img/base:1"]
    for number, data in enumerate(above):
        (tmp_path / "above").write_bytes(data)
        told("import-layer", "-i", f"above{number}", "-f", str(tmp_path / "above"), parent).ok()
        parent, images = f"above{number}", [*images, f"img/above:{number}"]
        told("create-image", "-n", images[-1], parent).ok()
    told("create-image", "-n", "img/beside:1", "top").ok()
    images += ["img/beside:1", "img/top:1"]

    for words in (
        [],
        ["--name", "*u*"],
        ["--type", "f"],
        ["--type", "d"],
        ["--setuid"],
        ["--owner", "0"],
        ["--path", "/bin/*"],
    ):
        alone = {image: told("find", *words, image).ok().lines for image in images}
        for sharing, most in ((250, 100_000), (1, 100_000), (250, 0)):
            monkeypatch.setattr("cstore.contents.everywhere._WORTH_SHARING", sharing)
            monkeypatch.setattr("cstore.contents.everywhere._MOST", most)
            together = told("find", "--all", *words).ok().lines

            assert len(together) == sum(map(len, alone.values())), words
            for image, lines in alone.items():
                assert [line.removeprefix(f"{image}:") for line in together if line.startswith(f"{image}:")] == lines


def test_the_document_says_which_image_has_a_file(told: CommandLine) -> None:
    """And is complete, or says why not."""
    found = told("find", "--all", "--name", "x.conf", "--json").ok().json
    file = found["files"][0]

    assert (found["version"], found["complete"], found["problems"]) == (1, True, [])
    assert file["item"] == {"kind": "image", "id": "top-image", "names": ["img/top:1"]}
    assert (file["path"], file["size"], file["type"]) == ("/x.conf", 0, "file")


@pytest.mark.parametrize(
    "words",
    [
        ["--size", "x", "base"],
        ["--size", "+-1", "base"],
        ["--type", "q", "base"],
        ["--newer", "soon", "base"],
        ["--mode", "9", "base"],
        ["--owner", "root", "base"],
        ["--digest", "sha256:1", "base"],
        ["--name", "x"],
        ["--all", "base"],
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused(told: CommandLine, words: list[str]) -> None:
    """In a sentence."""
    done = told("find", *words)

    assert done.code == 1
    assert done.err.startswith("cstore: ")
    assert "internal" not in done.err
    assert told("find", "--json", *words).out == ""


def test_a_damaged_image_hides_no_other(told: CommandLine, store_roots: StoreRoots) -> None:
    """What can be found is; what cannot is named, and the exit status tells."""
    home = os.path.join(store_roots.graph, "overlay/top")
    home = home if os.path.isdir(home) else os.path.join(store_roots.graph, "vfs/dir/top")
    os.rename(home, f"{store_roots.graph}/elsewhere")
    done = told("find", "--all", "--name", "su")

    assert (done.code, done.lines) == (1, ["img/base:1:/bin/su"])
    assert "top-image" in done.err
    assert told("find", "--all", "--name", "su", "--json").json["complete"] is False
