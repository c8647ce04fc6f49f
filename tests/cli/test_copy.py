"""copy: into layers and out of them, with owners, and never beyond a layer."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory with something of every kind."""
    top = tmp_path / "source"
    (top / "d" / "e").mkdir(parents=True)
    (top / "f").write_bytes(b"contents")
    (top / "d" / "e" / "g").write_bytes(b"deep")
    os.chmod(top / "d" / "e" / "g", 0o4755)  # noqa: S103  - the copy must keep it
    os.chown(top / "f", 1000, 1001)
    os.link(top / "f", top / "hard")
    os.symlink("f", top / "link")
    os.symlink("/etc", top / "absolute")
    os.mkfifo(top / "pipe", 0o640)
    os.setxattr(top / "f", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    os.utime(top / "d", (1, 1_000_000_000))
    return top


@pytest.fixture
def layer(cli: CommandLine, store_roots: StoreRoots) -> Callable[[str], str]:
    """Two empty layers `l1` and `l2`; gives a path in one of them, on disk."""
    for name in ("l1", "l2"):
        cli("create-layer", "-i", name, "-n", f"name-{name}").ok()

    def path(place: str) -> str:
        name, _, inner = place.partition(":")
        return store_roots.tree(name) + inner

    return path


def owner(path: str) -> tuple[int, int]:
    """User and group of a file."""
    status = os.lstat(path)
    return status.st_uid, status.st_gid


def test_a_file_becomes_the_target(cli: CommandLine, layer: Callable[[str], str], source: Path) -> None:
    """With its mode, owner, times and attributes; missing parents are private; what was there is replaced."""
    cli("copy", str(source / "f"), "name-l1:/a/b/f").ok()
    cli("copy", str(source / "d" / "e" / "g"), "l1:/set").ok()
    os.symlink("/etc/passwd", layer("l1:/taken"))
    cli("copy", str(source / "link"), "l1:/taken").ok()

    with open(layer("l1:/a/b/f"), "rb") as file:
        assert file.read() == b"contents"
    assert owner(layer("l1:/a/b/f")) == (1000, 1001)
    assert os.stat(layer("l1:/a/b/f")).st_mtime_ns == os.stat(source / "f").st_mtime_ns
    assert os.getxattr(layer("l1:/a/b/f"), "security.capability") == os.getxattr(source / "f", "security.capability")
    assert [stat.S_IMODE(os.stat(layer(f"l1:{path}")).st_mode) for path in ("/a", "/a/b", "/set")] == [
        0o700,
        0o700,
        0o4755,
    ]
    assert stat.S_ISREG(os.lstat(layer("l1:/taken")).st_mode)
    assert [name for name in os.listdir(layer("l1:")) if name.startswith(".")] == []


def test_a_pipe_is_copied_and_not_read(cli: CommandLine, layer: Callable[[str], str], source: Path) -> None:
    """The peer waits for a writer for ever. A socket is refused."""
    cli("copy", str(source / "pipe"), "l1:/pipe").ok()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(source / "socket"))
    told = cli("copy", str(source / "socket"), "l1:/socket")

    assert os.lstat(layer("l1:/pipe")).st_mode == os.lstat(source / "pipe").st_mode
    assert (told.code, "is a socket" in told.err) == (1, True)


def test_a_tree_is_merged(cli: CommandLine, layer: Callable[[str], str], source: Path) -> None:
    """What both have is merged or replaced, links and pipes are kept, the target itself stays as it is."""
    os.makedirs(layer("l1:/into/d"))
    os.chmod(layer("l1:/into"), 0o700)
    for name in ("d/kept", "hard"):
        with open(layer(f"l1:/into/{name}"), "wb") as file:
            file.write(b"old")
    os.mkdir(layer("l1:/into/f"))
    os.symlink("/nowhere", layer("l1:/into/link"))

    cli("copy", str(source), "l1:/into/").ok()

    assert sorted(os.listdir(layer("l1:/into"))) == ["absolute", "d", "f", "hard", "link", "pipe"]
    assert sorted(os.listdir(layer("l1:/into/d"))) == ["e", "kept"]
    assert stat.S_IMODE(os.stat(layer("l1:/into")).st_mode) == 0o700
    assert os.path.samefile(layer("l1:/into/f"), layer("l1:/into/hard"))
    assert [os.readlink(layer(f"l1:/into/{name}")) for name in ("link", "absolute")] == ["f", "/etc"]
    assert stat.S_ISFIFO(os.lstat(layer("l1:/into/pipe")).st_mode)
    assert os.stat(layer("l1:/into/d")).st_mtime == 1_000_000_000
    assert os.stat(layer("l1:/into/d/e/g")).st_mode & 0o7777 == 0o4755


