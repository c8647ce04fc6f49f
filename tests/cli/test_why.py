"""why: what holds an item, up to what a person knows, and how to let go."""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import unplaced

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots

CREATED = "2026-01-01T00:00:00Z"


@pytest.fixture
def furnished(cli: CommandLine) -> CommandLine:
    """Three layers in a row, an image on the second and on the third, and a container of the latter."""
    for name, parent in (("l1", []), ("l2", ["l1"]), ("l3", ["l2"])):
        cli("create-layer", "-i", name, *parent).ok()
    cli("create-image", "-n", "below", "l2").ok()
    cli("create-image", "-n", "above", "l3").ok()
    cli("create-container", "-n", "web", "above").ok()
    return cli


def tree(holders: list[dict[str, Any]]) -> list[Any]:
    """Kind, name and holders of each, nothing else."""
    return [[each["kind"], (each["names"] or [each["id"]])[0], tree(each["held_by"])] for each in holders]


def held(cli: CommandLine, *words: str) -> list[Any]:
    """The tree of what holds an item."""
    (item,) = cli("why", "--json", *words).ok().json["items"]
    return tree(item["held_by"])


def test_an_image_is_held_by_its_containers(furnished: CommandLine) -> None:
    """The command that lets go is told; without a mark of another tool, the maker is unknown."""
    (item,) = furnished("why", "--json", "above").ok().json["items"]
    (holder,) = item["held_by"]

    assert (holder["kind"], holder["names"]) == ("container", ["web"])
    assert holder["maker"] == "unknown"
    assert unplaced(holder["command"]) == "cstore delete-container web"
    assert holder["command"] in furnished("why", "above").ok().lines[1]


def test_a_layer_is_held_by_all_that_builds_on_it(furnished: CommandLine) -> None:
    """Up to images and containers, which people know; what has no name in between is passed over."""
    assert held(furnished, "l1") == [
        ["layer", "l2", [
            ["image", "below", []],
            ["layer", "l3", [
                ["image", "above", [["container", "web", []]]],
                ["layer", held_layer(furnished), [["container", "web", []]]],
            ]],
        ]],
    ]  # fmt: skip


def held_layer(cli: CommandLine) -> str:
    """The container's own layer."""
    layer: str = cli("container", "-j", "web").ok().json[0]["layer"]
    return layer


def test_layers_without_a_name_are_one_step(cli: CommandLine) -> None:
    """Of a long chain, only its end is known to anybody."""
    cli("create-layer", "-i", "l0").ok()
    for number in range(1, 30):
        cli("create-layer", "-i", f"l{number}", f"l{number - 1}").ok()
    cli("create-image", "-n", "deep", "l29").ok()
    told = cli("why", "l0").ok().lines

    assert len(told) == 3
    assert "layer l29 builds on it, with 28 more between" in told[1]
    assert "(deep) has it on top: cstore rm deep" in unplaced(told[2])


def test_nothing_holds_it(furnished: CommandLine) -> None:
    """That is said, and no error."""
    furnished("create-layer", "-i", "spare", "-n", "alone").ok()

    assert furnished("why", "alone").ok().lines == ["layer spare (alone): nothing holds it"]


