"""docker-images, docker-layers, docker-containers, docker-export, docker-import."""

from __future__ import annotations

import hashlib
import os
import pty
import shutil
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.unit.docker.dataroots import DataRoot, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

ONE = make_tar(regular("one.txt", b"first\n"))
TWO = make_tar(regular("two.txt", b"second\n"))


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    """Two layers, two images, a container."""
    made = DataRoot(tmp_path, "vfs")
    made.layer(TWO, made.layer(ONE))
    made.image(digest(ONE), names=("base:1",))
    app = made.image(digest(ONE), digest(TWO), names=("app:1",))
    made.container("box", made.chains[1], app)
    return made


def test_images_are_listed(cli: CommandLine, root: DataRoot) -> None:
    """IDs, and their names as Docker shows them."""
    lines = cli("docker-images", root.path).ok().lines
    found = {image["names"][0]: image for image in cli("docker-images", "-j", root.path).ok().json}

    assert sorted(lines) == sorted(
        [f"\tname: {name}" for name in found] + [f"sha256:{image['id']}" for image in found.values()]
    )
    assert (found["app:1"]["size"], found["app:1"]["layers"]) == (13, [digest(ONE), digest(TWO)])


def test_layers_are_listed(cli: CommandLine, root: DataRoot) -> None:
    """Three fields a line; leftovers are warned of."""
    stray = "ab" * 32
    os.makedirs(root.tree(stray))
    told = cli("docker-layers", root.path).ok()

    assert f"{digest(ONE)}\t{digest(ONE)}\t6" in told.lines
    assert stray in told.err
    assert len(cli("docker-layers", "-j", root.path).ok().json) == 2


def test_containers_are_listed(cli: CommandLine, root: DataRoot) -> None:
    """Five fields a line."""
    (box,) = cli("docker-containers", "-j", root.path).ok().json

    assert (box["name"], box["state"], box["size"]) == ("box", "exited", 5)
    assert cli("docker-containers", root.path).ok().lines == [f"{box['id']}\tbox\texited\t{box['image']}\t5"]


def test_a_layer_and_a_container_are_written_out(cli: CommandLine, root: DataRoot, tmp_path: Path) -> None:
    """A layer as it came in, a container's changes as a tar."""
    out = tmp_path / "out.tar"
    cli("docker-export", "-f", str(out), root.path, root.chains[1]).ok()
    assert out.read_bytes() == TWO
    cli("docker-export", "-f", str(out), root.path, root.chains[0].removeprefix("sha256:")).ok()
    assert out.read_bytes() == ONE
    cli("docker-export", "-f", str(out), root.path, "box").ok()
    with tarfile.open(out) as tar:
        assert sorted(tar.getnames()) == [".wh.one.txt", "new"]
    assert cli("docker-export", "-f", str(tmp_path / "none"), root.path, "nope").code == 1
    assert not (tmp_path / "none").exists()


def test_an_image_is_written_out_and_loaded(cli: CommandLine, root: DataRoot, tmp_path: Path) -> None:
    """As an archive with the bytes of save, the same on each run; the image in it is the one that an import makes."""
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    for out in (first, second):
        cli("docker-export", "-f", str(out), root.path, "app:1").ok()
    assert first.read_bytes() == second.read_bytes()

    loaded = cli("load", "-j", "-i", str(first)).ok().json
    imported = cli("docker-import", "-j", root.path, "app:1").ok().json
    assert (imported[0]["id"], imported[0]["names"]) == (loaded[0]["id"], loaded[0]["names"])
    assert imported[0]["new_layers"] == []
    saved = tmp_path / "saved.tar"
    cli("save", "-o", str(saved), *loaded[0]["names"]).ok()
    assert saved.read_bytes() == first.read_bytes()


def test_a_damaged_layer_leaves_no_file(cli: CommandLine, root: DataRoot, tmp_path: Path) -> None:
    """What cannot be verified is not given out under the name that was asked for."""
    write(os.path.join(root.tree(root.cache_id(root.chains[0])), "one.txt"), "other\n")

    assert cli("docker-export", "-f", str(tmp_path / "out"), root.path, root.chains[0]).code == 1
    assert not (tmp_path / "out").exists()


def test_only_the_name_that_was_asked_for_comes_along(cli: CommandLine, tmp_path: Path) -> None:
    """The others are left; an ID brings all of them, and so do all of them."""
    root = DataRoot(tmp_path, "vfs")
    chain = root.layer(make_tar(regular("f")))
    image = root.image(digest(make_tar(regular("f"))), names=("app:1", "app:latest", "example.org/other:2"))
    assert chain

    one = cli("docker-import", "-j", root.path, "app").ok().json
    assert [each["names"] for each in one] == [["docker.io/library/app:latest"]]
    assert cli("images", "-j").ok().json[0]["names"] == ["docker.io/library/app:latest"]
    two = cli("docker-import", "-j", root.path, "app:1", "example.org/other:2").ok().json
    assert [sorted(each["names"]) for each in two] == [["docker.io/library/app:1", "example.org/other:2"]]
    every = cli("docker-import", "-j", root.path, image.removeprefix("sha256:")[:12]).ok().json
    assert len(every[0]["names"]) == 3


