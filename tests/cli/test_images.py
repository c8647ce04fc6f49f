"""create-image, images, image, images-by-digest, delete-image; images in mount, unmount and the families of names."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.builders import make_tar, regular
from tests.conftest import unplaced

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

MANIFEST = b'{"schemaVersion":2}'
DIGEST = "sha256:" + hashlib.sha256(MANIFEST).hexdigest()
ARCHIVE = make_tar(regular("file", b"12345"))


@pytest.fixture
def images(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """Two images on a common base: i1, called one and uno, with a manifest; and i2, called two, which has nothing."""
    (tmp_path / "manifest").write_bytes(MANIFEST)
    (tmp_path / "base.tar").write_bytes(ARCHIVE)
    cli("import-layer", "-i", "base", "-f", str(tmp_path / "base.tar")).ok()
    cli("create-layer", "-i", "top", "base").ok()
    cli("create-image", "-i", "i1", "-n", "one", "-n", "uno", "-m", "some metadata", "top").ok()
    cli("create-image", "-i", "i2", "-n", "two", "base").ok()
    cli("set-image-data", "-f", str(tmp_path / "manifest"), "i1", "manifest").ok()
    return cli


def plain_text(text: str) -> str:
    """Leave out the colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# ── made ──


def test_a_new_image_is_named(cli: CommandLine) -> None:
    """The ID, and a line for each name; JSON is its record."""
    cli("create-layer", "-i", "base", "-n", "debian").ok()

    assert cli("create-image", "-i", "i1", "-n", "one", "-n", "uno", "deb").code == 1
    assert cli("create-image", "-i", "i1", "-n", "one", "-n", "uno", "-n", "one", "debian").ok().lines == [
        "i1",
        "\tone",
        "\tuno",
    ]
    made = cli("createimage", "--json", "--digest", DIGEST, "--metadata", "m", "base").ok().json
    assert list(made) == ["id", "digest", "layer", "metadata", "created"]
    assert (made["digest"], made["layer"], made["metadata"]) == (DIGEST, "base", "m")
    assert len(made["id"]) == 64