def test_a_count_without_a_mount_is_told(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """Somebody mounted it, says the table; nothing is mounted there."""
    layer = held_layer(furnished)
    os.makedirs(f"{store_roots.run}/vfs-layers", exist_ok=True)
    with open(f"{store_roots.run}/vfs-layers/mountpoints.json", "w", encoding="utf-8") as file:
        json.dump([{"id": layer, "path": "/nonexistent", "count": 2}], file)

    (line,) = furnished("why", "web").ok().lines[1:2]

    assert line.startswith(
        "  mount /nonexistent shows its layer, 2 times, according to the mount count, but no mount is visible"
    )
    assert unplaced(line).endswith(": cstore unmount web")


def test_the_shown_command_is_for_the_store_that_was_asked(bare_cli: CommandLine, tmp_path: Path) -> None:
    """A shell that runs it as it stands lets go, whatever store is configured, and however the store is called."""
    options = ("--graph", f"{tmp_path}/a 'graph'", "--run", str(tmp_path / "run"), "--storage-driver", "vfs")
    bare_cli(*options, "create-layer", "-i", "l1").ok()
    bare_cli(*options, "create-image", "-n", "img", "l1").ok()
    bare_cli(*options, "create-container", "-n", "it's", "img").ok()
    (holder,) = bare_cli(*options, "why", "-j", "img").ok().json["items"][0]["held_by"]
    refused = bare_cli(*options, "rm", "img")
    bare_cli(*options, "set-metadata", "-m", '{"image-name":"x","created-at":1}', "it's").ok()
    (podmans,) = bare_cli(*options, "why", "-j", "img").ok().json["items"][0]["held_by"]

    assert holder["command"] in refused.err
    program, *words = shlex.split(holder["command"])
    assert program == "cstore"
    assert shlex.split(podmans["command"]) == [
        "podman", "--root", options[1], "--runroot", options[3], "--storage-driver", "vfs", "rm", "it's",
    ]  # fmt: skip
    bare_cli(*words).ok()
    assert bare_cli(*options, "why", "img").ok().out.endswith(": nothing holds it\n")


def test_a_tools_mark_names_the_maker(furnished: CommandLine) -> None:
    """What Podman and CRI-O keep in a container's metadata says whose command removes it."""
    for text, maker, command in (
        ('{"image-name":"x","created-at":1}', "Podman", "podman rm web"),
        ('{"pod-id":"p1"}', "CRI-O", "crictl rm web"),
    ):
        furnished("set-metadata", "-m", text, "web").ok()
        (holder,) = furnished("why", "-j", "above").ok().json["items"][0]["held_by"]
        assert (holder["maker"], unplaced(holder["command"])) == (maker, command)


def test_an_item_of_an_additional_store(furnished: CommandLine, bare_cli: CommandLine, tmp_path: Path) -> None:
    """Whoever wants it gone has to go there."""
    graph, run = str(tmp_path / "graph"), str(tmp_path / "second-run")
    options = ("-g", str(tmp_path / "second"), "-R", run, "-s", "vfs", "--storage-opt", f"vfs.imagestore={graph}")
    (item,) = bare_cli(*options, "why", "-j", "above").ok().json["items"]
    (holder,) = item["held_by"]

    assert (holder["kind"], holder["id"]) == ("store", graph)
    assert holder["command"].startswith(f"cstore --graph {graph} --storage-driver vfs rm --kind image ")


def test_what_is_built_on_an_item_of_an_additional_store_holds_it(bare_cli: CommandLine, tmp_path: Path) -> None:
    """A container of this store holds an image there and its layer, which the image there holds, too."""
    there = ("-g", str(tmp_path / "there"), "-R", str(tmp_path / "run"), "-s", "overlay")
    option = f"overlay.imagestore={tmp_path}/there"
    here = ("-g", str(tmp_path / "here"), "-R", str(tmp_path / "run"), "-s", "overlay", "--storage-opt", option)
    bare_cli(*there, "create-layer", "-i", "base").ok()
    bare_cli(*there, "create-image", "-i", "img", "-n", "localhost/app:1", "base").ok()
    bare_cli(*here, "create-container", "-i", "box", "-n", "web", "img").ok()

    (item,) = bare_cli(*here, "why", "-j", "img").ok().json["items"]
    assert item["names"] == ["localhost/app:1"]
    assert [(held["kind"], held["id"]) for held in item["held_by"]] == [
        ("container", "box"),
        ("store", str(tmp_path / "there")),
    ]
    above, store = bare_cli(*here, "why", "-j", "base").ok().json["items"][0]["held_by"]
    assert [(held["kind"], held["id"]) for held in above["held_by"]] == [("container", "box")]
    assert [(held["kind"], held["id"]) for held in store["held_by"]] == [("image", "img")]
    assert "command" not in store
    assert store["held_by"][0]["command"].endswith("rm localhost/app:1")
    assert "web" in bare_cli(*here, "whois", f"{tmp_path}/there/overlay/base/diff").ok().out


def test_rings_and_lost_parents_end(cli: CommandLine, store_roots: StoreRoots) -> None:
    """Damaged records are no reason to walk forever."""
    cli("create-layer", "-i", "seed").ok()
    records = [{"id": one, "parent": other, "created": CREATED} for one, other in (("a", "b"), ("b", "a"), ("c", "x"))]
    with open(store_roots.records, "w", encoding="utf-8") as file:
        json.dump(records, file)
    for name in "abc":
        os.makedirs(store_roots.tree(name))

    ring, lost = cli("why", "a"), cli("why", "c")

    assert (ring.code, ring.lines[0]) == (1, "layer a")
    assert "layer a is its own ancestor" in ring.err
    assert (lost.code, lost.lines) == (1, ["layer c: nothing holds it"])
    assert "layer x, the parent of layer c, is missing" in lost.err


def test_one_that_is_not_known(furnished: CommandLine) -> None:
    """The others are answered, and the exit status says so."""
    told = furnished("why", "nothing", "web")

    assert told.code == 1
    assert "'nothing'" in told.err
    assert told.lines[0].startswith("container ")


def test_damaged_records_give_what_can_be_known(furnished: CommandLine, store_roots: StoreRoots) -> None:
    """The damage is named."""
    with open(f"{store_roots.graph}/vfs-containers/containers.json", "wb") as file:
        file.write(b"[{")
    told = furnished("why", "above")

    assert told.code == 1
    assert "containers.json" in told.err
    assert told.lines[-1] == "  unknown: the records are damaged, so more may hold it"
