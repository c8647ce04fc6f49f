"""create-container, containers, container, delete-container, their data, directories and owners."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

VALUE = bytes(range(256)) + b"\n"


@pytest.fixture
def image(cli: CommandLine) -> CommandLine:
    """An image `i1` with a name and one empty layer."""
    cli("create-layer", "-i", "l1").ok()
    cli("create-image", "-i", "i1", "-n", "img", "l1").ok()
    return cli


@pytest.fixture
def container(image: CommandLine, tmp_path: Path) -> CommandLine:
    """A container `c1` of the image, with a data item."""
    (tmp_path / "value").write_bytes(VALUE)
    image("create-container", "-i", "c1", "-n", "web", "-m", "meta", "img").ok()
    image("set-container-data", "-f", str(tmp_path / "value"), "c1", "config").ok()
    return image


def test_a_new_container_is_printed(image: CommandLine, tmp_path: Path) -> None:
    """Its ID and its names, or its record as the peer spells it."""
    (tmp_path / "meta").write_text("from a file")

    assert image("create-container", "-i", "c1", "-n", "a", "-n", "b", "i1").ok().lines == ["c1", "\ta", "\tb"]
    made = image("createcontainer", "-j", "-i", "c2", "-m", "x", "-f", str(tmp_path / "meta"), "--volatile", "").ok()
    keys = ["id", "image", "layer", "metadata", "created", "flags"]
    assert list(made.json) == keys
    assert made.json["flags"] == {"MountLabel": "", "ProcessLabel": "", "Volatile": True}
    assert (made.json["image"], made.json["metadata"]) == ("", "from a file")


def test_containers_are_listed(container: CommandLine) -> None:
    """With names and data items; as JSON in full, and as an empty list if there are none."""
    container("create-container", "-i", "c2", "img").ok()

    assert container("containers").ok().lines == ["c1", "\tname: web", "\tdata: config", "c2"]
    assert container("containers", "-q").ok().lines == ["c1", "c2"]
    first, second = container("containers", "--json").ok().json
    assert first["big-data-sizes"] == {"config": len(VALUE)}
    assert (first["names"], first["image"], second["id"]) == (["web"], "i1", "c2")
    container("delete-container", "c1", "c2").ok()
    assert container("containers", "-j").ok().out == "[]\n"
    assert container("containers").ok().out == ""


def test_a_container_is_shown(container: CommandLine) -> None:
    """Found ones are shown, unknown ones are named, and the exit status tells."""
    layer = container("container", "-j", "c1").ok().json[0]["layer"]
    lines = ["ID: c1", "Name: web", "Image: i1", "Image name: img", f"Size: {len(VALUE)}"]

    assert container("container", layer).ok().lines == [*lines, f"Layer: {layer}", "Data: config"]
    told = container("container", "nope", "web")
    assert (told.code, told.lines[0]) == (1, "ID: c1")
    assert told.err == "nope: container not known: 'nope' (see cstore containers)\n"
    assert container("container", "-j", "nope").out == "[]\n"


def test_people_get_a_table(container: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the image's name and a state; control characters of names do not reach the terminal."""
    container("create-container", "-n", "\x1b[2J", "--uidmap", "0:1000:5", "").ok()
    container("mount", "c1").ok()
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    monkeypatch.setenv("COLUMNS", "120")

    table = container("containers").ok().out
    shown = container("container", "c1").ok().out

    assert all(text in table for text in ("IMAGE", "img", "web", "mounted", "ID-mapped", r"\x1b[2J"))
    assert all(text in shown for text in ("Mounted at", "config (257 B)", "Image names"))
    container("delete-container", "c1").ok()
    assert container("delete-container", "c1").code == 1


def test_data_comes_back_as_it_went_in(container: CommandLine, run: Runner, tmp_path: Path) -> None:
    """With its size and its digest, listed in the order of its making."""
    run("set-container-data", "web", "Piped", stdin=b"hello\n").ok()

    assert run("get-container-data", "c1", "config").ok().output == VALUE
    container("getcontainerdata", "-f", str(tmp_path / "out"), "web", "Piped").ok()
    assert (tmp_path / "out").read_bytes() == b"hello\n"
    assert container("get-container-data-size", "c1", "Piped").ok().out == "6\n"
    digest = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert container("getcontainerdatadigest", "c1", "Piped").ok().out == digest + "\n"
    assert container("list-container-data", "c1").ok().lines == ["config", "Piped"]
    assert container("listcontainerdata", "-j", "c1").ok().json == ["config", "Piped"]
    container("create-container", "-i", "c2", "").ok()
    assert container("list-container-data", "-j", "c2").ok().json is None


def test_directories_are_made_and_named(container: CommandLine, store_roots: StoreRoots) -> None:
    """One that lasts, and one that a reboot takes."""
    lasting = container("get-container-dir", "web").ok().out.strip()
    fleeting = container("getcontainerrundir", "web").ok().out.strip()

    assert lasting == f"{store_roots.graph}/vfs-containers/c1/userdata"
    assert fleeting == f"{store_roots.run}/vfs-containers/c1/userdata"
    assert os.path.isdir(lasting)
    assert os.path.isdir(fleeting)