def test_an_image_may_have_no_layer(cli: CommandLine, tmp_path: Path) -> None:
    """The word is left out, or empty; a file of metadata wins over a text."""
    (tmp_path / "metadata").write_text("from a file\n")
    cli("create-image", "-i", "i1").ok()
    cli("create-image", "-i", "i2", "-m", "x", "-f", str(tmp_path / "metadata"), "").ok()

    assert cli("metadata", "-q", "i2").ok().out == "from a file\n"
    assert "Top Layer: \n" in cli("image", "i1").ok().out


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["-i", "i1"], "IDTaken"),
        (["-n", "one"], "NameTaken"),
        (["nothing"], "LayerUnknown"),
        (["-d", "bogus"], "InvalidDigest"),
        (["-d", "sha256:12"], "InvalidDigest"),
        (["-d", "md5:" + "0" * 32], "InvalidDigest"),
        (["-i", "../x"], "InvalidID"),
        (["-i", ".."], "InvalidID"),
        (["-i", "a\0b"], "InvalidID"),
        (["-i", "x" * 300], "InvalidID"),
        (["-i", "\udcff"], "InvalidID"),
        (["-n", "\udcff"], "InvalidName"),
        (["-f", "/nonexistent"], "SystemFailure"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_bad_requests_are_refused(images: CommandLine, words: list[str], kind: str) -> None:
    """By name, with exit 1, and nothing is made."""
    told = images("create-image", "--json", *words)

    assert (told.code, told.out, told.error["kind"]) == (1, "", kind)
    assert images("images", "-q").ok().lines == ["i1", "i2"]


# ── looked at ──


def test_images_are_listed_for_scripts(images: CommandLine) -> None:
    """Names, digests and data below each ID, or the IDs alone, or the records."""
    assert images("images").ok().lines == [
        "i1",
        "\tname: one",
        "\tname: uno",
        f"\tdigest: {DIGEST}",
        "\tdata: manifest",
        "i2",
        "\tname: two",
    ]
    assert images("images", "--quiet").ok().lines == ["i1", "i2"]
    assert [record["id"] for record in images("images", "-q", "--json").ok().json] == ["i1", "i2"]


def test_no_images_are_null(cli: CommandLine) -> None:
    """In JSON; as lines they are none."""
    assert cli("images", "-j").ok().out == "null\n"
    assert cli("images").ok().out == ""


def test_an_image_is_described(images: CommandLine) -> None:
    """In the order of the words; who is not there is named on standard error."""
    told = images("image", "two", "nothing", "on", "i1")

    assert told.code == 1
    assert told.err.splitlines() == [
        f"{word}: image not known: '{word}' (see cstore images)" for word in ("nothing", "on")
    ]
    assert told.lines == [
        "ID: i2",
        "Name: two",
        "Top Layer: base",
        f"Size: {len(ARCHIVE)}",
        "ID: i1",
        "Name: one",
        "Name: uno",
        "Top Layer: top",
        f"Digest: {DIGEST}",
        "Data: manifest",
        f"Size: {len(ARCHIVE) + len(MANIFEST)}",
    ]
    assert images("image", "--json", "nothing").json == []


def test_a_record_is_told_whole(images: CommandLine) -> None:
    """In the order of the keys on disk."""
    images("set-names", "-n", "eins", "i1").ok()
    (record,) = images("image", "--json", "eins").ok().json

    created = record.pop("created")
    assert created.endswith("Z")
    assert json.dumps(record) == json.dumps(
        {
            "id": "i1",
            "digest": DIGEST,
            "names": ["eins"],
            "names-history": ["eins"],
            "layer": "top",
            "metadata": "some metadata",
            "big-data-names": ["manifest"],
            "big-data-sizes": {"manifest": len(MANIFEST)},
            "big-data-digests": {"manifest": DIGEST},
        }
    )


def test_a_missing_layer_makes_the_size_unknown_and_nothing_worse(images: CommandLine) -> None:
    """The reason stands in the line."""
    images("delete", "base").ok()

    assert images("image", "i1").ok().lines[-1] == 'Size unknown: locating layer with ID "base": layer not known'


def test_images_are_found_by_digest(images: CommandLine) -> None:
    """None at all is no failure; what is no digest is."""
    assert images("images-by-digest", "-q", DIGEST).ok().lines == ["i1"]
    assert images("images-by-digest", DIGEST).ok().lines[:2] == ["i1", "\tname: one"]
    assert [record["id"] for record in images("images-by-digest", "-j", DIGEST).ok().json] == ["i1"]
    assert images("images-by-digest", "-j", "sha256:" + "0" * 64).ok().out == "[]\n"
    told = images("images-by-digest", "--json", "bogus")
    assert (told.code, told.error["reason"]) == (1, "invalid checksum digest format")


def test_a_person_sees_a_table(images: CommandLine, run: Runner) -> None:
    """Layers, sizes and ages, from the records alone; details under their labels; nothing is said to be nothing."""
    people = {"CLICOLOR_FORCE": "1", "COLUMNS": "120"}
    table = plain_text(run("images", env=people).ok().stdout)
    details = plain_text(run("image", "one", env=people).ok().stdout)

    titles, first, _, second = table.splitlines()
    assert titles.split() == ["NAMES", "ID", "LAYERS", "SIZE", "UNIQUE", "CREATED", "USED", "BY"]
    assert first.split()[:3] == ["one", "i1", "2"]
    assert second.split()[:5] == ["two", "i2", "1", "2.0", "kB"]
    assert f"{len(ARCHIVE) + len(MANIFEST)} bytes" in details
    assert "manifest (19 B)" in details
    run("wipe").ok()
    assert plain_text(run("images", env=people).ok().stderr) == "no images\n"


# ── deleted ──


def test_an_image_goes_with_the_layers_that_only_it_needs(images: CommandLine) -> None:
    """They are listed on standard error, as by the peer, or in JSON; a test deletes nothing."""
    assert images("delete-image", "--test", "one").ok().err == "one: top\n"
    assert images("delete-image", "-t", "-j", "one", "two", "nothing").json == {
        "nothing": {"error": "identifier is not an image"},
        "one": {"deleted-layers": ["top"]},
        "two": {},
    }
    told = images("delete-image", "nothing", "one")
    assert (told.code, told.out) == (1, "")
    assert told.err == "nothing: identifier is not an image: 'nothing' (see cstore images)\none: top\n"
    assert images("deleteimage", "-j", "two").ok().out == '{"two":{"deleted-layers":["base"]}}\n'
    assert images("layers", "-q").ok().out == ""


def test_an_image_in_use_stays(images: CommandLine, store_roots: StoreRoots) -> None:
    """Its container is named, in the peer's words in JSON."""
    directory = os.path.join(store_roots.graph, "vfs-containers")
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "containers.json"), "w", encoding="utf-8") as file:
        json.dump([{"id": "c1", "image": "i1", "layer": "x", "created": "2026-01-01T00:00:00Z"}], file)

    told = images("delete-image", "-j", "one")
    assert (told.code, told.json) == (1, {"one": {"error": "image used by c1: image is in use by a container"}})
    assert "cstore delete-container c1" in unplaced(images("delete-image", "one").err)
    assert images("delete", "one").ok().out == ""
    assert images("images", "-q").ok().lines == ["i2"]


