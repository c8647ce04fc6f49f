"""Additional stores, separate image stores and transient stores through the library."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from cstore.archive.compression import Compression
from cstore.check import check_store
from cstore.config import Overrides, load_config
from cstore.errors import DriverError, ReadOnlyStore
from cstore.store import NewImage, NewLayer, Store, open_store
from tests.builders import listing, make_tar, regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | memoryview, /) -> None:
        self.data += data


@pytest.fixture
def open_at(tmp_path: Path) -> Callable[..., Store]:
    """Open a store in a named directory of the test, with more settings."""

    def open_it(name: str, **settings: Any) -> Store:
        overrides = Overrides(
            graph_root=str(tmp_path / name), run_root=str(tmp_path / f"{name}-run"), driver="vfs", **settings
        )
        return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))

    return open_it


def put(store: Store, tmp_path: Path, archive: bytes, **request: Any) -> str:
    path = tmp_path / "archive.tar"
    path.write_bytes(archive)
    fd = os.open(path, os.O_RDONLY)
    try:
        return store.layers.put(NewLayer(**request), fd).id
    finally:
        os.close(fd)


ARCHIVE = make_tar(regular("shared", b"1"))


@pytest.fixture
def store(tmp_path: Path, open_at: Callable[..., Store]) -> Store:
    """An empty store that looks into one with a layer."""
    extra = open_at("extra")
    put(extra, tmp_path, ARCHIVE, id="base", names=("the-base",))
    extra.images.create(NewImage(id="image", layer="base"))
    return open_at("own", driver_options=(f"vfs.imagestore={tmp_path / 'extra'}",))


def test_layers_of_an_additional_store_are_listed_and_found(store: Store) -> None:
    """By ID, name and prefix, and marked as read-only."""
    assert store.layers.ids() == ["base"]
    assert [store.layers.get(word).id for word in ("base", "the-base", "ba")] == ["base"] * 3
    assert store.layers.read_only("base")


def test_a_layer_builds_on_one_of_an_additional_store(store: Store, tmp_path: Path) -> None:
    """Its parent stays where it is."""
    put(store, tmp_path, make_tar(regular("own", b"2")), id="child", parent="the-base")

    assert sorted(os.listdir(store.mount("child"))) == ["own", "shared"]
    assert [change.path for change in store.layers.changes("child")] == [b"/own"]
    assert not store.layers.read_only("child")


def test_an_additional_layer_is_exported_exactly(store: Store) -> None:
    """From the tar-split that lies beside it there."""
    sink = Collected()
    store.layers.diff("base", sink, compression=Compression.NONE)
    assert bytes(sink.data) == ARCHIVE


def test_an_additional_store_is_only_read(store: Store, tmp_path: Path) -> None:
    """No mount, no name, no deletion, and not a file is made there."""
    before = listing(str(tmp_path / "extra"))
    writes: list[Callable[[], object]] = [
        lambda: store.mount("base"),
        lambda: store.set_names("base", ["mine"]),
        lambda: store.add_names("base", ["mine"]),
        lambda: store.remove_names("base", ["the-base"]),
        lambda: store.set_metadata("base", "text"),
        lambda: store.layers.delete("base"),
        lambda: store.delete("the-base"),
        lambda: store.layers.set_data("base", "key", b""),
        lambda: store.layers.apply_diff("base", ARCHIVE),
        lambda: store.images.delete("image"),
        lambda: store.images.set_data("image", "key", b""),
        lambda: store.set_metadata("image", "text"),
        lambda: store.delete("image"),
    ]
    for write in writes:
        with pytest.raises(ReadOnlyStore, match="called a write method on a read-only store"):
            write()
    store.gc()
    store.wipe()

    assert store.layers.ids() == ["base"]
    assert listing(str(tmp_path / "extra")) == before


@pytest.fixture
def read_only_media(tmp_path: Path, store: Store) -> Iterator[None]:
    """Mount the additional store read-only."""
    if os.geteuid() != 0:
        pytest.skip("needs root: a read-only mount is made")
    path = str(tmp_path / "extra")
    subprocess.run(["mount", "--bind", path, path], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
    yield
    subprocess.run(["umount", path], check=True)


@pytest.mark.usefixtures("read_only_media")
def test_an_additional_store_may_lie_on_read_only_media(store: Store, tmp_path: Path) -> None:
    """Also as the parent of a new layer."""
    put(store, tmp_path, make_tar(regular("own", b"2")), id="child", parent="base")
    assert sorted(os.listdir(store.mount("child"))) == ["own", "shared"]


def test_a_missing_additional_store_is_refused(tmp_path: Path, open_at: Callable[..., Store]) -> None:
    """A typo is told, not made into a directory."""
    with pytest.raises(DriverError, match="typo"):
        open_at("own", driver_options=(f"vfs.imagestore={tmp_path / 'typo'}",))
    assert not (tmp_path / "typo").exists()


def test_read_only_layers_go_to_the_image_store(tmp_path: Path, open_at: Callable[..., Store]) -> None:
    """Record and tree there, tar-split in the graph root; writable layers stay in the graph root."""
    images = tmp_path / "images"
    store = open_at("own", image_store=str(images))
    put(store, tmp_path, ARCHIVE, id="base", read_only=True)
    store.layers.create(NewLayer(id="child", parent="base"))

    assert (images / "vfs" / "dir" / "base" / "shared").exists()
    assert b'"base"' in (images / "vfs-layers" / "layers.json").read_bytes()
    assert (tmp_path / "own" / "vfs-layers" / "base.tar-split.gz").exists()
    assert (tmp_path / "own" / "vfs" / "dir" / "child" / "shared").exists()
    assert store.layers.ids() == ["child", "base"]
    assert not store.layers.read_only("base")

    store.layers.delete("child")
    store.layers.delete("base")
    assert os.listdir(images / "vfs" / "dir") == []
    assert store.layers.ids() == []


def test_volatile_layers_of_a_transient_store_live_under_the_run_root(
    tmp_path: Path, open_at: Callable[..., Store]
) -> None:
    """A reboot forgets their records; until then they are no leftovers, whoever looks."""
    transient = open_at("own", transient_store=True)
    transient.layers.create(NewLayer(id="passing", volatile=True))
    plain = open_at("own")

    assert transient.layers.ids() == ["passing"]
    assert plain.layers.ids() == []
    assert plain.gc() == []
    assert transient.layers.ids() == ["passing"]
    assert os.path.exists(tmp_path / "own-run" / "vfs-layers" / "volatile-layers.json")


def test_check_tells_of_a_name_that_an_additional_store_has_twice(store: Store, tmp_path: Path) -> None:
    """The later record answers to it, there as here; only that store's own repair may change it."""
    for kind in ("layer", "image"):
        path = tmp_path / "extra" / f"vfs-{kind}s" / f"{kind}s.json"
        records = json.loads(path.read_bytes())
        twice = {**records[0], "names": ["twice"]}
        path.write_text(json.dumps([{**twice, "id": "other"}, twice]))

    found = [each for each in check_store(store).findings if each.kind == "duplicate-name"]

    assert [(each.subject.kind, each.subject.id) for each in found] == [("layer", "other"), ("image", "other")]
    assert all(each.read_only and each.store == str(tmp_path / "extra") for each in found)