def test_owners_can_be_set(cli: CommandLine, layer: Callable[[str], str], source: Path) -> None:
    """For everything that is made; one number is both."""
    cli("copy", "--chown", "5:6", str(source), "l1:/owned/deep").ok()
    cli("copy", "-o", "7", str(source / "f"), "l1:/g").ok()

    below = [os.path.join(top, name) for top, dirs, files in os.walk(layer("l1:/owned")) for name in dirs + files]
    assert {owner(path) for path in below} == {(5, 6)}
    assert owner(layer("l1:/owned")) == (5, 6)
    assert owner(layer("l1:/g")) == (7, 7)


def test_owners_go_through_the_maps(
    cli: CommandLine, layer: Callable[[str], str], source: Path, store_roots: StoreRoots, tmp_path: Path
) -> None:
    """Out of one layer and into another, as they are inside; an owner without a place is named."""
    cli("create-layer", "-i", "m", "--uidmap", "0:100000:2000", "--gidmap", "0:200000:2000").ok()
    cli("copy", str(source), "m:/in").ok()
    assert owner(store_roots.tree("m") + "/in/f") == (101_000, 201_001)
    assert owner(store_roots.tree("m") + "/in") == (100_000, 200_000)

    cli("copy", "m:/in/f", "l1:/out").ok()
    cli("copy", "m:/in", str(tmp_path / "host")).ok()
    assert owner(layer("l1:/out")) == owner(str(tmp_path / "host" / "f")) == (1000, 1001)

    os.chown(source / "f", 60_000, 0)
    told = cli("copy", str(source), "m:/again")
    assert told.code == 1
    assert "UID 60000" in told.err
    assert "files copied before it stay in m:/again" in told.err


def test_no_path_leaves_its_layer(cli: CommandLine, layer: Callable[[str], str], source: Path, tmp_path: Path) -> None:
    """Neither by links nor by dots, neither read nor written."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_bytes(b"host")
    os.symlink(str(secret), layer("l1:/out"))
    os.symlink("../../../../../../../.." + str(secret), layer("l1:/dots"))

    for path in ("/out/file", "/dots/file", "/../../../../../../../../.." + str(secret / "file")):
        assert cli("copy", f"l1:{path}", "l2:/stolen").code == 1
        assert cli("copy", f"l1:{path}", str(tmp_path / "stolen")).code == 1
        cli("copy", str(source / "f"), f"l1:{path}")
        cli("copy", str(source), f"l1:{os.path.dirname(path)}")

    assert os.listdir(layer("l2:")) == []
    assert not (tmp_path / "stolen").exists()
    assert os.listdir(secret) == ["file"]
    assert (secret / "file").read_bytes() == b"host"
    with open(layer("l1:" + str(secret / "file")), "rb") as file:  # where the links lead inside
        assert file.read() == b"contents"


def test_several_sources_stop_at_the_first_mistake(cli: CommandLine, layer: Callable[[str], str], source: Path) -> None:
    """Each goes to the same target."""
    told = cli("copy", str(source / "d"), "l2:/nope", str(source / "d" / "e"), "l1:/t")

    assert told.code == 1
    assert os.listdir(layer("l1:/t")) == ["e"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nope:/f", "l1:/x"], "layer not known: 'nope'"),
        (["SOURCE/f", "nope:/x"], "layer not known: 'nope'"),
        (["--chown", "x", "SOURCE/f", "l1:/x"], "'x' is not a UID"),
        (["--chown", "1:-2", "SOURCE/f", "l1:/x"], "'-2' is not a GID"),
        (["l1:/nope", "l1:/x"], "cannot read l1:/nope: No such file or directory"),
        (["l1:/etc/..", "SOURCE/d"], "No such file or directory"),
        (["l1:/", "l1:/x"], "which is inside it"),
        (["SOURCE", "SOURCE/d/new"], "which is inside it"),
        (["SOURCE/d", "SOURCE/f/x"], "Not a directory"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("layer")
def test_what_cannot_be_copied_is_said(cli: CommandLine, source: Path, words: list[str], said: str) -> None:
    """Exit 1, and no layer stays mounted."""
    told = cli("copy", *[word.replace("SOURCE", str(source)) for word in words])

    assert (told.code, told.out, told.err.count("\n")) == (1, "", 1)
    assert said in told.err
    assert cli("mounted", "l1").out == ""


def test_copying_into_an_imported_layer_warns(cli: CommandLine, source: Path, tmp_path: Path) -> None:
    """An image is not what its digest says from then on; a layer that was made empty has no digest."""
    (tmp_path / "layer.tar").write_bytes(make_tar(regular("f", b"x")))
    cli("import-layer", "-i", "imported", "-f", str(tmp_path / "layer.tar")).ok()
    cli("create-layer", "-i", "made").ok()

    told = cli("copy", str(source / "f"), "imported:/g").ok()
    assert "imported is no longer what its digest says" in told.err
    assert cli("copy", str(source / "f"), "made:/g").ok().err == ""


@pytest.mark.usefixtures("layer")
def test_a_directory_goes_to_a_relative_place(
    cli: CommandLine, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file does, and as with Docker and Podman: one that is not there, one that is, and the current one."""
    cli("copy", str(source), "l1:/s").ok()
    here = tmp_path / "here"
    (here / "there").mkdir(parents=True)
    monkeypatch.chdir(here)
    for target in ("new", "there", "./there/new/", "."):
        cli("copy", "l1:/s", target).ok()
        assert {"d", "f"} <= set(os.listdir(target)), target


