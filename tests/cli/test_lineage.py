"""search, children, heads, history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cstore import Overrides, load_config, open_store
from cstore.docker import ImageStore, LayerStore
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import CommandLine
    from tests.conftest import StoreRoots


@pytest.fixture
def family(cli: CommandLine, store_roots: StoreRoots, tmp_path: Path) -> tuple[str, str]:
    """A parent of one layer, named `base`, and its child, which adds nothing but a comment."""
    overrides = Overrides(graph_root=store_roots.graph, run_root=store_roots.run, driver="vfs")
    store = open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))
    layers = LayerStore(store)
    images = ImageStore(store, layers)
    (tmp_path / "one").write_bytes(make_tar(regular("one.txt", b"first\n")))
    with (tmp_path / "one").open("rb") as source:
        layer = layers.register(source.fileno())
    document = {"os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]}}
    steps = [{"created": "2026-11-20T19:42:46Z", "created_by": "add\tone"}]
    parent = images.create(json.dumps({**document, "history": steps}).encode())
    steps.append({"comment": "more", "empty_layer": True})  # type: ignore[dict-item]  # JSON has both in one list
    child = images.create(json.dumps({**document, "history": steps}).encode())
    images.set_parent(child, parent)
    store.set_names(parent[7:], ["base"])
    return parent, child


def test_search_takes_the_beginning_of_an_id(cli: CommandLine, family: tuple[str, str]) -> None:
    """With the algorithm or without; names follow."""
    parent, child = family

    assert cli("search", parent[7:19]).ok().lines == [parent, "\tname: base"]
    assert cli("search", child[:20], parent).ok().lines == [child, parent, "\tname: base"]
    assert cli("search", "-j", parent).ok().json == [{"version": 1, "id": parent[7:], "names": ["base"]}]


@pytest.mark.parametrize("term", ["", "sha256:", "zz", "sha512:1"])
def test_what_no_id_begins_with_is_an_error(cli: CommandLine, family: tuple[str, str], term: str) -> None:
    """An empty term is not any image."""
    told = cli("search", term)

    assert (told.code, told.out) == (1, "")


def test_children_and_heads(cli: CommandLine, family: tuple[str, str]) -> None:
    """By name or ID."""
    parent, child = family

    assert cli("children", "base").ok().lines == [child]
    assert cli("children", child[7:]).ok().out == ""
    assert cli("heads").ok().lines == [child]
    assert cli("heads", "-j").ok().json == [{"version": 1, "id": child[7:], "names": []}]
    assert cli("children", "-j", parent[7:]).ok().json == [{"version": 1, "id": child[7:], "names": []}]
    assert cli("children", "nope").code == 1


def test_history_is_newest_first(cli: CommandLine, family: tuple[str, str]) -> None:
    """A step made an image, if it is known which; a tab in a command does not break the line."""
    parent, child = family

    assert cli("history", child[7:]).ok().lines == [
        f"{child}\t0\t\tmore",
        f"{parent}\t6\t2026-11-20T19:42:46Z\tadd\\tone",
    ]
    assert cli("history", "base").ok().lines == [f"{parent}\t6\t2026-11-20T19:42:46Z\tadd\\tone"]
    assert cli("history", "-j", "base").ok().json[0]["created_by"] == "add\tone"


def test_an_empty_store_has_no_heads(cli: CommandLine) -> None:
    """And none is made by asking."""
    assert cli("heads").ok().out == ""
    assert cli("heads", "-j").ok().json == []
