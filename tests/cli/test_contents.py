"""ls, cat, stat: the files of an item, read from its layers' directories, without a mount and without a trace."""

from __future__ import annotations

import os
import pty
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import (
    digest,
    directory,
    flip_byte_of,
    hardlink,
    listing,
    make_tar,
    node,
    regular,
    symlink,
    whiteout,
)
from tests.conftest import StoreRoots
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine

pytestmark = pytest.mark.usefixtures("needs_root")

CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
BASE = make_tar(
    directory("etc", mode=0o755, mtime=1_600_000_000),
    regular("etc/passwd", b"root\n", uid=3, gid=4, mode=0o4640, mtime=1_600_000_000),
    regular("etc/gone", b"gone"),
    directory("var"),
    regular("var/old", b"old"),
    regular("bin/ping", b"ping", pax={b"SCHILY.xattr.security.capability": CAPABILITY}),
    node("null", b"3", (1, 3)),
    symlink("out", "/../../etc/passwd"),
    symlink("loop", "loop"),
    symlink("conf", "etc"),
    hardlink("bin/pong", "bin/ping"),
)
TOP = make_tar(
    whiteout("etc/gone"),
    regular("etc/passwd", b"root:x\n", mtime=1_700_000_000),
    regular("etc/new\n\x1b[31m", b"odd"),
    directory("var"),
    regular("var/.wh..wh..opq"),
    regular("var/new", b"\x1b[31mred\n"),
)


@pytest.fixture(params=["overlay", "vfs"])
def item(request: pytest.FixtureRequest, store_roots: StoreRoots) -> StoreRoots:
    """A store with two layers, an image of them, and a container."""
    return StoreRoots(store_roots.graph, store_roots.run, request.param)


@pytest.fixture
def told(item: StoreRoots, bare_cli: CommandLine, tmp_path: Path) -> Iterator[CommandLine]:
    """Run a command on it."""

    def run(*words: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  - as bare_cli
        return bare_cli(*item.options, *words)

    for name, parent, data in (("base", [], BASE), ("top", ["base"], TOP)):
        (tmp_path / name).write_bytes(data)
        run("import-layer", "-i", name, "-f", str(tmp_path / name), *parent).ok()
    run("create-image", "-i", "abc", "-n", "localhost/app:1.0", "top").ok()
    run("create-container", "-i", "box", "localhost/app:1.0").ok()
    yield run
    detach_all(str(tmp_path))


def test_a_directory_is_listed(told: CommandLine) -> None:
    """What a layer removes is gone, what it empties is empty; an item is named in any way, of any kind."""
    assert told("ls", "app:1.0:/etc").ok().out == "new\n\x1b[31m\npasswd\n"
    assert told("ls", "box:var").ok().lines == ["new"]
    assert told("ls", "base:/var").ok().lines == ["old"]
    assert told("ls", "top").ok().lines == ["bin", "conf", "etc", "loop", "null", "out", "var"]
    assert told("ls", "-0", "top:/bin").ok().out == "ping\0pong\0"
    assert told("ls", "-R", "base").ok().lines == [
        *("bin", "bin/ping", "bin/pong", "conf", "etc", "etc/gone", "etc/passwd", "loop", "null", "out", "var"),
        "var/old",
    ]
    assert told("ls", "base:/etc/passwd").ok().lines == ["/etc/passwd"]
    assert told("ls", "base:/loop").ok().lines == ["/loop"]
    assert told("ls", "base:/loop/").code == told("ls", "base:/none").code == 1


def test_the_long_list_tells_mode_owner_size_and_time(told: CommandLine) -> None:
    """A link at the end of the path is itself then."""
    line = told("ls", "-l", "base:/etc/passwd").ok().lines[0]
    assert line.split() == ["-rwSr-----", "1", "3", "4", "5", "2020-09-13T12:26:40Z", "/etc/passwd"]
    assert told("ls", "-l", "base:/conf").ok().out.endswith("/conf -> etc\n")
    assert told("ls", "base:/conf").ok().lines == ["gone", "passwd"]
    assert told("ls", "-l", "base:/conf/").ok().lines[0].endswith("gone")
    assert "crw" in told("ls", "-l", "base:/null").ok().out
    assert " 1,3 " in told("ls", "-l", "base:/null").ok().out


def test_the_document_of_a_list_is_complete(told: CommandLine, item: StoreRoots) -> None:
    """Mode, owner, size, time, link, device, attributes; of layers of changes also which one has it."""
    found = told("ls", "--json", "-R", "base").ok().json
    files = {file["path"]: file for file in found["files"]}

    assert (found["version"], found["complete"], found["item"]) == (1, True, {"kind": "layer", "id": "base"})
    passwd = files["/etc/passwd"]
    assert {key: passwd[key] for key in ("type", "mode", "uid", "gid", "size", "mtime")} == {
        "type": "file", "mode": "4640", "uid": 3, "gid": 4, "size": 5, "mtime": "2020-09-13T12:26:40Z",
    }  # fmt: skip
    assert files["/conf"]["target"] == "etc"
    assert (files["/null"]["type"], files["/null"]["device"]) == ("character-device", [1, 3])
    assert list(files["/bin/ping"]["xattrs"]) == ["security.capability"]
    assert files["/bin/ping"]["links"] == 2
    assert passwd.get("layer") == ("base" if item.driver == "overlay" else None)


def test_a_file_is_printed(told: CommandLine) -> None:
    """The one that the item shows; links lead nowhere but into the item, wherever they point."""
    assert told("cat", "app:1.0:/etc/passwd", "base:/etc/passwd").ok().out == "root:x\nroot\n"
    assert told("cat", "base:/out").ok().out == "root\n"
    assert told("cat", "box:/conf/passwd").ok().out == "root:x\n"
    assert told("cat", "base:/../../etc/passwd").ok().out == "root\n"
    assert told("cat", "base:/bin/pong").ok().out == "ping"


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("top:/etc/gone", "there is no such file"),
        ("top:/var/old", "there is no such file"),
        ("top:/loop", "too many symbolic links"),
        ("top:/etc", "it is a directory"),
        ("top:/null", "it is not a regular file"),
        ("top:/etc/passwd/x", "is not a directory"),
        ("top:/etc/passwd/", "is not a directory"),
        ("top", "it is a directory"),
        ("nothing:/x", "identifier is not a layer, image, or container: 'nothing'"),
    ],
)
def test_what_cannot_be_printed_is_told(told: CommandLine, place: str, reason: str) -> None:
    """And the others are printed all the same."""
    done = told("cat", place, "base:/etc/passwd")

    assert (done.code, done.out) == (1, "root\n")
    assert reason in done.err


