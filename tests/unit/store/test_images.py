"""Images found, measured, mounted, renamed, and taken over from stores that are only read."""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

import pytest

from cstore.config import Overrides, load_config
from cstore.errors import (
    ImageUnknown,
    InvalidDigest,
    InvalidOption,
    LayerMissing,
    LayerUnknown,
    NotAnImage,
    ReadOnlyStore,
    RecordsDamaged,
)
from cstore.idmap import IDMap, IDRange
from cstore.store import NewImage, NewLayer, Store, open_store
from tests.builders import digest, listing, make_tar, regular
from tests.unit.store.test_extra_stores import put as put_into
from tests.unit.store.test_removal import write_records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.store.conftest import Import

ARCHIVE = make_tar(regular("file", b"12345"))


# ── found ──


def test_images_are_found_by_their_digests(store: Store) -> None:
    """Their own and those of all their manifests, but not of other data."""
    store.images.create(NewImage(id="i1", data={"manifest": b"1", "manifest-other": b"2", "config": b"3"}))
    store.images.create(NewImage(id="i2", digest=digest(b"1")))

    assert [image.id for image in store.images.by_digest(digest(b"1"))] == ["i1", "i2"]
    assert [image.id for image in store.images.by_digest(digest(b"2"))] == ["i1"]
    assert store.images.by_digest(digest(b"3")) == []
    with pytest.raises(InvalidDigest):
        store.images.by_digest("nonsense")


def test_images_are_found_by_their_top_layers(store: Store, graph: str) -> None:
    """Mapped layers count, ancestors do not."""
    for layer in ("base", "top", "mapped"):
        store.layers.create(NewLayer(id=layer))
    record: dict[str, Any] = {"id": "i1", "layer": "top", "mapped-layers": ["mapped"]}
    write_records(graph, "image", [record])

    assert [image.id for image in store.images.by_top_layer("map")] == ["i1"]
    assert store.images.by_top_layer("base") == []
    with pytest.raises(LayerUnknown):
        store.images.by_top_layer("nothing")


def test_an_image_with_a_bad_digest_is_still_shown(store: Store, graph: str) -> None:
    """Its other digests too; the file is reported."""
    broken = {"id": "i1", "big-data-digests": {"manifest": "sha256:1", "manifest-2": digest(b"2")}}
    write_records(graph, "image", [{**broken, "created": "2026-01-01T00:00:00Z"}])

    degraded = open_store(store.config, degraded=True)
    assert degraded.images.digests(degraded.images.get("i1")) == (digest(b"2"),)
    assert [image.id for image in degraded.images.by_digest(digest(b"2"))] == ["i1"]
    assert "invalid checksum digest length" in degraded.flaws[0].message
    with pytest.raises(RecordsDamaged, match="invalid checksum digest length"):
        store.images.get("i1")


# ── measured ──


def test_an_image_is_as_big_as_its_layers_and_its_data(store: Store, put: Import) -> None:
    """Recorded sizes where there are some, else what is on disk; shared ancestors once."""
    put(ARCHIVE, id="base")
    store.layers.create(NewLayer(id="top", parent="base"))
    store.images.create(NewImage(id="i1", layer="base", data={"manifest": b"123"}))
    store.images.create(NewImage(id="i2", layer="top"))

    assert store.images.size("i1") == len(ARCHIVE) + 3
    assert store.images.size("i2") == len(ARCHIVE)
    outlines = store.images.outlines(store.images.list())
    assert [(one.layers, one.size) for one in outlines] == [(1, len(ARCHIVE) + 3), (2, None)]


@pytest.mark.parametrize("layer", ["nowhere", "loop", "bas"])
def test_a_size_that_cannot_be_told_is_an_error(store: Store, graph: str, layer: str) -> None:
    """A missing layer is named, and not taken for another whose ID begins so; a ring of parents ends."""
    store.layers.create(NewLayer(id="base"))
    path = os.path.join(graph, "vfs-layers", "layers.json")
    with open(path, encoding="utf-8") as file:
        records = json.load(file)
    sized = {"diff-digest": digest(b""), "diff-size": 1, "created": "2026-01-01T00:00:00Z"}
    records += [{"id": "loop", "parent": "pool", **sized}, {"id": "pool", "parent": "loop", **sized}]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(records, file)
    write_records(graph, "image", [{"id": "i1", "layer": layer, "created": "2026-01-01T00:00:00Z"}])

    if layer == "loop":
        assert (store.images.size("i1"), store.images.outlines(store.images.list())[0].size) == (2, 2)
        return
    with pytest.raises(LayerMissing) as caught:
        store.images.size("i1")
    assert caught.value.go_text == f'locating layer with ID "{layer}": layer not known'
    assert store.images.outlines(store.images.list())[0].size is None


# ── directories ──


