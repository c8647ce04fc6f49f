"""Layers: those that are not whole, and those that build on others, found without reading all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cstore.records.layers import LAYERS, children, end_of, follow, incomplete, line
from cstore.records.model import Layer
from cstore.records.table import Location, Table

from .sample_files import layers_in, put

if TYPE_CHECKING:
    from pathlib import Path


def test_incomplete_layers(tmp_path: Path) -> None:
    """Those that say `true`, in load order; a text that mentions the word does not make a layer one."""
    table = layers_in(
        str(tmp_path),
        b'[{"id":"a"},{"id":"b","flags":{"incomplete":true}},{"id":"incomplete"},{"id":"c","metadata":"incomplete"},'
        b'{"id":"d","flags":{"incomplete":"true"}},{"id":"e","flags":{"incomplete":true}}]',
    )

    assert [layer.id for layer in incomplete(table)] == ["b", "e"]
    table.add(Layer(id="f", flags={"incomplete": True}))
    table.replace(Layer(id="b"))
    table.remove("a")
    assert [layer.id for layer in incomplete(table)] == ["e", "f"]
    table.save()
    assert [layer.id for layer in incomplete(table)] == ["e", "f"]


def test_a_layer_that_becomes_incomplete(tmp_path: Path) -> None:
    """Before anything is saved, when no file says so yet."""
    table = layers_in(str(tmp_path), b'[{"id":"a"},{"id":"b"},{"id":"c"}]')

    table.replace(Layer(id="b", flags={"incomplete": True}))

    assert [layer.id for layer in incomplete(table)] == ["b"]


def test_an_incomplete_layer_between_blanks(tmp_path: Path) -> None:
    """Places in the file are not taken for places in another."""
    blank = b" " * 100
    table = layers_in(
        str(tmp_path),
        b"[" + blank + b'{"id":"a"}' + blank + b',{"id":"b","flags":{"incomplete":true}},{"id":"c"},{"id":"d"}]',
    )

    assert [layer.id for layer in incomplete(table)] == ["b"]


@pytest.mark.parametrize(
    "flags",
    [b'"incompl\\u0065te":true', b'"incomplete" : true', b'"x":"\\\\","incomplete":true'],
    ids=["escape", "space", "other"],
)
def test_an_incomplete_layer_is_found_however_it_is_spelled(tmp_path: Path, flags: bytes) -> None:
    """Escapes make the quick search impossible, and it is not made."""
    table = layers_in(str(tmp_path), b'[{"id":"a"},{"id":"b","flags":{%s}}]' % flags)

    assert [layer.id for layer in incomplete(table)] == ["b"]


@pytest.mark.parametrize("parent", ["p", "é", "with space", 'q"', "<tag>", "a\\b", "a/b"])
def test_children_of_a_layer(tmp_path: Path, parent: str) -> None:
    """Whatever the ID of the parent looks like."""
    files = {
        Location.STABLE: str(tmp_path / "layers.json"),
        Location.VOLATILE: put(str(tmp_path / "volatile-layers.json"), b'[{"id":"v","parent":"p"}]'),
    }
    table = Table.load(LAYERS, files)
    for identifier, below in ((parent, ""), ("1", parent), ("2", "1"), ("3", parent)):
        table.add(Layer(id=identifier, parent=below))
    assert [layer.id for layer in children(table, parent)][:2] == ["1", "3"]
    table.save()

    found = [layer.id for layer in children(Table.load(LAYERS, files), parent)]

    assert found == (["1", "3", "v"] if parent == "p" else ["1", "3"])


def test_children_in_a_hidden_duplicate_do_not_count(tmp_path: Path) -> None:
    """A record that another one of its ID hides is nobody's child."""
    table = layers_in(str(tmp_path), b'[{"id":"a","parent":"p"},{"id":"b"},{"id":"b","parent":"p"}]')

    assert [layer.id for layer in children(table, "p")] == ["a"]


CHAINS = {name: Layer(id=name, parent=parent) for name, parent in ("ab", "bc", ("c", ""), "ed", "xy", "yz", "zy")}


@pytest.mark.parametrize(
    ("top", "known", "found", "problem", "end"),
    [
        ("a", (), "abc", "", ""),
        ("a", ("c",), "ab", "", "c"),
        ("e", (), "e", "layer d, the parent of layer e, is missing", "d"),
        ("d", (), "", "layer d is missing", "d"),
        ("x", (), "xyz", "layer y is its own ancestor", "y"),
        ("", (), "", "", ""),
    ],
)
def test_a_chain_is_followed_to_its_end(top: str, known: tuple[str, ...], found: str, problem: str, end: str) -> None:
    """To its base or a layer that is known; what is wrong is told, and where it breaks off."""
    chain, told = follow(CHAINS.get, top, known)

    assert ("".join(chain), told, end_of(chain, top)) == (found, problem, end)


@pytest.mark.parametrize(("top", "ids"), [("a", "abc"), ("e", "ed"), ("d", "d"), ("x", "xyz"), ("", "")])
def test_the_ids_of_a_chain_name_a_missing_layer_last(top: str, ids: str) -> None:
    """And a ring once."""
    assert "".join(line(CHAINS.get, top)) == ids
