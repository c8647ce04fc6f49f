"""check --repair and --force: what the Go tools delete goes into quarantine, and what is in doubt goes nowhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import flip_byte_of, listing, make_tar, regular
from tests.unit.store.conftest import kept

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots


@pytest.fixture
def harmed(cli: CommandLine, store_roots: StoreRoots, tmp_path: Path) -> CommandLine:
    """Two images, one of them with a container; the layer that only this one has holds a flipped byte."""
    for number, words in enumerate((["-i", "base"], ["-i", "top", "base"])):
        archive = tmp_path / f"{number}.tar"
        archive.write_bytes(make_tar(regular(f"file{number}", b"contents" * 100)))
        cli("import-layer", "-f", str(archive), *words).ok()
    cli("create-image", "-i", "sound", "base").ok()
    cli("create-image", "-i", "damaged", "top").ok()
    for image in ("sound", "damaged"):
        cli("set-image-data", "-f", str(tmp_path / "0.tar"), image, "notes").ok()
    flip_byte_of(os.path.join(store_roots.tree("top"), "file1"))
    return cli


def test_a_damaged_image_goes_with_the_layers_that_it_alone_has(harmed: CommandLine) -> None:
    """The other image stays whole; afterwards nothing is wrong."""
    told = harmed("check", "-r").ok()

    assert "layer top: file integrity checksum failed" in told.out
    assert harmed("images", "-q").lines == ["sound"]
    assert harmed("layers", "-q").lines == ["base"]
    assert harmed("check").code == 0


def test_what_was_taken_out_can_be_brought_back(harmed: CommandLine, store_roots: StoreRoots) -> None:
    """The store is as damaged as before, and nothing else is different."""
    before = kept(store_roots.graph)
    case = harmed("check", "-r", "--json").ok().json["Case"]

    harmed("repair", "--undo", case).ok()

    assert sorted(harmed("images", "-q").lines) == ["damaged", "sound"]
    assert {path: kind for path, kind in kept(store_roots.graph).items() if "quarantine" not in path} == before
    assert harmed("check").code == 1


def test_a_damaged_image_under_a_container_stays(harmed: CommandLine) -> None:
    """The error says who uses it, once, and only --force takes the container as well."""
    harmed("create-container", "-i", "box", "damaged").ok()

    told = harmed("check", "-r")

    assert told.code == 1
    assert told.err.count("deleting image damaged: ") == 1
    assert "box" in told.err
    assert harmed("exists", "damaged").code == 0

    harmed("check", "-f").ok()

    assert harmed("containers", "-q").lines == []
    assert harmed("images", "-q").lines == ["sound"]


def test_a_damaged_container_that_stays_is_damage_left(
    cli: CommandLine, store_roots: StoreRoots, tmp_path: Path
) -> None:
    """--repair takes no container, so the store is not sound afterwards, and the exit status says so."""
    cli("create-container", "-i", "box", "").ok()
    notes = tmp_path / "notes"
    notes.write_bytes(b"some notes")
    cli("set-container-data", "-f", str(notes), "box", "notes").ok()
    flip_byte_of(os.path.join(store_roots.graph, "vfs-containers", "box", "notes"), 0)

    assert cli("check", "-r").code == 1
    assert cli("containers", "-q").lines == ["box"]


def test_the_result_is_one_document(harmed: CommandLine) -> None:
    """What was taken out, what was not, and the case, beside the findings."""
    harmed("create-container", "-i", "box", "damaged").ok()

    told = harmed("check", "-r", "--json")

    assert told.code == 1
    assert {row["id"] for row in told.json["Errors"]} == {"damaged", "top"}
    assert told.json["Removed"] == []
    assert harmed("check", "-f", "--json").ok().json["Removed"] == [
        {"kind": "container", "id": "box"}, {"kind": "image", "id": "damaged"},
    ]  # fmt: skip


def test_a_sound_store_loses_nothing(cli: CommandLine) -> None:
    """There is nothing to take out, and no case is opened."""
    cli("create-layer", "-i", "l1").ok()

    assert cli("check", "-f").ok().out == ""
    assert cli("repair", "--list").ok().out == ""
    assert cli("layers", "-q").lines == ["l1"]


@pytest.mark.parametrize("damage", ["", "[{", "{}"])
@pytest.mark.parametrize("name", ["vfs-layers/layers.json", "vfs-images/images.json"])
def test_nothing_goes_while_a_record_file_is_damaged(
    harmed: CommandLine, store_roots: StoreRoots, name: str, damage: str
) -> None:
    """The peers wipe every image then; here repair is named as the way on."""
    with open(os.path.join(store_roots.graph, name), "w", encoding="utf-8") as file:
        file.write(damage)
    before = listing(store_roots.graph)

    told = harmed("check", "-f")

    assert told.code == 1
    assert "cstore repair" in told.err
    assert {path for path in listing(store_roots.graph) if "quarantine" not in path} >= set(before)


def test_what_no_item_stands_for_is_left(harmed: CommandLine, store_roots: StoreRoots) -> None:
    """A tar-split that belongs to no layer is nothing that is taken out: the store is not clean afterwards."""
    stray = os.path.join(store_roots.graph, "vfs-layers", f"{'e' * 64}.tar-split.gz")
    with open(stray, "wb") as file:
        file.write(b"x")

    assert harmed("check", "-r").code == 1
    assert harmed("layers", "-q").lines == ["base"]

    os.unlink(stray)
    assert harmed("check", "-r").code == 0
