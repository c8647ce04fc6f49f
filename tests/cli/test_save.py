"""`save`: archives that are the same on every run, and appear whole or not at all."""

from __future__ import annotations

import json
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from tests.unit.transfer.archives import BASE, TOP, as_tar, docker_archive, sha

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")

NAME = "example.org/app:1"


@pytest.fixture
def loaded(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """A store with two images that share a layer."""
    for number, (layers, name) in enumerate((((BASE, TOP), NAME), ((BASE,), "example.org/base:1"))):
        path = tmp_path / f"in{number}.tar"
        path.write_bytes(as_tar(docker_archive(layers, (name,))))
        cli("load", str(path)).ok()
    return cli


@pytest.mark.parametrize("compress", ["none", "gzip", "zstd"])
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive", "oci-dir"])
def test_what_is_saved_loads_again(
    form: str, compress: str, loaded: CommandLine, bare_cli: CommandLine, tmp_path: Path
) -> None:
    """Every form and compression, several images at once; the other store has the same images."""
    path, again = str(tmp_path / "saved"), str(tmp_path / "again")
    for target in (path, again):
        options = ["--format", form, "--compress", compress, "-o", target]
        loaded("save", *options, NAME, "example.org/base:1").ok()
    if form != "oci-dir":
        with open(path, "rb") as one, open(again, "rb") as two:
            assert one.read() == two.read()

    other = ("--graph", str(tmp_path / "other"), "--run", str(tmp_path / "other-run"), "--storage-driver", "vfs")
    told = bare_cli(*other, "load", path).ok()

    assert sorted(told.lines) == [f"Loaded image: {NAME}", "Loaded image: example.org/base:1"]
    assert bare_cli(*other, "images", "-q").ok().lines == loaded("images", "-q").ok().lines


def test_an_id_is_saved_without_a_name_and_a_name_with_it(loaded: CommandLine, tmp_path: Path) -> None:
    """Naming one image twice writes it once, with both names."""
    loaded("add-names", "--name", "example.org/second:2", NAME).ok()
    image = json.loads(loaded("image", "--json", NAME).ok().out)
    identifier = (image[0] if isinstance(image, list) else image)["id"]
    path = str(tmp_path / "saved.tar")

    loaded("save", "-o", path, identifier).ok()
    assert manifest(path)[0]["RepoTags"] == []
    loaded("save", "-o", path, NAME, "example.org/second:2").ok()
    assert [item["RepoTags"] for item in manifest(path)] == [[NAME, "example.org/second:2"]]


def manifest(path: str) -> list[dict[str, object]]:
    """The `manifest.json` of an archive."""
    with tarfile.open(path) as tar:
        member = tar.extractfile("manifest.json")
        assert member is not None
        found: list[dict[str, object]] = json.load(member)
    return found


def test_a_layer_that_has_changed_is_not_passed_off_as_sound(
    loaded: CommandLine, store_roots: StoreRoots, tmp_path: Path
) -> None:
    """Neither a new file appears, nor is an old one touched, nor a directory left."""
    with open(os.path.join(store_roots.tree(sha(BASE)[7:]), "bin", "hello"), "w", encoding="ascii") as file:
        file.write("hallo\n")
    old = tmp_path / "old.tar"
    old.write_bytes(b"old")

    for words in (
        ["-o", str(old)],
        ["-o", str(tmp_path / "new.tar")],
        ["--format", "oci-dir", "-o", str(tmp_path / "d")],
    ):
        told = loaded("save", *words, NAME)
        assert told.code == 1
        assert "bin/hello" in told.err
    assert old.read_bytes() == b"old"
    assert not [name for name in os.listdir(tmp_path) if name.startswith((".cstore", "new")) or name == "d"]


@pytest.mark.parametrize(
    ("words", "reason", "code"),
    [
        (["absent"], "image not known: 'absent'", 1),
        (["--format", "vhd", NAME], "'vhd' is not one of: docker-archive", 2),
        (["--compress", "lzma", NAME], "'lzma' is not one of: gzip", 2),
        (["--format", "oci-dir", NAME], "name it with --output", 2),
        (["--format", "oci-dir", "-o", "/", NAME], "not an empty directory", 1),
    ],
)
def test_requests_that_make_no_sense_are_explained(
    words: list[str], reason: str, code: int, loaded: CommandLine
) -> None:
    """In a sentence; with exit code 2 if no store and no file could make sense of them."""
    told = loaded("save", *words)

    assert told.code == code
    assert reason in told.err


def test_an_image_without_a_config_cannot_be_saved(loaded: CommandLine) -> None:
    """A record alone is no image that a program could run."""
    loaded("create-image", "--id", "bare", sha(BASE)[7:]).ok()

    assert "has no config" in loaded("save", "bare").err


def test_an_archive_goes_through_a_pipe(loaded: CommandLine, run: Runner) -> None:
    """Standard output holds nothing but the archive."""
    assert loaded("images").ok().code == 0
    written = run("save", "--format", "oci-archive", NAME).ok().output

    assert written.endswith(bytes(1024))
    assert run("load", stdin=written).ok().lines == [f"Loaded image: {NAME}"]
