"""delete and delete-layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


@pytest.fixture
def chain(cli: CommandLine) -> CommandLine:
    """l1 ← l2, and a layer apart."""
    cli("create-layer", "-i", "l1", "-n", "base").ok()
    cli("create-layer", "-i", "l2", "l1").ok()
    cli("create-layer", "-i", "apart").ok()
    return cli


def test_delete_layer_is_silent_when_it_works(chain: CommandLine) -> None:
    """Several layers go in the order of the words."""
    told = chain("delete-layer", "l2", "base").ok()

    assert (told.out, told.err) == ("", "")
    assert chain("layers", "-q").lines == ["apart"]


@pytest.mark.parametrize("word", ["l1", "base"])
def test_delete_layer_keeps_what_is_needed(chain: CommandLine, word: str) -> None:
    """A parent stays, by whatever word it is named, and the error names the child."""
    told = chain("delete-layer", word, "apart")

    assert (told.code, told.out) == (1, "")
    assert told.err == f"{word}: layer has children: l1 is the parent of l2 (delete l2 first)\n"
    assert chain("layers", "-q").lines == ["l1", "l2"]


def test_delete_layer_in_json_speaks_the_peers_words(chain: CommandLine) -> None:
    """One object, a key for each word; nothing else is printed."""
    told = chain("delete-layer", "--json", "nope", "l1", "apart")

    assert told.code == 1
    assert told.out == ('{"apart":"","l1":"used by layer l2: layer has children","nope":"identifier is not a layer"}\n')
    assert told.err == ""


def test_delete_asks_nothing(chain: CommandLine) -> None:
    """A layer with children goes, too."""
    assert chain("delete", "--json", "base").ok().json == {"base": ""}
    assert chain("layers", "-q").lines == ["l2", "apart"]


def test_delete_names_what_is_unknown(chain: CommandLine) -> None:
    """The rest is deleted all the same."""
    told = chain("delete", "nope", "apart")

    assert told.code == 1
    assert told.err.startswith("nope: ")
    assert chain("layers", "-q").lines == ["l1", "l2"]
    assert chain("delete", "-j", "nope").json == {"nope": "layer not known"}