def test_an_image_has_directories_of_its_own(store: Store, graph: str, tmp_path: Path) -> None:
    """Found by any word for it, made for the owner only."""
    store.images.create(NewImage(id="i1", names=("it",)))

    assert store.images.directory("it") == os.path.join(graph, "vfs-images", "i1", "userdata")
    assert store.images.run_directory("i") == str(tmp_path / "run" / "vfs-images" / "i1" / "userdata")
    for path in (store.images.directory("i1"), store.images.run_directory("i1")):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o700
    for word in ("nothing", "../..", ""):
        with pytest.raises(ImageUnknown):
            store.images.directory(word)
    store.images.create(NewImage(id="i2"))  # a directory without data is no sign of a lost record


# ── mounted ──


def test_a_mounted_image_shows_its_top_layer(store: Store, put: Import) -> None:
    """As often as it was mounted; an image without layers shows nothing."""
    put(ARCHIVE, id="base")
    store.images.create(NewImage(id="i1", names=("it",), layer="base"))
    store.images.create(NewImage(id="bare"))

    path = store.images.mount("it")
    assert (os.listdir(path), store.images.mount("i1")) == (["file"], path)
    assert store.mounted("base")
    assert [store.images.unmount("it") for _ in range(3)] == [True, False, False]
    with pytest.raises(LayerUnknown):
        store.images.mount("bare")
    with pytest.raises(ImageUnknown):
        store.images.unmount("nothing")
    with pytest.raises(InvalidOption):
        store.images.mount("it", options=("nodev,rw",))


@pytest.mark.usefixtures("needs_root")
def test_a_mapped_image_is_mounted_as_it_was_made(store: Store, put: Import) -> None:
    """Its top layer has other owners, so a mapped layer without them is made, once, which goes with the image."""
    mapped = IDMap((IDRange(0, 100_000, 65_536),), (IDRange(0, 100_000, 65_536),))
    put(make_tar(regular("file", b"1", uid=7, gid=8)), id="base", id_map=mapped)
    store.images.create(NewImage(id="i1", layer="base"))

    about = os.stat(os.path.join(store.images.mount("i1"), "file"))
    assert (about.st_uid, about.st_gid) == (7, 8)
    assert store.images.unmount("i1") is False
    store.images.mount("i1")
    (mapped_layer,) = store.images.get("i1").mapped_layers
    assert store.mounted(mapped_layer)
    assert store.images.delete("i1") == (mapped_layer, "base")
    assert store.layers.ids() == []


# ── renamed ──


def test_names_leave_a_history(store: Store, graph: str) -> None:
    """The example of the format's description: an image called c gets x and a."""
    store.images.create(NewImage(id="i1"))
    store.set_names("i1", ["c"])
    store.add_names("i1", ["x", "a"])

    image = store.images.get("x")
    assert (image.names, image.names_history) == (("x", "a", "c"), ("c", "a", "x"))


def test_a_name_moves_and_stays_in_the_history(store: Store) -> None:
    """Of the image that lost it."""
    for image, name in (("i1", "a"), ("i2", "b")):
        store.images.create(NewImage(id=image))
        store.set_names(image, [name])
    store.add_names("i2", ["a"])

    lost, won = store.images.list()
    assert (lost.names, lost.names_history, won.names) == ((), ("a",), ("a", "b"))


# ── of stores that are only read ──


@pytest.fixture
def open_at(tmp_path: Path) -> Callable[..., Store]:
    """Open a store in a named directory of the test, with more settings."""

    def open_it(name: str, **settings: Any) -> Store:
        overrides = Overrides(
            graph_root=str(tmp_path / name), run_root=str(tmp_path / f"{name}-run"), driver="vfs", **settings
        )
        return open_store(load_config(overrides, environ={"HOME": str(tmp_path)}))

    return open_it


@pytest.fixture
def above(tmp_path: Path, open_at: Callable[..., Store]) -> Store:
    """An empty store that looks into one with an image, which is called old1 and old2."""
    extra = open_at("extra")
    put_into(extra, tmp_path, ARCHIVE, id="base")
    extra.images.create(
        NewImage(
            id="i1",
            names=("old1", "old2"),
            names_history=("older",),
            layer="base",
            metadata="theirs",
            created="2020-01-01T00:00:00Z",
            flags={"theirs": 1},
            data={"manifest": b"{}", "config": b"theirs"},
        )
    )
    return open_at("own", driver_options=(f"vfs.imagestore={tmp_path / 'extra'}",))


