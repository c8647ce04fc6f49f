"""A directory as a layer's contents, on overlay: the layer is what the directory was, or what it was before."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.errors import InvalidID, SystemFailure, Unsupported
from cstore.store import NewLayer, Store, open_store
from tests.builders import listing
from tests.mounts import detach_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("needs_root")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration that allows it."""
    path = tmp_path / "storage.conf"
    path.write_text(
        '[storage]\ndriver = "overlay"\n[storage.options]\npull_options = {enable_partial_images = "true"}\n'
    )
    return path


def opened(config: Path, driver: str = "overlay") -> Store:
    """The test's store."""
    top = config.parent
    overrides = Overrides(graph_root=str(top / "graph"), run_root=str(top / "run"), driver=driver, lock_timeout=20)
    environ = {"HOME": str(top), "CONTAINERS_STORAGE_CONF": str(config)}
    return open_store(load_config(overrides, environ=environ))


@pytest.fixture
def store(config: Path) -> Iterator[Store]:
    """The test's store; its mounts go with the test."""
    yield opened(config)
    detach_all(str(config.parent))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a file, a link, and a file of another owner."""
    top = tmp_path / "tree"
    (top / "d").mkdir(parents=True)
    (top / "d" / "file").write_bytes(b"contents")
    os.chown(top / "d" / "file", 1000, 1001)
    os.link(top / "d" / "file", top / "hard")
    os.symlink("/etc", top / "link")
    return top


def test_a_layer_is_made_of_a_directory(store: Store, tree: Path) -> None:
    """It holds what the directory holds, and its record and its export agree."""
    layer = store.layers.put_directory("new", str(tree))

    assert (layer.id, layer.parent, layer.uids, layer.gids) == ("new", "", (0, 1000), (0, 1001))
    sink = io.BytesIO()
    store.layers.diff("new", sink)
    assert len(sink.getvalue()) == layer.diff_size
    assert listing(store.mount("new")) == listing(str(tree))


def test_what_a_layer_changed_before_is_replaced(store: Store, tree: Path) -> None:
    """Its parent shows through where it hides it no more, and its children follow."""
    store.layers.put_directory("base", str(tree))
    (tree / "second").mkdir()
    (tree / "second" / "more").write_bytes(b"more")
    store.layers.create(NewLayer(id="middle", parent="base", names=("name",)))
    store.layers.create(NewLayer(id="child", parent="middle"))
    first = store.layers.put_directory("name", str(tree / "d"))
    second = store.layers.put_directory("name", str(tree / "second"))

    assert first.created == second.created
    assert [change.path for change in store.layers.changes("middle")] == [b"/more"]
    assert sorted(os.listdir(store.mount("child"))) == ["d", "hard", "link", "more"]


@pytest.mark.parametrize("wrong", ["nope", "tree/hard"])
def test_what_is_no_directory_makes_no_layer(store: Store, tree: Path, wrong: str) -> None:
    """The peer makes an empty one."""
    with pytest.raises(SystemFailure):
        store.layers.put_directory("new", str(tree.parent / wrong))

    assert store.layers.list() == []


def test_an_id_that_could_leave_the_store_is_refused(store: Store, tree: Path) -> None:
    """Nothing is made."""
    with pytest.raises(InvalidID):
        store.layers.put_directory("../new", str(tree))


def test_it_must_be_allowed_and_possible(config: Path, tree: Path) -> None:
    """By the configuration, and by the driver; in the peer's words."""
    with pytest.raises(Unsupported) as caught:
        opened(config, "vfs").layers.put_directory("new", str(tree))
    assert caught.value.go_text == "graph driver vfs does not support partial pull"
    config.write_text('[storage]\ndriver = "overlay"\n')
    with pytest.raises(Unsupported) as caught:
        opened(config).layers.put_directory("new", str(tree))
    assert caught.value.go_text == "partial images are disabled"