def test_images_are_imported(cli: CommandLine, root: DataRoot) -> None:
    """One by name, then all; the layers are taken once."""
    assert cli("docker-import", root.path, "base:1").ok().lines == ["Loaded image: docker.io/library/base:1"]
    told = cli("docker-import", "-j", "--all", "--podman-names", root.path).ok().json

    assert sorted(len(image["new_layers"]) for image in told) == [0, 1]
    assert sorted(name for image in told for name in image["names"]) == ["localhost/app:1", "localhost/base:1"]
    assert len([line for line in cli("layers").ok().lines if not line.startswith("\t")]) == 2


def test_several_may_import_the_same_at_once(cli: CommandLine, root: DataRoot, store_roots: StoreRoots) -> None:
    """Nobody fails, and nothing is there twice."""
    command = [sys.executable, "-m", "cstore", *store_roots.options, "docker-import", "--all", root.path]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    told = [(process.communicate(timeout=60), process.returncode) for process in running]

    assert [code for _, code in told] == [0, 0, 0], told
    assert len(cli("storage-layers").ok().lines) == 2
    assert len(cli("images", "-j").ok().json) == 2


def test_what_cannot_be_imported_does_not_stop_the_rest(cli: CommandLine, root: DataRoot) -> None:
    """The exit code tells."""
    write(os.path.join(root.tree(root.cache_id(root.chains[1])), "two.txt"), "SECOND\n")
    told = cli("docker-import", root.path, "nope", "app:1", "base:1")

    assert (told.code, told.lines) == (1, ["Loaded image: docker.io/library/base:1"])
    assert "'nope'" in told.err
    assert "app:1" in told.err
    assert len(cli("images").ok().lines) > 0


def test_an_import_says_what_of(cli: CommandLine, root: DataRoot) -> None:
    """Either images or all of them; nothing is done otherwise."""
    assert cli("docker-import", root.path).code == 2
    assert cli("docker-import", "--all", root.path, "base:1").code == 2


def test_dockers_notes_are_taken_over_if_asked_for(cli: CommandLine, root: DataRoot) -> None:
    """A parent that is not in the store is nobody's parent."""
    base, app = (
        next(i["id"] for i in cli("docker-images", "-j", root.path).ok().json if i["names"] == [name])
        for name in ("base:1", "app:1")
    )
    root.note(app, "parent", base)
    cli("docker-import", root.path, "app:1").ok()
    assert cli("list-image-data", app).ok().lines[-1] == "manifest"
    cli("docker-import", "--notes", root.path, "app:1").ok()
    assert cli("children", app).ok().out == ""
    cli("docker-import", "--notes", root.path, "app:1", "base:1").ok()
    assert cli("children", base).ok().lines[0] == f"sha256:{app}"


def test_a_container_without_its_tree_is_listed(cli: CommandLine, root: DataRoot) -> None:
    """Its size is not known, and the exit code tells."""
    (box,) = cli("docker-containers", "-j", root.path).ok().json
    shutil.rmtree(root.tree(box["mount_id"]))
    told = cli("docker-containers", root.path)

    assert (told.code, told.lines) == (1, [f"{box['id']}\tbox\texited\t{box['image']}\t0"])


def test_damage_is_told_of(cli: CommandLine, root: DataRoot) -> None:
    """The rest is listed, and the exit code is 1."""
    write(root.record(root.chains[1], "size"), "many")
    told = cli("docker-images", root.path)

    assert (told.code, [line for line in told.lines if line.startswith("\t")]) == (1, ["\tname: base:1"])
    assert "is not a size" in told.err


@pytest.mark.parametrize("command", ["docker-images", "docker-layers", "docker-containers"])
def test_what_is_no_data_root_is_refused(cli: CommandLine, command: str, tmp_path: Path) -> None:
    """With one sentence."""
    told = cli(command, str(tmp_path))

    assert told.code == 1
    assert told.err.count("\n") == 1


def test_the_driver_can_be_named(cli: CommandLine, root: DataRoot) -> None:
    """And must be, if there are several."""
    os.makedirs(root.inside("image", "overlay2", "layerdb"))

    assert cli("docker-images", root.path).code == 1
    assert len(cli("docker-images", "--docker-driver", "vfs", "-j", root.path).ok().json) == 2


@pytest.mark.parametrize(
    ("command", "title"), [("docker-images", "LAYERS"), ("docker-layers", "DIFFID"), ("docker-containers", "STATE")]
)
def test_a_person_sees_a_table(root: DataRoot, command: str, title: str) -> None:
    """With titles."""
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "cstore", command, root.path]
    subprocess.run(words, stdout=theirs, check=True, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"})
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)

    assert title in shown