def test_images_of_additional_stores_are_only_read(above: Store, tmp_path: Path) -> None:
    """Found, measured, mounted and their data read; not changed, and not a file is made there."""
    before = listing(str(tmp_path / "extra"))

    assert above.images.read_only("i1")
    assert above.images.get("old1").layer == "base"
    assert above.images.size("old2") == len(ARCHIVE) + 8
    assert above.images.get_data("i1", "config") == b"theirs"
    assert os.listdir(above.images.mount("old1")) == ["file"]
    assert [above.images.mount("i1") != "", above.images.unmount("i1"), above.images.unmount("i1")] == [
        True,
        True,
        False,
    ]
    assert above.images.mount("i1")
    assert above.unmount(above.images.mount("i1"))
    assert not above.unmount(above.layers.mount_point("base"))
    with pytest.raises(LayerUnknown):
        above.mounted("base")
    for change in (
        lambda: above.images.delete("i1"),
        lambda: above.images.set_data("i1", "key", b""),
        lambda: above.set_metadata("i1", "mine"),
    ):
        with pytest.raises(ReadOnlyStore):
            change()
    assert listing(str(tmp_path / "extra")) == before


def test_a_new_name_pulls_an_image_up(above: Store, tmp_path: Path) -> None:
    """Record and data are copied, the layers stay; the name that is taken away is gone for good."""
    before = listing(str(tmp_path / "extra"))
    above.images.create(NewImage(id="i2", names=("taken",)))

    assert above.add_names("old1", ["new", "taken"]) == ("new", "taken", "old1", "old2")
    assert above.set_names("i1", ["new"]) == ("new",)

    own = above.images.list()[1]
    assert not above.images.read_only("i1")
    assert (own.id, own.names, own.layer, own.metadata) == ("i1", ("new",), "base", "theirs")
    assert (own.created, own.flags, own.digest) == ("2020-01-01T00:00:00Z", {"theirs": 1}, digest(b"{}"))
    assert own.names_history == ("new", "old2", "old1", "taken", "older")
    assert above.images.get("i2").names == ()
    assert above.images.find("old1") is None
    assert (tmp_path / "own" / "vfs-images" / "i1" / "manifest").read_bytes() == b"{}"
    assert above.images.delete("new") == ()
    assert above.images.get("old1").id == "i1"
    assert listing(str(tmp_path / "extra")) == before


def test_an_image_made_with_the_id_of_another_store_takes_over_what_is_left_open(above: Store) -> None:
    """The caller's values are laid over theirs, and all names come together."""
    image = above.images.create(
        NewImage(id="i1", names=("mine",), layer="base", metadata="mine", flags={"mine": 2}, data={"config": b"mine"})
    )

    assert (image.names, image.metadata, image.flags) == (("mine", "old1", "old2"), "mine", {"theirs": 1, "mine": 2})
    assert image.created == "2020-01-01T00:00:00Z"
    assert [above.images.get_data("mine", key) for key in ("manifest", "config")] == [b"{}", b"mine"]
    assert above.images.data_digest("i1", "config") == digest(b"mine")


def test_a_directory_of_an_image_outlives_its_pulling_up(above: Store) -> None:
    """It was here before the image was, and something may lie in it."""
    path = above.images.directory("i1")
    with open(os.path.join(path, "mine"), "w", encoding="ascii") as file:
        file.write("1")
    above.add_names("i1", ["new"])

    assert above.images.directory("new") == path
    assert os.listdir(path) == ["mine"]
    assert above.images.get_data("new", "manifest") == b"{}"


def test_a_damaged_image_of_another_store_is_not_taken_over(above: Store, tmp_path: Path) -> None:
    """With its digest, no other program could read our images."""
    path = tmp_path / "extra" / "vfs-images" / "images.json"
    path.write_bytes(path.read_bytes().replace(b'"manifest":"sha256:', b'"manifest":"sha256:0'))

    with pytest.raises(InvalidDigest):
        above.add_names("i1", ["new"])
    degraded = open_store(above.config, degraded=True)
    assert degraded.images.find("new") is None
    assert degraded.images.read_only("i1")


def test_a_container_of_another_store_is_no_reason(above: Store, tmp_path: Path) -> None:
    """Only the containers of this store count."""
    above.images.create(NewImage(id="i1"))
    write_records(str(tmp_path / "extra"), "container", [{"id": "c", "image": "i1", "layer": "x", "created": "x"}])

    assert above.images.delete("i1") == ()


def test_images_from_before_the_image_store_can_be_deleted(tmp_path: Path, open_at: Callable[..., Store]) -> None:
    """Where they are; new ones go to the image store."""
    old = open_at("own")
    old.layers.create(NewLayer(id="base"))
    old.images.create(NewImage(id="i1", names=("it",), layer="base", data={"manifest": b"{}"}))
    store = open_at("own", image_store=str(tmp_path / "images"))
    store.images.create(NewImage(id="i2", data={"manifest": b"{}"}))

    assert (tmp_path / "images" / "vfs-images" / "i2" / "manifest").exists()
    assert not store.images.read_only("i1")
    assert store.images.delete("it", commit=False) == ("base",)
    assert store.images.delete("it") == ("base",)
    assert [image.id for image in store.images.list()] == ["i2"]
    assert not (tmp_path / "own" / "vfs-images" / "i1").exists()
    assert store.images.directory("i2").startswith(str(tmp_path / "images"))
    with pytest.raises(NotAnImage):
        store.images.delete("it")