def test_owners_above_a_mount(container: CommandLine) -> None:
    """Lists are there even if they are empty; a layer with maps must be mounted."""
    assert container("container-parent-owners", "web").ok().lines == ["ID: c1", "UIDs: []", "GIDs: []"]
    assert container("container-parent-owners", "-j", "c1").ok().out == '{"ID":"c1","UIDs":null,"GIDs":null}\n'
    container("create-container", "-i", "c2", "--uidmap", "0:100000:10", "--gidmap", "0:100000:10", "").ok()
    told = container("container-parent-owners", "c2", "c1")
    assert (told.code, told.lines[0]) == (1, "ID: c1")
    container("mount", "c2").ok()
    assert "0" in container("container-parent-owners", "c2").ok().lines[1]


@pytest.mark.parametrize("text", ["0:100000:0", "0:4294967290:100", "0:1:10:5:100:10"])
def test_a_container_with_a_map_that_no_kernel_takes_is_refused(container: CommandLine, text: str) -> None:
    """When it is created, not when it is mounted."""
    told = container("create-container", "-i", "bad", "--uidmap", text, "--gidmap", text, "img")
    assert (told.code, told.out, told.err.count("\n")) == (1, "", 1)
    assert container("exists", "-c", "bad").code == 1


def test_deleting_goes_on_after_a_mistake(container: CommandLine) -> None:
    """Every word gets its result."""
    container("create-container", "-i", "c2", "img").ok()

    told = container("delete-container", "-j", "nope", "web")
    assert (told.code, told.json) == (1, {"nope": "identifier is not a container", "web": ""})
    assert container("deletecontainer", "c2").ok().out == ""
    assert container("layers", "-q").ok().lines == ["l1"]


@pytest.mark.parametrize(
    "words",
    [
        ["create-container", "nope"],
        ["create-container", "-i", "c1", "img"],
        ["create-container", "-n", "web", "img"],
        ["create-container", "-i", "../x", "img"],
        ["create-container", "-i", "x" * 300, "img"],
        ["create-container", "--uidmap", "0:1000:10:5:100:10", "img"],
        ["create-container", "--hostuidmap", "--uidmap", "0:0:1", "img"],
        ["create-container", "--uidmap", "zero", "img"],
        ["create-container", "-f", "/nonexistent", "img"],
        ["get-container-data", "nope", "config"],
        ["get-container-data", "c1", "nope"],
        ["get-container-data", "c1", ""],
        ["get-container-data-size", "c1", "nope"],
        ["get-container-data-digest", "c1", "nope"],
        ["list-container-data", "nope"],
        ["set-container-data", "-f", "/dev/null", "nope", "config"],
        ["set-container-data", "-f", "/dev/null", "c1", ""],
        ["set-container-data", "-f", "/dev/null", "c1", "userdata"],
        ["get-container-dir", "nope"],
        ["get-container-run-dir", "../../x"],
        ["container-parent-owners", "nope"],
        ["delete-container", "l1"],
        ["delete-container", "i1"],
        ["delete-container", ""],
    ],
    ids=lambda words: " ".join(words)[:50],
)
def test_what_cannot_be_done_is_said(container: CommandLine, words: list[str]) -> None:
    """One sentence, exit 1, and nothing has changed."""
    before = container("containers", "-j").ok().out

    told = container(*words)

    assert (told.code, told.out) == (1, "")
    assert told.err.count("\n") == 1
    assert container("containers", "-j").ok().out == before
    assert container("layers", "-q").ok().out.count("\n") == 2


def test_a_transient_store_keeps_containers_under_the_run_root(image: CommandLine, store_roots: StoreRoots) -> None:
    """All of them are volatile there; the stable records do not know them."""
    made = image("--transient-store", "create-container", "-j", "-n", "t", "img").ok().json

    assert made["flags"]["Volatile"] is True
    assert image("--transient-store", "containers").ok().lines == [made["id"], "\tname: t"]
    assert image("containers").ok().out == ""
    with open(os.path.join(store_roots.run, "vfs-containers", "volatile-containers.json"), encoding="utf-8") as file:
        assert json.load(file)[0]["id"] == made["id"]
    image("--transient-store", "delete-container", "t").ok()
    assert image("--transient-store", "containers", "-j").ok().json == []
    assert image("layers", "-q").ok().lines == ["l1"]


def test_the_peer_sees_the_same(container: CommandLine, peer: Runner) -> None:
    """Records, data and directories, and it deletes what cstore made, and the other way round."""
    container("create-container", "-i", "c2", "--uidmap", "0:100000:10", "--gidmap", "0:100000:10", "img").ok()
    for words in (["containers"], ["containers", "-j"], ["container", "c1"], ["container", "-j", "c1", "c2"]):
        assert container(*words).ok().out == peer(*words).ok().stdout
    assert peer("get-container-data", "web", "config").ok().output == VALUE
    peer("delete-container", "c1").ok()
    peer(
        "create-container", "-i", "c3", "-n", "theirs", "--uidmap", "0:100000:10", "--gidmap", "0:100000:10", "img"
    ).ok()

    assert container("containers").ok().lines == ["c2", "c3", "\tname: theirs"]
    assert len(container("image", "-j", "i1").ok().json[0]["mapped-layers"]) == 1
    container("delete-container", "theirs", "c2").ok()
    assert peer("containers", "-j").ok().stdout == "[]\n"
