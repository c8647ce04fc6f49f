"""Archives in and out, and changes between layers, through the library."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from cstore.archive.compression import Compression
from cstore.errors import ArchiveError, ContentDamaged, DriverError, LayerChanged, LayerUnknown, ParentUnknown
from cstore.store import NewLayer, Store
from tests.builders import compress, flip_byte_of, make_tar, regular, typical_tar
from tests.unit.store.conftest import kept

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.store.conftest import Import

Apply = Callable[[str, bytes], int]


class Collected:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes | memoryview, /) -> None:
        self.data += data


def diff(store: Store, layer: str, reference: str = "", compression: Compression | None = None) -> bytes:
    sink = Collected()
    store.layers.diff(layer, sink, reference, compression)
    return bytes(sink.data)


def test_the_imported_archive_comes_out_byte_for_byte(store: Store, put: Import) -> None:
    """Whatever it was compressed with."""
    archive = typical_tar()
    put(compress(archive, "zstd"), id="it")

    assert diff(store, "it", compression=Compression.NONE) == archive
    assert diff(store, "it")[:4] == bytes.fromhex("28b52ffd")


def test_a_changed_file_stops_the_diff(store: Store, put: Import) -> None:
    """The archive is not given back with other contents than it had."""
    put(make_tar(regular("f", b"contents")), id="it")
    flip_byte_of(os.path.join(store.mount("it"), "f"))

    with pytest.raises(ContentDamaged, match="f"):
        diff(store, "it", compression=Compression.NONE)


def test_a_diff_against_an_ancestor_spans_the_layers_between(store: Store, put: Import) -> None:
    """Everything that came after the ancestor is in it."""
    put(make_tar(regular("one", b"1")), id="a")
    put(make_tar(regular("two", b"2")), id="b", parent="a")
    put(make_tar(regular("three", b"3")), id="c", parent="b")

    assert [change.path for change in store.layers.changes("c", "a")] == [b"/three", b"/two"]
    archive = diff(store, "c", "a", Compression.NONE)
    assert b"three" in archive
    assert b"two" in archive
    assert b"one" not in archive


def test_an_unknown_reference_is_an_error(store: Store) -> None:
    """It is not silently taken for the parent."""
    store.layers.create(NewLayer(id="it"))
    with pytest.raises(LayerUnknown, match="nothing"):
        store.layers.changes("it", "nothing")


def test_an_applied_diff_is_recorded(store: Store, apply: Apply) -> None:
    """The layer is as if it had been imported."""
    archive = typical_tar()
    store.layers.create(NewLayer(id="it"))
    size = apply("it", compress(archive, "gzip"))

    assert size + len("usr/bin") == store.layers.diff_size("it"), "which counts the text of the symbolic link, too"
    assert store.layers.get("it").compression == Compression.GZIP
    assert diff(store, "it", compression=Compression.NONE) == archive


def test_a_failed_apply_leaves_no_trace(store: Store, put: Import, apply: Apply, graph: str) -> None:
    """Tree, record and tar-split are the old ones, to the last byte and time."""
    put(typical_tar(), id="it")
    before = kept(graph)
    with pytest.raises(ArchiveError):
        apply("it", make_tar(regular("new", b"x" * 5000))[:3000])
    assert kept(graph) == before


def test_data_items_are_kept_in_order(store: Store) -> None:
    """Setting one again replaces its value, not its place."""
    store.layers.create(NewLayer(id="it"))
    for key, value in (("b", b"1"), ("odd name/é", b"2"), ("b", b"3")):
        store.layers.set_data("it", key, value)

    assert store.layers.data_names("it") == ("b", "odd name/é")
    assert store.layers.get_data("it", "b") == b"3"
    assert store.layers.get_data("it", "odd name/é") == b"2"


def test_two_diffs_applied_at_once_do_not_lose_one(
    store: Store, reopen: Callable[[], Store], tmp_path: Path, apply: Apply
) -> None:
    """Who comes second is told, as what was prepared knows nothing of the first."""
    store.layers.create(NewLayer(id="it"))
    first, second = (make_tar(regular(name, b"x")) for name in ("first", "second"))
    reading, writing = os.pipe()
    os.write(writing, first[:512])
    failures: list[Exception] = []

    def slowly() -> None:
        try:
            reopen().layers.apply_diff("it", reading)
        except (LayerChanged, DriverError) as error:  # the second, if the tree went while it was still being copied
            failures.append(error)

    thread = threading.Thread(target=slowly)
    thread.start()
    while not list(tmp_path.glob("graph/cstore-staging/vfs/temp-dir-*/tree")):
        time.sleep(0.01)
    apply("it", second)
    os.write(writing, first[512:])
    os.close(writing)
    thread.join()
    os.close(reading)

    assert len(failures) == 1
    assert os.listdir(store.mount("it")) == ["second"]


def test_what_is_written_into_a_mounted_layer_meanwhile_is_not_lost(store: Store, put: Import, graph: str) -> None:
    """The archive is not applied then: the old tree would go, and what was written with it."""
    put(typical_tar(), id="it")
    mounted = store.mount("it")
    archive = make_tar(regular("new", b"text"))

    def apply_while(act: Callable[[], None]) -> None:
        reading, writing = os.pipe()

        def feed() -> None:
            act()
            with os.fdopen(writing, "wb") as stream:
                stream.write(archive)

        feeder = threading.Timer(0.5, feed)
        feeder.start()
        try:
            store.layers.apply_diff("it", reading)
        finally:
            feeder.join()
            os.close(reading)

    def write() -> None:
        with open(os.path.join(mounted, "written"), "w", encoding="utf-8") as file:
            file.write("text")

    with pytest.raises(LayerChanged):
        apply_while(write)
    assert os.path.exists(os.path.join(mounted, "written"))
    assert not os.path.exists(os.path.join(mounted, "new"))
    apply_while(lambda: None)
    assert {"written", "new"} <= set(os.listdir(os.path.join(graph, "vfs", "dir", "it")))


def test_a_layer_is_not_compared_with_a_parent_that_nobody_knows(store: Store, put: Import, graph: str) -> None:
    """Its own archive is still given back: that takes no parent."""
    put(typical_tar(), id="below")
    archive = make_tar(regular("new", b"text"))
    put(archive, id="above", parent="below")
    store.layers.create(NewLayer(id="made", parent="below"))
    records = os.path.join(graph, "vfs-layers", "layers.json")
    with open(records, encoding="utf-8") as file:
        kept_ones = [record for record in json.load(file) if record["id"] != "below"]
    with open(records, "w", encoding="utf-8") as file:
        json.dump(kept_ones, file)

    for compare in (store.layers.changes, store.layers.diff_size, store.layers.chain):
        with pytest.raises(ParentUnknown, match="layer above has the parent 'below'"):
            compare("above")
    assert diff(store, "above") == archive
    with pytest.raises(ParentUnknown):
        diff(store, "made")


def test_a_diff_for_a_layer_that_was_deleted_meanwhile(
    store: Store, reopen: Callable[[], Store], tmp_path: Path
) -> None:
    """There is no such layer any more, and nothing of what was prepared stays."""
    store.layers.create(NewLayer(id="it"))
    archive = make_tar(regular("f", b"x"))

    class Source:
        def __init__(self) -> None:
            self.left = memoryview(archive)

        def readinto(self, buffer: memoryview, /) -> int:
            if len(self.left) == len(archive):
                reopen().layers.delete("it")
            count = min(len(buffer), len(self.left))
            buffer[:count], self.left = self.left[:count], self.left[count:]
            return count

    with pytest.raises(LayerUnknown):
        store.layers.apply_diff("it", Source())
    assert not list(tmp_path.glob("graph/vfs/dir/*"))
    assert not list(tmp_path.glob("graph/cstore-staging/vfs/temp-dir-*"))