def test_what_was_imported_is_verified(told: CommandLine, item: StoreRoots) -> None:
    """A file that is not the one in the archive of its layer is an error; of a container's there is no archive."""
    tree = "diff" if item.driver == "overlay" else ""
    home = os.path.join(item.graph, "overlay/top" if tree else "vfs/dir/top", tree)
    flip_byte_of(f"{home}/etc/passwd")
    done = told("cat", "top:/etc/passwd")
    with open(f"{home}/var/new", "ab") as file:
        file.write(b"more")
    longer = told("cat", "top:/var/new")

    assert (done.code, "has other contents" in done.err) == (1, True)
    assert (longer.code, longer.out, "instead of 9" in longer.err) == (1, "", True)
    assert told("stat", "--digest", "top:/etc/passwd").code == 1


def test_what_is_copied_out_was_verified(told: CommandLine, item: StoreRoots, tmp_path: Path) -> None:
    """One file of a tree that is not what was imported ends the copy before it begins; --no-verify does not look."""
    tree = "diff" if item.driver == "overlay" else ""
    out = tmp_path / "out"
    out.write_bytes(b"before")
    flip_byte_of(os.path.join(item.graph, "overlay/top" if tree else "vfs/dir/top", tree, "etc/passwd"))

    for word in ("top", "app:1.0", "box"):
        if word == "box" and not tree:
            continue  # a container of vfs has a copy of the tree, made before the damage
        whole = told("cp", f"{word}:/etc", str(tmp_path / "whole"))
        one = told("cp", f"{word}:/out", str(out))
        assert (whole.code, one.code, out.read_bytes(), (tmp_path / "whole").exists()) == (1, 1, b"before", False)
        assert "layer top has changed since it was imported: 'etc/passwd' has other contents" in one.err
        assert "nothing was copied" in whole.err
    assert told("cp", "top:/var", str(tmp_path / "sound")).ok().out == ""
    told("cp", "--no-verify", "top:/out", str(out)).ok()
    assert out.read_bytes() != b"before"


def test_what_is_copied_in_is_not_verified(told: CommandLine, tmp_path: Path) -> None:
    """A new file in an imported layer has nothing that it could be held against."""
    (tmp_path / "new").write_bytes(b"new")
    told("cp", str(tmp_path / "new"), "top:/etc/fresh").ok()
    told("cp", "top:/etc/fresh", str(tmp_path / "back")).ok()
    assert (tmp_path / "back").read_bytes() == b"new"


def test_a_tar_split_that_is_lost_or_damaged_only_takes_the_proof(told: CommandLine, item: StoreRoots) -> None:
    """The file is printed; a damaged one is told."""
    path = os.path.join(item.graph, f"{item.driver}-layers", "top.tar-split.gz")
    with open(path, "wb") as file:
        file.write(b"nonsense")
    damaged = told("cat", "top:/etc/passwd")
    copied = told("cp", "top:/etc/passwd", path + ".out")
    os.unlink(path)

    assert (damaged.code, damaged.out, "could not be verified" in damaged.err) == (1, "root:x\n", True)
    assert (copied.code, "could not be verified" in copied.err, os.path.getsize(path + ".out")) == (1, True, 7)
    assert told("cat", "top:/etc/passwd").ok().out == "root:x\n"


