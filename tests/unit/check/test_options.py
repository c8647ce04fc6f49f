"""What a check looks at can be chosen, one thing after the other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cstore.check import CheckOptions, check_store
from cstore.errors import DriverUnusable
from cstore.store import NewContainer, NewImage, NewLayer, Store, open_store
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in which something is wrong with everything that a switch is for."""
    store = open_store(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="vfs")
    store.layers.put(NewLayer(id="layer"), make_tar(regular("file", b"right")))
    with open(tmp_path / "graph/vfs/dir/layer/file", "wb") as file:
        file.write(b"wrong")
    with open(tmp_path / "graph/vfs/dir/layer/more", "wb") as file:
        file.write(b"nobody imported this")
    store.layers.set_data("layer", "key", b"value")
    store.images.create(NewImage(id="image", layer="layer", data={"manifest": b"{}"}))
    store.containers.create(NewContainer(id="container", data={"key": b"value"}))
    for path in ("vfs-layers/layer/key", "vfs-images/image/manifest", "vfs-containers/container/key"):
        os.unlink(tmp_path / "graph" / path)
    return store


SWITCHES = {
    "layer_data": {"layer-data-missing"},
    "image_data": {"image-data-missing", "image-manifest-broken"},
    "container_data": {"container-data-missing"},
    "layer_contents": {"file-unexpected"},
    "layer_digests": {"file-unexpected", "file-changed"},
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_switch_leaves_out_its_own(store: Store, switch: str) -> None:
    """And nothing else."""
    everything = {finding.kind for finding in check_store(store).findings}
    some = {finding.kind for finding in check_store(store, CheckOptions().with_(**{switch: False})).findings}

    assert everything - some
    assert everything - some <= SWITCHES[switch]


@pytest.fixture
def overlay(tmp_path: Path) -> Store:
    """A store on overlay, with two layers."""
    if os.geteuid() != 0:
        pytest.skip("needs root: layers are mounted")
    store = open_store(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="overlay")
    try:
        store.context.driver.require()
    except DriverUnusable as error:
        pytest.skip(error.message)
    store.layers.put(NewLayer(id="below"), make_tar(regular("file", b"1")))
    store.layers.put(NewLayer(id="above", parent="below"), make_tar(regular("file", b"2")))
    return store


def test_a_layer_is_mounted_to_see_whether_it_can_be(overlay: Store) -> None:
    """Where nobody sees it; what cannot be mounted is a finding."""
    options = CheckOptions(layer_mountable=True, layer_digests=False)
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        before = file.read()
    assert [each for each in check_store(overlay, options).findings if each.severity.is_serious] == []
    with open(os.path.join(overlay.config.graph_root, "overlay/above/lower"), "w", encoding="ascii") as file:
        file.write("l/NOWHERE")

    found = {(each.kind, each.subject.id) for each in check_store(overlay, options).findings}

    assert ("layer-unreadable", "above") in found
    assert ("layer-unreadable", "below") not in found
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        assert file.read() == before