def test_messages_name_the_item_as_it_was_typed(cli: CommandLine, layer: Callable[[str], str]) -> None:
    """And not its layer, which nobody typed."""
    cli("create-image", "-i", "img", "-n", "localhost/app:1", "l1").ok()
    assert "cannot read localhost/app:1:/nope: No such" in cli("copy", "localhost/app:1:/nope", "x").err


@pytest.mark.usefixtures("layer")
def test_names_that_are_no_text(cli: CommandLine, layer: Callable[[str], str], source: Path) -> None:
    """Any bytes, and long ones."""
    names = [b"\xff\xfe", b"new\nline", b"x" * 255]
    for name in names:
        with open(os.path.join(os.fsencode(source / "d" / "e"), name), "wb"):
            pass

    cli("copy", str(source / "d" / "e"), "l1:/e").ok()

    assert set(names) < set(os.listdir(os.fsencode(layer("l1:/e"))))


def test_a_container_on_overlay_gets_owners_of_its_own(tmp_path: Path, source: Path) -> None:
    """Where owners are shown by the mount, what is copied in has those of the container on disk."""
    roots = ["--graph", str(tmp_path / "g"), "--run", str(tmp_path / "r"), "-s", "overlay"]

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "cstore", *roots, *words], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    try:
        run("create-layer", "-i", "base")
        run("create-image", "-i", "image", "base")
        run("create-container", "-i", "c", "--uidmap", "0:100000:2000", "--gidmap", "0:100000:2000", "image")
        own = next(line for line in run("container", "c").splitlines() if line.startswith("Layer: ")).removeprefix(
            "Layer: "
        )
        run("copy", str(source / "f"), f"{own}:/f")
        upper = f"{roots[1]}/overlay/{own}/diff/f"
        assert owner(upper) == (101_000, 101_001)
        run("copy", f"{own}:/f", str(tmp_path / "back"))
        assert owner(str(tmp_path / "back")) == (1000, 1001)
    finally:
        detach_all(str(tmp_path))


# ── on the host ──


@pytest.fixture
def filled(cli: CommandLine, layer: Callable[[str], str], source: Path) -> str:
    """The layer `l1` with the file `f`, and the directory `tree` with `f` in it."""
    cli("copy", str(source / "f"), "l1:/f").ok()
    cli("copy", str(source / "f"), "l1:/tree/f").ok()
    return layer("l1:")


def test_a_file_is_written_into_a_device(cli: CommandLine, filled: str, tmp_path: Path) -> None:
    """Which stays the device that it is; so does one behind a link."""
    del filled
    os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.symlink("null", tmp_path / "to-null")

    cli("copy", "l1:/f", str(tmp_path / "null")).ok()
    cli("copy", "l1:/f", str(tmp_path / "to-null")).ok()

    assert os.lstat(tmp_path / "null").st_rdev == os.makedev(1, 3)
    assert os.readlink(tmp_path / "to-null") == "null"


def test_a_file_is_written_into_a_pipe_that_somebody_reads(cli: CommandLine, filled: str, tmp_path: Path) -> None:
    """And refused where nobody does: nothing waits forever."""
    del filled
    os.mkfifo(tmp_path / "pipe")
    told = cli("copy", "l1:/f", str(tmp_path / "pipe"))
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE) as reader:
        cli("copy", "l1:/f", str(tmp_path / "pipe")).ok()
        read, _ = reader.communicate(timeout=20)

    assert (told.code, told.err.startswith("cstore: no process reads from the pipe")) == (1, True)
    assert read == b"contents"
    assert stat.S_ISFIFO(os.lstat(tmp_path / "pipe").st_mode)


