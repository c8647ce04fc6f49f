"""`pull`, `push`, `sync`, `inspect docker://` and `gc --partial`: what they print, and how they fail."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from cstore.cli.output import progress
from tests.builders import listing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots
    from tests.registries import Pushed, Registry

pytestmark = pytest.mark.usefixtures("needs_root")
PLAIN = "--tls-verify=false"


@pytest.fixture(autouse=True)
def _as_usual() -> Iterator[None]:
    """Progress is shown as usual again afterwards."""
    yield
    progress.style = "auto"


@pytest.fixture(scope="module")
def image(registry: Registry) -> Pushed:
    """An image there."""
    return registry.push("team/app:1")


def test_pull_prints_the_id_and_a_line_a_blob(cli: CommandLine, image: Pushed) -> None:
    """The ID alone on standard output; with --quiet nothing else; with --progress=json one document an event."""
    identifier = json.loads(image.raw)["config"]["digest"][7:]
    told = cli("pull", PLAIN, image.name).ok()
    assert told.lines == [identifier]
    assert told.err.startswith(f"copied {image.layers[0]} ")
    assert cli("pull", "-q", PLAIN, f"docker://{image.name}").ok().err == ""

    told = cli("--progress=json", "pull", PLAIN, "--json", image.name).ok()
    assert told.json[0]["id"] == identifier
    events = [json.loads(line)["progress"] for line in told.err.splitlines()]
    assert [event["event"] for event in events] == ["planned", "present"]


def test_one_that_cannot_be_had_stops_no_other(cli: CommandLine, image: Pushed, registry: Registry) -> None:
    """The exit code says so, and the store has the other one."""
    told = cli("pull", PLAIN, f"{registry.host}/nosuch:1", image.name)

    assert told.code == 1
    assert len(told.lines) == 1
    assert "nosuch" in told.err
    assert cli("images", "-q").ok().lines == told.lines


def test_a_repository_is_pulled_with_all_of_its_tags(cli: CommandLine, registry: Registry) -> None:
    """Under each of their names."""
    names = {registry.push(f"tags:{tag}").name for tag in ("a", "b")}

    assert len(cli("pull", "--all-tags", PLAIN, f"{registry.host}/tags").ok().lines) == 2
    assert {name for each in cli("images", "--json").ok().json for name in each["names"]} == names


def test_an_image_elsewhere_is_inspected(cli: CommandLine, image: Pushed, store_roots: StoreRoots) -> None:
    """Its digests, sizes and config, and no store is made."""
    found = cli("inspect", PLAIN, f"docker://{image.name}").ok().json[0]

    assert (found["kind"], found["digest"]) == ("remote-image", image.digest)
    assert [layer["digest"] for layer in found["layers"]] == image.layers
    assert found["size"] == sum(map(len, image.blobs.values()))
    assert found["config"]["architecture"] == "amd64"
    assert not os.path.exists(store_roots.graph)


def test_a_pushed_digest_goes_into_a_file(cli: CommandLine, image: Pushed, registry: Registry, tmp_path: Path) -> None:
    """And onto standard output; a dry run pushes nothing."""
    cli("pull", "-q", PLAIN, image.name).ok()
    goal = f"docker://{registry.host}/pushed:1"

    assert cli("push", PLAIN, "--dry-run", image.name, goal).ok().lines[-1].startswith("total\t")
    assert registry.request("GET", "/v2/pushed/tags/list").status == 404
    told = cli("push", PLAIN, "--digestfile", str(tmp_path / "digest"), image.name, goal).ok()
    assert told.lines == [(tmp_path / "digest").read_text()] == [image.digest]
    assert "no name that gives a destination" in cli("push", PLAIN, json.loads(image.raw)["config"]["digest"][7:]).err


def test_sync_prints_a_line_an_image(cli: CommandLine, image: Pushed, registry: Registry) -> None:
    """What became of it, and where it is."""
    goal = f"docker://{registry.host}/mirror"
    assert cli("sync", "-q", PLAIN, f"docker://{registry.host}/team/", goal).ok().lines == [f"copied\t{goal}/app:1"]
    told = cli("sync", "--json", PLAIN, f"docker://{registry.host}/team/", goal).ok().json
    assert [one["outcome"] for one in told["images"]] == ["equal"]
    assert cli("sync", PLAIN, f"docker://{registry.host}/nothing/", goal).code == 1
    assert "holds one image" in cli("sync", "docker-archive:x", goal).err
    assert image.digest


def test_partial_downloads_go_after_a_week_or_on_request(
    cli: CommandLine, image: Pushed, store_roots: StoreRoots
) -> None:
    """Until then `gc` tells of them and leaves them; no check takes them for damage."""
    cli("pull", "-q", PLAIN, image.name).ok()
    folder = os.path.join(store_roots.graph, "cstore-partial")
    paths = [os.path.join(folder, f"sha256-{number:064x}") for number in (1, 2)]
    for path in paths:
        with open(path, "wb") as file:
            file.write(b"some")
    week = time.time() - 8 * 24 * 3600
    os.utime(paths[0], (week, week))

    assert cli("check").ok().out == ""
    assert "partial" in cli("gc", "--dry-run").ok().out
    assert "kept 4 bytes of 1 partial download" in cli("gc").ok().err
    assert os.listdir(folder) == [os.path.basename(paths[1])]
    before = listing(store_roots.graph)
    assert cli("gc", "--dry-run", "--partial").ok().lines[0].startswith("partial\t")
    assert listing(store_roots.graph) == before
    cli("gc", "--partial").ok()
    assert os.listdir(folder) == []