# ── mounted ──


def test_images_are_mounted_read_only(images: CommandLine, store_roots: StoreRoots) -> None:
    """With -r the words are images; without it they are not. Unmounting one says nothing."""
    path = images("mount", "-r", "one").ok().lines[0]
    assert os.path.samefile(path, store_roots.tree("top"))
    if os.geteuid() == 0:  # whom the kernel lets mount
        assert path.startswith(f"{store_roots.run}/vfs/top/view-")
    assert images("mount", "--ro", "-j", "i1", "top").json == [
        {"id": "i1", "mountpoint": path, "error": ""},
        {"id": "top", "mountpoint": "", "error": 'locating image with ID "top": image not known'},
    ]
    assert images("mount", "one").code == 1
    assert images("mounted", "top").ok().lines == ["top mounted"]
    assert images("unmount", "one").ok().out == ""
    assert images("umount", "-j", "one").ok().json == [{"id": "one", "error": ""}]
    assert images("mounted", "top").ok().lines == []
    told = images("unmount", "-j", "nothing")
    assert (told.code, told.json) == (1, [{"id": "nothing", "error": "layer not known"}])


@pytest.mark.parametrize("words", [["mount", "-r"], ["unmount"]], ids=" ".join)
def test_an_image_without_layers_cannot_be_mounted(cli: CommandLine, words: list[str]) -> None:
    """It is named, and so is what it lacks; in JSON that is an unknown layer, as with the peer."""
    cli("create-image", "-i", "bare", "-n", "empty").ok()

    told = cli(*words, "empty")

    assert told.code == 1
    assert "image bare has no layer (create a container from it" in told.err
    assert cli(*words, "-j", "empty").json[0]["error"] == "layer not known"


@pytest.mark.usefixtures("needs_root")
def test_a_mounted_image_cannot_be_written_to(bare_cli: CommandLine, tmp_path: Path) -> None:
    """Overlay keeps everybody from it."""
    (tmp_path / "base.tar").write_bytes(ARCHIVE)
    options = ["-g", str(tmp_path / "graph"), "-R", str(tmp_path / "run"), "-s", "overlay"]
    bare_cli(*options, "import-layer", "-i", "base", "-f", str(tmp_path / "base.tar")).ok()
    bare_cli(*options, "create-image", "-i", "i1", "base").ok()
    path = bare_cli(*options, "mount", "-r", "i1").ok().out.strip()
    try:
        assert os.listdir(path) == ["file"]
        assert subprocess.run(["touch", f"{path}/new"], capture_output=True, check=False).returncode != 0
    finally:
        bare_cli(*options, "unmount", "i1").ok()
    assert os.listdir(path) == []
    assert bare_cli(*options, "delete-image", "i1").ok().err == "i1: base\n"
    bare_cli(*options, "shutdown").ok()


# ── names ──


def test_names_of_images_move_and_leave_a_history(images: CommandLine) -> None:
    """One string may name a layer and an image at once: the layer answers first."""
    assert images("add-names", "-j", "-n", "one", "two").ok().json == ["one", "two"]
    assert images("get-names", "i1").ok().lines == ["uno"]
    assert images("exists", "-i", "one").ok().lines == ["one: true"]
    images("add-names", "-n", "one", "base").ok()
    assert images("get-names", "one").ok().lines == ["one"]
    assert images("exists", "-i", "one").code == 1


# ── damaged ──


@pytest.mark.parametrize(
    "words",
    [["create-image"], ["delete-image", "i1"], ["delete", "i1"], ["add-names", "-n", "x", "i1"], ["wipe"]],
    ids=" ".join,
)
def test_nothing_is_written_over_a_file_that_does_not_parse(
    images: CommandLine, store_roots: StoreRoots, words: list[str]
) -> None:
    """It stays byte for byte; the way on is named."""
    path = os.path.join(store_roots.graph, "vfs-images", "images.json")
    with open(path, "ab") as file:
        file.write(b"}")
    with open(path, "rb") as file:
        before = file.read()

    told = images(*words)

    assert (told.code, told.out) == (1, "")
    assert path in told.err
    assert "cstore check" in told.err
    with open(path, "rb") as file:
        assert file.read() == before
    listed = images("images", "-q")
    assert (listed.code, listed.lines) == (1, ["i1", "i2"])
    assert path in listed.err
