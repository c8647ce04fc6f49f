"""Who has a store open sees what others write to it, without being told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore.config import Overrides, load_config
from cstore.store import NewImage, NewLayer, Store, open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_record_file_that_was_replaced_is_read_again(store: Store, reopen: Callable[[], Store]) -> None:
    """Of each kind, also after it was read once."""
    other = reopen()
    store.layers.create(NewLayer(id="one"))
    assert [layer.id for layer in other.layers.list()] == ["one"]
    store.layers.create(NewLayer(id="two"))
    store.images.create(NewImage(id="image", layer="two"))

    assert [layer.id for layer in other.layers.list()] == ["one", "two"]
    assert [image.id for image in other.images.list()] == ["image"]
    store.images.delete("image")
    assert other.images.list() == []


def test_so_is_that_of_an_additional_store(store: Store, graph: str, tmp_path: Path) -> None:
    """Its owner may change it at any time."""
    roots = Overrides(graph_root=str(tmp_path / "own"), run_root=str(tmp_path / "own-run"), driver="vfs")
    config = load_config(roots, environ={"HOME": str(tmp_path)})
    store.layers.create(NewLayer(id="one"))
    above = open_store(config.with_(driver_options=(f"vfs.imagestore={graph}",)))
    assert [layer.id for layer in above.layers.list()] == ["one"]
    store.layers.create(NewLayer(id="two"))

    assert [layer.id for layer in above.layers.list()] == ["one", "two"]
