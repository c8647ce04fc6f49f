"""list-layer-data, get-layer-data, set-layer-data; delete-layer-data and its kin."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine
    from tests.conftest import Runner, StoreRoots

VALUE = bytes(range(256)) + b"\n"


@pytest.fixture
def layer(cli: CommandLine, tmp_path: Path) -> CommandLine:
    """A layer with one data item."""
    (tmp_path / "value").write_bytes(VALUE)
    cli("create-layer", "-i", "l1").ok()
    cli("set-layer-data", "-f", str(tmp_path / "value"), "l1", "item").ok()
    return cli


def test_items_are_listed_in_the_order_of_their_making(layer: CommandLine, tmp_path: Path) -> None:
    """Setting one again does not move it."""
    for name in ("another", "item"):
        layer("setlayerdata", "-f", str(tmp_path / "value"), "l1", name).ok()
    layer("create-layer", "-i", "l2").ok()

    assert layer("list-layer-data", "l1").ok().lines == ["item", "another"]
    assert layer("listlayerdata", "-j", "l1").ok().json == ["item", "another"]
    assert layer("list-layer-data", "-j", "l2").ok().json is None


def test_data_comes_back_as_it_went_in(layer: CommandLine, run: Runner, tmp_path: Path) -> None:
    """To standard output and to a file, from a file and from standard input."""
    assert run("get-layer-data", "l1", "item").ok().output == VALUE
    run("set-layer-data", "l1", "piped", stdin=b"from a pipe").ok()
    layer("getlayerdata", "-f", str(tmp_path / "out"), "l1", "piped").ok()

    assert (tmp_path / "out").read_bytes() == b"from a pipe"


def test_the_file_is_touched_only_when_the_item_is_found(layer: CommandLine, tmp_path: Path) -> None:
    """What was in it survives a mistake."""
    (tmp_path / "out").write_text("precious")

    told = layer("get-layer-data", "-f", str(tmp_path / "out"), "l1", "nope")

    assert told.code == 1
    assert told.err == "cstore: layer l1 has no data item 'nope' (see cstore list-layer-data l1)\n"
    assert (tmp_path / "out").read_text() == "precious"
    assert list(tmp_path.glob(".cstore-*")) == []


def test_an_item_of_a_layer_may_be_of_any_size(layer: CommandLine, store_roots: StoreRoots) -> None:
    """Nothing records how large it was, so there is nothing that check could find fault with."""
    (item,) = Path(store_roots.graph).glob("*-layers/l1/item")
    os.truncate(item, 1 << 32)

    assert layer("check").ok().out == ""


@pytest.mark.parametrize(
    "words",
    [
        ["get-layer-data", "nope", "item"],
        ["get-layer-data", "l1", ""],
        ["list-layer-data", "nope"],
        ["set-layer-data", "-f", "/dev/null", "nope", "item"],
        ["set-layer-data", "-f", "/dev/null", "l1", ""],
        ["set-layer-data", "-f", "/nonexistent", "l1", "item"],
    ],
    ids=" ".join,
)
def test_what_is_not_there_is_named(layer: CommandLine, words: list[str]) -> None:
    """One sentence, exit 1."""
    told = layer(*words)

    assert (told.code, told.out) == (1, "")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize("kind", ["layer", "image", "container"])
def test_a_deleted_item_is_not_listed_any_more(layer: CommandLine, kind: str, tmp_path: Path) -> None:
    """The others are; deleting it twice is an error that names it."""
    if kind != "layer":
        layer(f"create-{kind}", "--id", "l1", *(["l1"] if kind == "image" else [""])).ok()
    for name in ("item", "other"):
        layer(f"set-{kind}-data", "-f", str(tmp_path / "value"), "l1", name).ok()

    assert layer(f"delete-{kind}-data", "l1", "item").ok().out == ""
    assert layer(f"list-{kind}-data", "l1").ok().lines == ["other"]
    again = layer(f"delete-{kind}-data", "l1", "item")
    assert (again.code, again.out) == (1, "")
    assert again.err.startswith(f"cstore: {kind} l1 has no data item 'item'")
