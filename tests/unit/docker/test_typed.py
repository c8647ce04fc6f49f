"""What Docker's interfaces tell in types: configs made and changed, empty layers, descriptors, releases in the log."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime

import pytest

from cstore.docker import EMPTY_DIFF_ID, HistoryItem, ImageStore, LayerStore, Platform, RootFS
from cstore.errors import ImageInvalid, LayerHasChildren, LayerRecorded, LayerUnknown, WrongSystem
from cstore.oci.config import parse_config
from cstore.store import NewLayer, Store
from tests.builders import make_tar
from tests.unit.docker.conftest import ONE, TWO


@pytest.fixture
def images(store: Store, layers: LayerStore) -> ImageStore:
    """Docker's image store over the test's store."""
    return ImageStore(store, layers)


# ── configs ──


def test_an_image_is_filled_from_an_empty_config(images: ImageStore, layers: LayerStore) -> None:
    """Field by field; each change gives another ID, and the last bytes are those of the image."""
    one = layers.register(ONE)
    step = images.new_history("me", "a comment", "make it")
    filled = images.empty().changed(
        rootfs=RootFS().append(one.diff_id),
        history=(step,),
        platform=Platform("linux", "arm64", "v8"),
        author="me",
        config={"Cmd": ["sh"]},
    )
    image = images.create(filled.raw)

    read = images.get(image)
    assert (read.rootfs.diff_ids, read.history, read.author) == ((one.diff_id,), (step,), "me")
    assert (read.platform, read.run_config) == (Platform("linux", "arm64", "v8"), {"Cmd": ["sh"]})
    other = read.changed(author="you", config=None)
    assert (other.author, other.run_config, other.rootfs) == ("you", {}, read.rootfs)
    assert other.id != read.id
    assert read.changed().changed(author="me") == read.changed()


def test_a_change_keeps_what_nobody_understands(images: ImageStore) -> None:
    """A key that is changed goes whatever its case was."""
    read = parse_config(b'{"Author":"x","Unknown":{"a":1},"rootfs":{"type":"layers"}}')

    changed = json.loads(read.changed(author="y").raw)
    assert changed == {"author": "y", "Unknown": {"a": 1}, "rootfs": {"type": "layers"}}
    with pytest.raises(ImageInvalid):
        images.empty().changed(created="yesterday")


def test_the_fields_of_docker_s_first_format_are_typed() -> None:
    """What is not there is empty, or None where a number would say something."""
    full = parse_config(
        b'{"rootfs":{},"parent":"p","comment":"c","author":"a","Size":5,"container_config":{"Cmd":["x"]}}'
    )
    bare = parse_config(b'{"rootfs":{}}')

    assert (full.parent, full.comment, full.author, full.size) == ("p", "c", "a", 5)
    assert full.container_config == {"Cmd": ["x"]}
    assert (bare.parent, bare.comment, bare.author, bare.size, bare.container_config) == ("", "", "", None, {})


def test_a_step_is_taken_now(images: ImageStore) -> None:
    """And says so."""
    step = images.new_history(created_by="sh", empty_layer=True)

    assert step == HistoryItem(step.created, "sh", "", "", True)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(step.created)).total_seconds()) < 3600


def test_an_image_that_leaves_its_platform_open_is_for_this_machine(images: ImageStore) -> None:
    """What it says itself counts."""
    config = images.empty()
    here = images.platform(config)

    assert here.os == "linux"
    assert here.architecture
    assert images.platform(config.changed(platform=Platform(architecture="s390x"))) == Platform("linux", "s390x")
    images.check_system("")
    images.check_system("Linux")
    with pytest.raises(WrongSystem):
        images.check_system("windows")


def test_all_images_are_walked(images: ImageStore) -> None:
    """Each once; what a visitor raises ends it."""
    made = {images.create(images.empty().changed(author=name).raw) for name in ("a", "b")}
    seen: list[str] = []
    images.walk(seen.append)

    assert len(seen) == 2
    assert set(seen) == set(images) == made


# ── layers ──


def test_an_empty_layer_is_known_as_such(layers: LayerStore) -> None:
    """By its DiffID alone."""
    empty = layers.register(make_tar())

    assert empty.diff_id == EMPTY_DIFF_ID
    assert empty.is_empty
    assert not layers.register(ONE).is_empty


def test_a_descriptor_is_kept_with_a_layer(layers: LayerStore, store: Store) -> None:
    """For every process; that of a layer that is there already stays as it is."""
    told = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": len(ONE), "digest": "sha256:" + "1" * 64}
    layers.register(ONE, descriptor=told)
    again = layers.register(ONE, descriptor={"size": 0})

    assert again.descriptor == LayerStore(store).look(again.chain_id).descriptor == told
    assert layers.register(TWO, again.chain_id).descriptor == {}


def test_a_release_is_logged(layers: LayerStore, caplog: pytest.LogCaptureFixture) -> None:
    """Each layer that went, with its ChainID."""
    one = layers.register(ONE)
    top = layers.register(TWO, one.chain_id)
    layers.release(one)
    with caplog.at_level(logging.INFO, "cstore.docker"):
        freed = layers.release_and_log(top)

    assert [each.chain_id for each in freed] == [top.chain_id, one.chain_id]
    assert [each.chain_id in line for each, line in zip(freed, caplog.messages, strict=True)] == [True, True]


# ── trees without a record ──


def test_a_tree_without_a_record_is_read_and_deleted(store: Store) -> None:
    """One that has a record is not, nor one that a record refers to."""
    store.layers.put(NewLayer(id="below"), ONE)
    tree = store.layers.create_tree(NewLayer(parent="below"))
    with store.layers.open_tree(tree) as path:
        assert os.listdir(path) == ["one.txt"]

    with pytest.raises(LayerRecorded):
        store.layers.delete_tree("below")
    store.layers.delete_tree(tree)
    assert list(store.layers.trees()) == ["below"]
    for refused in (store.layers.delete_tree, store.layers.open_tree):
        with pytest.raises(LayerUnknown):
            refused(tree)


def test_a_tree_that_lost_its_record_is_not_deleted_under_its_children(store: Store) -> None:
    """It is no leftover: a repair brings the record back."""
    store.layers.put(NewLayer(id="below"), ONE)
    store.layers.put(NewLayer(id="above", parent="below"), TWO)
    path = os.path.join(store.config.graph_root, f"{store.driver_name}-layers", "layers.json")
    with open(path, encoding="utf-8") as file:
        records = json.load(file)
    with open(path, "w", encoding="utf-8") as file:
        json.dump([record for record in records if record["id"] != "below"], file)

    with pytest.raises(LayerHasChildren):
        store.layers.delete_tree("below")
    assert "below" in store.layers.trees()


def test_a_layer_is_compared_with_nothing(store: Store) -> None:
    """Then everything that it shows was added."""
    store.layers.put(NewLayer(id="below"), ONE)
    store.layers.put(NewLayer(id="above", parent="below"), TWO)

    assert [change.path for change in store.layers.changes("above")] == [b"/two.txt"]
    assert [change.path for change in store.layers.changes("above", whole=True)] == [b"/one.txt", b"/two.txt"]