def test_a_file_goes_to_where_a_link_leads(cli: CommandLine, filled: str, tmp_path: Path) -> None:
    """One that leads to nothing is left alone; one to a directory leads into that."""
    del filled
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    for name, leads in (("good", "real"), ("lost", "nowhere"), ("up", "folder")):
        os.symlink(leads, tmp_path / name)

    cli("copy", "l1:/f", str(tmp_path / "good")).ok()
    lost = cli("copy", "l1:/f", str(tmp_path / "lost"))
    cli("copy", "l1:/f", str(tmp_path / "up")).ok()

    assert (tmp_path / "real").read_bytes() == b"contents"
    assert [os.readlink(tmp_path / name) for name in ("good", "lost", "up")] == ["real", "nowhere", "folder"]
    assert (lost.code, "is a dangling link" in lost.err) == (1, True)
    assert (tmp_path / "folder" / "f").read_bytes() == b"contents"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("kind", ["device", "pipe", "socket", "link", "directory"])
def test_a_tree_replaces_nothing_but_files(cli: CommandLine, filled: str, tmp_path: Path, kind: str) -> None:
    """What stands in the way stays, and is named; a file is replaced."""
    del filled
    into = tmp_path / "into"
    into.mkdir()
    (into / "f").write_bytes(b"old")
    cli("copy", "l1:/tree", str(into)).ok()
    assert (into / "f").read_bytes() == b"contents"
    (into / "f").unlink()
    with socket.socket(socket.AF_UNIX) as made:
        makers: dict[str, Callable[[], object]] = {
            "device": lambda: os.mknod(into / "f", 0o666 | stat.S_IFCHR, os.makedev(1, 3)),
            "pipe": lambda: os.mkfifo(into / "f"),
            "socket": lambda: made.bind(str(into / "f")),
            "link": lambda: os.symlink("../elsewhere", into / "f"),
            "directory": (into / "f").mkdir,
        }
        makers[kind]()
    before = os.lstat(into / "f")

    told = cli("copy", "l1:/tree", str(into))

    assert (told.code, f"is a {kind}" in told.err) == (1, True), told.err
    assert os.lstat(into / "f").st_ino == before.st_ino
    assert sorted(os.listdir(into)) == ["f"]


def test_an_item_of_any_kind_may_be_named(cli: CommandLine, layer: Callable[[str], str], source: Path) -> None:
    """An image means its top layer, a container its own; names have colons. A layer goes before both, as ever."""
    cli("create-image", "-i", "i1", "-n", "localhost/app:1.0", "l1").ok()
    container = cli("create-container", "-n", "box", "-j", "localhost/app:1.0").json["layer"]
    cli("copy", str(source / "f"), "box:/in/it").ok()
    cli("copy", str(source / "f"), "l1:/there").ok()
    cli("copy", "app:1.0:/there", str(source / "again")).ok()
    told = cli("copy", str(source / "f"), "nothing:/there")

    with open(layer(f"{container}:/in/it"), "rb") as file:
        assert file.read() == b"contents"
    assert (source / "again").read_bytes() == b"contents"
    assert (told.code, "layer not known: 'nothing'" in told.err) == (1, True)


@pytest.mark.parametrize("command", ["copy", "cp"])
def test_a_file_goes_into_a_directory_that_is_there(
    cli: CommandLine, layer: Callable[[str], str], source: Path, tmp_path: Path, command: str
) -> None:
    """Under its own name, in a layer or on the host; a directory of that name is in the way."""
    os.makedirs(layer("l1:/etc/g"))
    os.symlink("etc", layer("l1:/conf"))
    cli(command, str(source / "f"), str(source / "link"), "l1:/conf").ok()
    cli(command, str(source / "f"), "l1:/").ok()
    cli(command, str(source / "f"), "l1:").ok()
    (tmp_path / "out").mkdir()
    cli(command, "l1:/etc/f", "l1:/etc/link", f"{tmp_path}/out").ok()
    told = cli(command, str(source / "d" / "e" / "g"), "l1:/etc/")

    assert sorted(os.listdir(layer("l1:/etc"))) == ["f", "g", "link"]
    assert sorted(os.listdir(layer("l1:"))) == ["conf", "etc", "f"]
    assert sorted(os.listdir(tmp_path / "out")) == ["f", "link"]
    assert (told.code, "cannot overwrite l1:/etc/g: Is a directory" in told.err) == (1, True)
