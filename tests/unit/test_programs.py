"""Twelve programs that somebody would write with the library, each as short as one would hope."""

from __future__ import annotations

import io
import json
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import cstore
from cstore import NewContainer, NewImage, NewLayer, open_store
from cstore.insight import Rules, plan_prune, remove
from cstore.transfer import SaveRequest, load, save
from tests.builders import make_tar, regular

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Runner, StoreRoots

ARCHIVE = make_tar(regular("file", b"text"))
OTHER = make_tar(regular("other", b"more"))


@pytest.fixture
def store(store_roots: StoreRoots, private_config: str, monkeypatch: pytest.MonkeyPatch) -> cstore.Store:
    """1. Open a store by its path."""
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", private_config)
    return open_store(graph_root=store_roots.graph, run_root=store_roots.run, driver="vfs")


def _feed(pipe: int) -> None:
    with open(pipe, "wb") as file:
        file.write(ARCHIVE)


def test_2_put_a_layer_from_a_path_bytes_a_pipe(store: cstore.Store, tmp_path: Path) -> None:
    """And from anything that can be read."""
    (tmp_path / "layer.tar").write_bytes(ARCHIVE)
    reading, writing = os.pipe()
    feeding = threading.Thread(target=_feed, args=(writing,))
    feeding.start()

    sources = (str(tmp_path / "layer.tar"), ARCHIVE, reading, io.BytesIO(ARCHIVE))
    layers = [store.layers.put(NewLayer(), source) for source in sources]

    feeding.join()
    os.close(reading)
    assert {layer.diff_size for layer in layers} == {len(ARCHIVE)}


def test_3_export_to_a_file_and_to_an_uploader(store: cstore.Store, tmp_path: Path) -> None:
    """Whatever has a `write` will do."""
    layer = store.layers.put(NewLayer(), ARCHIVE)
    uploader = io.BytesIO()

    store.layers.diff(layer.id, str(tmp_path / "copy.tar"))
    store.layers.diff(layer.id, uploader)

    assert (tmp_path / "copy.tar").read_bytes() == uploader.getvalue() == ARCHIVE


def test_4_list_with_sizes_and_dates(store: cstore.Store) -> None:
    """A size may be unknown; a date is a datetime."""
    store.layers.put(NewLayer(names=("base",)), ARCHIVE)
    store.layers.create(NewLayer())

    rows = [(layer.names, layer.known_size, layer.created_at) for layer in store.layers.list()]

    assert [row[:2] for row in rows] == [(("base",), len(ARCHIVE)), ((), None)]
    assert all(made is not None and made <= datetime.now(UTC) for _, _, made in rows)


def test_5_changes(store: cstore.Store) -> None:
    """As texts."""
    base = store.layers.put(NewLayer(), ARCHIVE)
    top = store.layers.put(NewLayer(parent=base.id), OTHER)

    assert [(change.kind.name, change.text) for change in store.layers.changes(top.id)] == [("ADD", "/other")]


def test_6_mount_in_a_with(store: cstore.Store) -> None:
    """It is mounted inside and not behind."""
    layer = store.layers.put(NewLayer(names=("base",)), ARCHIVE)

    with store.mounting("base") as path, open(os.path.join(path, "file"), encoding="utf-8") as file:
        assert file.read() == "text"
    assert store.mount_count(layer.id) == 0


def test_7_check_repair_undo(store: cstore.Store, store_roots: StoreRoots) -> None:
    """What a repair changed can be brought back."""
    store.layers.put(NewLayer(names=("base",)), ARCHIVE)
    with open(store_roots.records, "wb"):
        pass
    store = open_store(graph_root=store_roots.graph, run_root=store_roots.run, driver="vfs", degraded=True)

    assert store.check().serious
    repaired = store.repair()
    assert repaired.healed
    assert not store.check().serious
    store.quarantine.undo(repaired.case)
    assert os.path.getsize(store_roots.records) == 0


def test_8_load_and_save(store: cstore.Store, tmp_path: Path) -> None:
    """From one archive into another."""
    from tests.unit.transfer.archives import as_tar, docker_archive

    archive = tmp_path / "image.tar"
    archive.write_bytes(as_tar(docker_archive()))
    image = load(store, str(archive)).images[0]
    save(store, SaveRequest(image.names), str(tmp_path / "again.tar"))

    assert load(store, str(tmp_path / "again.tar")).images[0].id == image.id


def test_9_prune_what_nothing_uses(store: cstore.Store) -> None:
    """Planned, then done."""
    used, unused = (store.images.create(NewImage(layer=store.layers.create(NewLayer()).id)) for _ in range(2))
    store.containers.create(NewContainer(image=used.id))

    remove(store, plan_prune(store, Rules()).plan)

    assert [image.id for image in store.images.list()] == [used.id]
    assert store.images.find(unused.id) is None


def test_10_the_layers_of_an_image(store: cstore.Store) -> None:
    """From the top down."""
    base = store.layers.put(NewLayer(), ARCHIVE)
    top = store.layers.put(NewLayer(parent=base.id), OTHER)
    image = store.images.create(NewImage(layer=top.id))

    assert [layer.id for layer in store.layers.chain(image.layer)] == [top.id, base.id]


def _import(roots: tuple[str, str], name: str) -> str:
    store = open_store(graph_root=roots[0], run_root=roots[1], driver="vfs")
    return store.layers.put(NewLayer(names=(name,)), make_tar(regular(name, b"x"))).id


def test_11_imports_in_a_pool_of_processes(store: cstore.Store, store_roots: StoreRoots) -> None:
    """Each opens the store for itself; a failure comes back as it was."""
    roots = (store_roots.graph, store_roots.run)
    with ProcessPoolExecutor(2) as pool:
        made = list(pool.map(_import, [roots] * 6, "abcdef"))
        again = pool.submit(_import, roots, "a")
        with pytest.raises(cstore.errors.NameTaken, match="that name is already in use"):
            again.result()

    assert sorted(made) == sorted(store.layers.ids())


def test_12_a_dump_like_the_commands(store: cstore.Store, run: Runner) -> None:
    """The same keys, the same values."""
    layer = store.layers.put(NewLayer(names=("base",)), ARCHIVE)
    image = store.images.create(NewImage(layer=layer.id, names=("app",)))
    container = store.containers.create(NewContainer(image=image.id))

    for command, record in (("layer", layer), ("image", image), ("container", container)):
        told = json.loads(run(command, "--json", record.id).ok().stdout)
        assert told == [json.loads(json.dumps(record.document()))]


def test_misuse_is_told_by_the_name_of_the_argument(store: cstore.Store) -> None:
    """Before anything is done."""
    wrong: Any
    for wrong in ({"names": "app"}, {"nmaes": ("app",)}):
        with pytest.raises(TypeError, match=next(iter(wrong))):
            NewLayer(**wrong)
    with pytest.raises(TypeError, match="names"):
        store.set_names("base", "app")
    with pytest.raises(cstore.CstoreError, match="graph root"):
        open_store(cstore.StoreConfig(driver="vfs"))
