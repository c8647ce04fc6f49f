"""Mounts are counted, and the count is true."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.errors import LayersMounted, LayerUnknown
from cstore.store import NewLayer, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_as_many_unmounts_as_mounts(store: Store, reopen: Callable[[], Store]) -> None:
    """The count is shared by all processes."""
    store.layers.create(NewLayer(id="it", names=("name",)))
    path = store.mount("it")

    assert reopen().mount("name") == path
    assert store.mounted("it")
    assert store.unmount("it") is True
    assert store.mounted("it")
    assert reopen().unmount("it") is False
    assert not store.mounted("it")


def test_the_count_can_be_asked_for(store: Store) -> None:
    """By every name of the layer; what is not mounted is mounted no times."""
    store.layers.create(NewLayer(id="it", names=("name",)))
    assert store.mount_count("it") == 0
    store.mount("it")
    store.mount("it")

    assert (store.mount_count("name"), store.mount_count("it")) == (2, 2)
    store.unmount("it")
    assert store.mount_count("it") == 1
    with pytest.raises(LayerUnknown):
        store.mount_count("nothing")


def test_force_takes_all_mounts_back(store: Store) -> None:
    """However many there are."""
    store.layers.create(NewLayer(id="it"))
    for _ in range(3):
        store.mount("it")
    assert store.unmount("it", force=True) is False
    assert not store.mounted("it")


def test_a_mount_point_names_its_layer(store: Store) -> None:
    """What `mount` printed is good enough for `unmount`."""
    store.layers.create(NewLayer(id="it"))
    assert store.unmount(store.mount("it")) is False
    assert not store.mounted("it")


def test_unmounting_what_is_not_mounted_is_no_error(store: Store) -> None:
    """But an unknown layer is one."""
    store.layers.create(NewLayer(id="it"))
    assert store.unmount("it") is False
    with pytest.raises(LayerUnknown):
        store.unmount("nothing")


def test_a_reboot_forgets_mounts(store: Store, tmp_path: Path) -> None:
    """The counts live in the run root."""
    store.layers.create(NewLayer(id="it"))
    store.mount("it")
    store.mount("it")
    shutil.rmtree(tmp_path / "run")

    assert not store.mounted("it")
    store.mount("it")
    assert store.unmount("it") is False


def test_shutdown_waits_for_mounts_unless_forced(store: Store, graph: str) -> None:
    """Refused it changes nothing; forced it unmounts and succeeds."""
    store.layers.create(NewLayer(id="it"))
    store.mount("it")

    with pytest.raises(LayersMounted):
        store.shutdown()
    assert store.mounted("it")
    assert list(store.shutdown(force=True)) == ["it"]
    assert not store.mounted("it")
    assert list(store.shutdown()) == []
    assert os.stat(os.path.join(graph, "storage.lock")).st_size == 64


def test_an_unmapped_layer_has_no_foreign_parent_owners(store: Store) -> None:
    """Whatever owns the directories above it."""
    store.layers.create(NewLayer(id="it"))
    assert store.layers.parent_owners("it") == ([], [])
