"""`load`: what it prints, what it leaves, and how it fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.builders import listing
from tests.unit.transfer.archives import BASE, CHANGE, TOP, as_directory, as_tar, docker_archive, oci_layout, sha

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A docker-archive of one image."""
    path = tmp_path / "image.tar"
    path.write_bytes(as_tar(docker_archive()))
    return str(path)


def test_a_line_for_each_name_is_printed(cli: CommandLine, archive: str, tmp_path: Path) -> None:
    """As Docker and Podman print them, and the ID of an image without a name."""
    assert cli("load", archive).ok().lines == ["Loaded image: example.org/app:1"]
    assert cli("load", "-i", archive, "--tag", "other").ok().lines == ["Loaded image: docker.io/library/other:latest"]

    unnamed = tmp_path / "unnamed.tar"
    unnamed.write_bytes(as_tar(docker_archive((TOP,), None)))
    assert cli("load", str(unnamed)).ok().out.startswith("Loaded image ID: sha256:")


def test_json_tells_what_was_new(cli: CommandLine, archive: str) -> None:
    """ID, digest, names, layers, and which of them the store did not have."""
    first, again = cli("load", "--json", archive).ok().json, cli("load", "--json", archive).ok().json

    assert first[0]["names"] == ["example.org/app:1"]
    assert len(first[0]["layers"]) == 2
    assert first[0]["new_layers"] == first[0]["layers"]
    assert again == [{**first[0], "new_layers": []}]


def test_standard_input_and_directories_are_read(run: Runner, cli: CommandLine, tmp_path: Path) -> None:
    """Whatever PATH is, or without it what comes through a pipe."""
    assert run("load", stdin=as_tar(docker_archive())).ok().lines == ["Loaded image: example.org/app:1"]
    layout = as_directory(oci_layout((TOP,)), str(tmp_path / "layout"))
    assert cli("load", layout).ok().lines == ["Loaded image: example.org/app:1"]


def test_what_had_to_wait_is_said(run: Runner) -> None:
    """How much, where and why, on standard error; nothing where nothing waits, or with --quiet."""
    members = docker_archive((TOP,))
    late = as_tar(members, first=[name for name in members if name.endswith(".tar")])
    said = run("load", stdin=late).ok().stderr
    assert f"{len(TOP)} bytes of layers had to wait in a file in " in said
    assert run("load", "--quiet", stdin=late).ok().stderr == ""
    early = as_tar(members, first=[name for name in members if name.endswith(".json")])
    assert run("load", stdin=early).ok().stderr == ""


def test_a_failure_names_the_member_and_leaves_nothing(
    cli: CommandLine, tmp_path: Path, store_roots: StoreRoots
) -> None:
    """One sentence, exit 1, and neither layer nor image."""
    member = f"{sha(BASE)[7:]}.tar"
    path = tmp_path / "faulty.tar"
    path.write_bytes(as_tar({**docker_archive(), member: CHANGE}))

    told = cli("load", str(path))

    assert told.code == 1
    assert told.err.count("\n") == 1
    assert f"{member}: expected DiffID {sha(BASE)}, found {sha(CHANGE)}" in told.err
    assert cli("load", "--json", str(path)).error["member"] == member
    left = [name for name in listing(store_roots.graph) if sha(BASE)[7:] in name or sha(CHANGE)[7:] in name]
    assert left == []
    assert cli("layers", "-q").ok().out == ""


@pytest.mark.parametrize(
    ("words", "reason", "code"),
    [
        (["--format", "vhd"], "'vhd' is not one of: docker, oci", 2),
        (["--platform", "arm64"], "not a platform", 2),
        (["--platform", "linux/arm64", "--all"], "exclude each other", 2),
        (["--name", "example.org/other:1"], "no image named", 1),
        (["--tag", "UPPER"], "not in lower case", 1),
        (["-i", "elsewhere.tar"], "two archives", 2),
    ],
)
def test_requests_that_make_no_sense_are_explained(
    words: list[str], reason: str, code: int, cli: CommandLine, archive: str
) -> None:
    """In a sentence; with exit code 2 if no archive could make sense of them."""
    told = cli("load", *words, archive)

    assert told.code == code
    assert reason in told.err


def test_what_is_no_archive_is_said_to_be_none(cli: CommandLine, tmp_path: Path) -> None:
    """The tar of a layer, an empty directory, a file that is not there."""
    path = tmp_path / "layer.tar"
    path.write_bytes(BASE)
    os.mkdir(tmp_path / "empty")

    assert "import-layer" in cli("load", str(path)).err
    assert "not an archive of images" in cli("load", str(tmp_path / "empty")).err
    assert "No such file" in cli("load", str(tmp_path / "absent")).err
    assert cli("load", str(path)).code == 1


def test_oddities_are_warnings(cli: CommandLine, tmp_path: Path) -> None:
    """They stop nothing."""
    path = tmp_path / "odd.tar"
    path.write_bytes(as_tar(docker_archive(os="windows")))

    told = cli("load", str(path)).ok()

    assert "warning" in told.err
    assert "windows" in told.err
