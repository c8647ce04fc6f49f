"""Killed before every record that is saved: what takes several of them is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.docker import ImageStore, LayerStore
from cstore.docker.engine_files import make_engine_files
from cstore.transfer import ImportRequest, import_image
from tests.builders import make_tar, regular
from tests.unit.store.test_image_crashes import RENAMES, each_crash, opened
from tests.unit.transfer.archives import config_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.store import Store

BASE, MORE, TOP = (make_tar(regular(name, name.encode())) for name in ("base", "more", "top"))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A chain of two layers, an image of the lower one, and a writable layer on each."""
    root = str(tmp_path_factory.mktemp("prepared"))
    store = opened(root, sync=False)
    images, layers = ImageStore(store), LayerStore(store)
    base = layers.register(BASE)
    images.create(config_of([BASE]))
    layers.writable.create("changed", base.chain_id).apply_diff(TOP)
    layers.writable.create("idle", layers.register(MORE, base.chain_id).chain_id, init=make_engine_files)
    return root


def import_it(store: Store) -> None:
    """One layer, one image, one name."""
    import_image(store, MORE, ImportRequest(name="it"))


def commit(store: Store) -> None:
    """One layer, one image with notes, two names."""
    images, layers = ImageStore(store), LayerStore(store)
    (parent,) = images.map()
    ImageStore(store, layers).commit(layers.writable.get("changed"), parent, names=("it", "it:2"))


def register(store: Store) -> None:
    """One image with a note, two names."""
    ImageStore(store).register(config_of([BASE, MORE]), names=("it", "it:2"), built_locally=True)


def create_writable(store: Store) -> None:
    """Two layers, of which the lower one has no name."""
    layers = LayerStore(store)
    below = layers.writable.get("idle").parent
    layers.writable.create("fresh", "" if below is None else below.chain_id, init=make_engine_files)


def delete_writable(store: Store) -> None:
    """Three layers: the writable one, that below it, and the one that only they needed."""
    layers = LayerStore(store)
    layers.writable.release(layers.writable.get("idle"))


def told(store: Store) -> tuple[object, ...]:
    """What the records say, whatever the IDs."""
    images = ImageStore(store)
    layers = sorted((layer.names, layer.diff_digest, bool(layer.parent)) for layer in store.layers.list())
    return layers, sorted((image.names, images.built_locally(image.id)) for image in store.images.list())


@pytest.mark.parametrize("work", [import_it, commit, register, create_writable, delete_writable])
def test_all_of_it_or_nothing(prepared: str, tmp_path: Path, work: Callable[[Store], None]) -> None:
    """A crash leaves the old store or the new one to whoever comes after the next writer."""

    def copy(store: Store) -> None:
        shutil.copytree(prepared, os.path.dirname(store.config.graph_root), symlinks=True)

    seen: list[tuple[object, ...]] = []
    for store in each_crash(tmp_path, copy, work, RENAMES, sync=False):
        store.gc()  # a writer, which concludes
        seen.append(told(store))
    if seen[-1] == seen[0]:
        work(store)

    assert {*map(str, seen)} <= {str(seen[0]), str(told(store))}
    assert told(store) != seen[0]