def test_all_that_is_known_of_a_file(told: CommandLine) -> None:
    """With the layer that made it as it is, on every driver."""
    lines = told("stat", "--digest", "app:1.0:/bin/ping").ok().lines
    assert lines[-2:] == ["layer: base", f"digest: {digest(b'ping')}"]
    files = told("stat", "--json", "box:/etc/passwd", "box:/conf").ok().json["files"]
    assert [(file["layer"], file["type"]) for file in files] == [("top", "file"), ("base", "symlink")]
    assert told("stat", "-L", "--json", "box:/conf").ok().json["files"][0]["type"] == "directory"
    assert told("stat", "--json", "box:/nothing").code == 1


def test_a_kind_settles_what_a_name_means(told: CommandLine) -> None:
    """Where two items have it that show other files."""
    told("add-names", "-n", "both", "abc").ok()
    told("add-names", "-n", "both", "base").ok()

    assert told("ls", "both").code == 1
    assert told("ls", "--kind", "layer", "both:/var").ok().lines == ["old"]
    assert told("ls", "--kind", "image", "both:/var").ok().lines == ["new"]
    assert told("ls", "--kind", "thing", "both").code == 2


def test_looking_leaves_no_trace(told: CommandLine, item: StoreRoots) -> None:
    """No file, time, mode or mount changes, and nothing is left behind."""

    def state() -> dict[str, tuple[int, int]]:
        found = {path: os.lstat(os.path.join(item.graph, path)) for path in listing(item.graph)}
        return {
            path: (one.st_mtime_ns, 0 if stat.S_ISLNK(one.st_mode) else one.st_atime_ns)  # reading a link shows
            for path, one in found.items()
        }

    told("ls", "top")
    before = state()
    for words in (["ls", "-lR", "box"], ["cat", "box:/etc/passwd"], ["stat", "--digest", "--json", "box:/bin/ping"]):
        told(*words).ok()

    assert state() == before


def test_a_lost_layer_makes_the_answer_a_part(told: CommandLine, item: StoreRoots) -> None:
    """What is left is listed; the loss is named, in JSON too, and the exit status says so."""
    if item.driver != "overlay":
        os.rename(f"{item.graph}/vfs/dir/base", f"{item.graph}/elsewhere")
        told("ls", "-R", "top").ok()  # a whole tree does not lack what another one has
        assert told("cat", "top:/bin/ping").ok().out == "ping"
        assert told("stat", "top:/bin/ping").code == told("blame", "top:/bin/ping").code == 1
        return
    os.rename(f"{item.graph}/overlay/base", f"{item.graph}/elsewhere")
    done = told("ls", "-R", "top")
    document = told("ls", "--json", "top").json

    assert (done.code, done.lines[0], "cannot be read" in done.err) == (1, "etc", True)
    assert (document["complete"], len(document["problems"]), len(document["files"])) == (False, 1, 2)


def test_a_terminal_gets_no_control_characters(told: CommandLine, item: StoreRoots, private_config: str) -> None:
    """Neither of names nor of contents, unless they are asked for."""
    told("ls", "top")

    def shown(*words: str) -> bytes:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "cstore", *item.options, *words]
        environment = {**os.environ, "CONTAINERS_STORAGE_CONF": private_config}
        subprocess.run(command, stdout=theirs, stderr=subprocess.DEVNULL, check=True, timeout=60, env=environment)
        os.close(theirs)
        data = os.read(ours, 1 << 16)
        os.close(ours)
        return data

    assert shown("ls", "top:/etc") == b"new\\n\\x1b[31m\r\npasswd\r\n"
    assert shown("cat", "top:/var/new") == b"\\x1b[31mred\r\n"
    assert shown("cat", "--raw", "top:/var/new") == b"\x1b[31mred\r\n"


def test_owners_are_those_inside(told: CommandLine) -> None:
    """Of a container with an ID map, whatever they are on disk."""
    told("create-container", "-i", "mapped", "--uidmap", "0:100000:1000", "--gidmap", "0:100000:1000", "abc").ok()

    assert told("ls", "-l", "mapped:/etc/passwd").ok().lines[0].split()[2:4] == ["0", "0"]
    assert told("ls", "-l", "mapped:/bin/ping").ok().lines[0].split()[2:4] == ["0", "0"]


def test_a_reader_that_goes_away_is_no_failure_of_the_file(
    told: CommandLine, item: StoreRoots, tmp_path: Path, private_config: str
) -> None:
    """Nothing is said of it, and nothing more is read."""
    (tmp_path / "big").write_bytes(make_tar(regular("big", b"x" * (4 << 20))))
    told("import-layer", "-i", "large", "-f", str(tmp_path / "big")).ok()
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [sys.executable, "-m", "cstore", *item.options, "cat", "large:/big"],
        stdout=theirs, stderr=subprocess.PIPE, check=False, timeout=20,
        env={**os.environ, "CONTAINERS_STORAGE_CONF": private_config},
    )  # fmt: skip
    os.close(theirs)

    assert (done.returncode, done.stderr) == (1, b"")
