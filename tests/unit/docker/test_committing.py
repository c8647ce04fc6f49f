"""An image of a writable layer: its layer, its config and its notes come together, or none of them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.docker import ImageStore, LayerStore
from tests.unit.docker.conftest import ONE
from tests.unit.store.test_image_crashes import each_crash, opened

if TYPE_CHECKING:
    from pathlib import Path

    from cstore.store import Store

PARENT = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["one"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(ONE).hexdigest()}"]},
        "history": [{"created": "2026-01-01T00:00:00Z"}],
    }
).encode()
PARENT_ID = f"sha256:{hashlib.sha256(PARENT).hexdigest()}"


def prepare(store: Store) -> None:
    """Make an image of one layer, and a writable layer on it with a file more."""
    layers = LayerStore(store)
    base = layers.register(io.BytesIO(ONE))
    ImageStore(store, layers).create(PARENT)
    box = layers.writable.create("box", base.chain_id)
    with open(os.path.join(box.mount(), "new"), "w", encoding="utf-8") as file:
        file.write("fresh")
    box.unmount()


def commit(store: Store) -> str:
    """Make an image of it."""
    layers = LayerStore(store)
    return ImageStore(store, layers).commit(layers.writable.get("box"), PARENT_ID, comment="more")


@pytest.mark.slow
def test_a_killed_commit_leaves_the_image_with_all_that_is_its_own_or_nothing(tmp_path: Path) -> None:
    """Before whichever step: after the next writer no layer waits for an image, and it can be committed again."""
    prepare(opened(str(tmp_path / "original")))

    def copy(store: Store) -> None:
        shutil.copytree(tmp_path / "original", os.path.dirname(store.config.graph_root), symlinks=True)

    seen = set()
    for store in each_crash(tmp_path, copy, commit, sync=False):
        store.gc()
        images = ImageStore(store, LayerStore(store))
        made = [image for image in store.images.list() if f"sha256:{image.id}" != PARENT_ID]
        seen.add(len(made))
        assert len(store.layers.list()) == 2 + len(made)  # with the writable one
        for image in made:
            assert images.parent(f"sha256:{image.id}") == PARENT_ID
        identifier = commit(store)
        assert images.parent(identifier) == PARENT_ID
    assert seen == {0, 1}
