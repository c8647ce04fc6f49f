"""layers, layer, layer-parent-owners."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots


@pytest.fixture
def chain(cli: CommandLine) -> CommandLine:
    """A store with a small family of layers."""
    cli("create-layer", "-i", "l1", "-n", "base", "-n", "weird <n>").ok()
    cli("create-layer", "-i", "l2", "-n", "two", "l1").ok()
    cli("create-layer", "-i", "l3", "--uidmap", "0:100:5", "l2").ok()
    cli("create-layer", "-i", "l4", "l1").ok()
    return cli


def test_layers_lists_names_below_ids(chain: CommandLine) -> None:
    """Each layer is a line, each of its names a line below it."""
    assert chain("layers").ok().lines == [
        "l1",
        "\tname: base",
        "\tname: weird <n>",
        "l2",
        "\tname: two",
        "l3",
        "l4",
    ]


@pytest.mark.parametrize("spelling", ["-q", "--quick", "--quiet"])
def test_layers_can_print_ids_only(chain: CommandLine, spelling: str) -> None:
    """For scripts that only want IDs."""
    assert chain("layers", spelling).ok().lines == ["l1", "l2", "l3", "l4"]


def test_layers_json_wins_over_tree_and_quick(chain: CommandLine) -> None:
    """All of them as a list of records."""
    told = chain("layers", "-q", "-t", "--json").ok()

    assert [record["id"] for record in told.json] == ["l1", "l2", "l3", "l4"]
    assert r'"weird \u003cn\u003e"' in told.out


def test_no_layers_are_nothing_or_null(cli: CommandLine) -> None:
    """An empty list is null, as the peer writes it."""
    assert cli("layers").ok().out == ""
    assert cli("layers", "--tree").ok().out == ""
    assert cli("layers", "--json").ok().out == "null\n"


def test_tree_draws_the_family(chain: CommandLine) -> None:
    """Children hang below their parents in the order of the list, notes below their layer."""
    assert chain("layers", "-tq").ok().lines == [
        "(base)",
        "└─l1",
        "  name: base",
        "  name: weird <n>",
        "  ├─l2",
        "  │ name: two",
        "  │ └─l3",
        "  └─l4",
    ]


def test_tree_shows_mount_points(chain: CommandLine, store_roots: StoreRoots) -> None:
    """A mounted layer has a note that says where."""
    chain("mount", "l4").ok()

    assert f"    mount: {store_roots.tree('l4')}" in chain("layers", "--tree").lines


def test_layer_shows_the_record(chain: CommandLine) -> None:
    """Layers are found by ID, name and unique prefix, and shown in the order of the words."""
    assert chain("layer", "l3", "two").ok().lines == [
        "ID: l3",
        "UID mapping: (container=0, host=100, size=5)",
        "Parent: l2",
        "ID: l2",
        "Parent: l1",
        "Name: two",
    ]


def test_layer_in_json_is_a_list(chain: CommandLine) -> None:
    """Even of one, and of none."""
    assert [record["id"] for record in chain("layer", "-j", "l1").ok().json] == ["l1"]
    assert chain("layer", "-j", "nope").json == []


def test_layer_names_what_is_unknown_and_shows_the_rest(chain: CommandLine) -> None:
    """An unknown word is named on standard error; the exit code tells, the others are shown."""
    told = chain("layer", "nope", "l1")

    assert told.code == 1
    assert told.lines[0] == "ID: l1"
    assert told.err == "nope: layer not known: 'nope' (see cstore layers)\n"


def test_layer_tells_an_ambiguous_prefix_from_none(chain: CommandLine) -> None:
    """A prefix of several layers is no layer."""
    assert chain("layer", "l").code == 1


def test_parent_owners_of_unmapped_layers(chain: CommandLine) -> None:
    """A layer without maps misses nobody: only its ID is printed, and JSON says null."""
    assert chain("layer-parent-owners", "base", "l2").ok().lines == ["ID: l1", "ID: l2"]
    assert chain("layer-parent-owners", "-j", "base", "l2").ok().out == (
        '{"ID":"l1","UIDs":null,"GIDs":null}\n{"ID":"l2","UIDs":null,"GIDs":null}\n'
    )


def test_parent_owners_of_a_mapped_layer(chain: CommandLine) -> None:
    """It must be mounted; then the owners above the mount point that its map does not cover are listed."""
    unmounted = chain("layer-parent-owners", "l3")
    chain("mount", "l3").ok()
    told = chain("layer-parent-owners", "l3").ok()

    assert unmounted.code == 1
    assert unmounted.err == "l3: layer is not mounted: l3 (cstore mount l3)\n"
    assert told.lines[:2] == ["ID: l3", "UIDs: [0]"]


def test_parent_owners_goes_on_after_an_unknown_layer(chain: CommandLine) -> None:
    """The other layers are answered for."""
    told = chain("layer-parent-owners", "nope", "l1")

    assert (told.code, told.lines) == (1, ["ID: l1"])
    assert told.err.startswith("nope: ")


def test_a_damaged_index_is_listed_as_far_as_it_goes(chain: CommandLine, store_roots: StoreRoots, run: Runner) -> None:
    """Readers show what can be known, say what is wrong, and fail; the file stays as it is."""
    with open(store_roots.records, "rb") as file:
        records = file.read()
    damaged = records[: len(records) // 2]
    with open(store_roots.records, "wb") as file:
        file.write(damaged)

    told = run("layers", "-q")

    assert told.code == 1
    assert told.stderr.startswith("cstore: the record file ")
    assert store_roots.records in told.stderr
    assert "Traceback" not in told.stderr
    with open(store_roots.records, "rb") as file:
        assert file.read() == damaged
