"""What a crash left is found, named and removed; what is recorded or in doubt is not."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from cstore.check import check_store, keep_aside
from cstore.errors import ConfigError, RecordsDamaged
from cstore.kernel.locks import try_lock
from cstore.store import NewContainer, NewImage, NewLayer, Store, open_store
from cstore.store.quarantine import cases, undo
from cstore.store.quarantine.keeping import QuarantineWriter
from tests.builders import typical_tar
from tests.unit.store.conftest import kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.store.conftest import Import


STRAY = "e" * 64
"""An ID as every tool makes them."""


def records_path(graph: str) -> str:
    return os.path.join(graph, "vfs-layers", "layers.json")


def rewrite(graph: str, change: Callable[[list[dict[str, object]]], None]) -> None:
    """Change the layer records behind the store's back."""
    with open(records_path(graph), encoding="utf-8") as file:
        records = json.load(file)
    change(records)
    with open(records_path(graph), "w", encoding="utf-8") as file:
        json.dump(records, file, separators=(",", ":"))


def test_a_tree_without_a_record_is_a_leftover(store: Store) -> None:
    """A dry run names it, a run removes it, and there is nothing left to do."""
    store.layers.create(NewLayer(id="kept"))
    store.layers.create_tree(NewLayer(id=STRAY))

    assert [(os.path.basename(item.path), item.kind) for item in store.gc(dry_run=True)] == [(STRAY, "layer")]
    assert store.layers.trees() == [STRAY, "kept"]
    assert len(store.gc()) == 1
    assert store.layers.trees() == ["kept"]
    assert store.gc() == []


def test_files_without_a_record_are_leftovers(store: Store, graph: str, put: Import) -> None:
    """tar-split files, data directories, temporary files: but not what others keep there."""
    put(typical_tar(), id="kept")
    layers = os.path.join(graph, "vfs-layers")
    for name in ("gone.tar-split.gz", ".tmp-layers.json123", "notes-of-the-admin"):
        with open(os.path.join(layers, name), "w", encoding="utf-8"):
            pass
    os.mkdir(os.path.join(layers, "f" * 64))
    os.mkdir(os.path.join(layers, "directory-of-the-admin"))

    assert sorted(item.kind for item in store.gc()) == ["data", "tar-split", "temporary"]
    assert {"kept.tar-split.gz", "notes-of-the-admin", "directory-of-the-admin"} <= set(os.listdir(layers))


def test_half_written_mount_counts_are_leftovers(store: Store) -> None:
    """What a killed mount left in the run root does not wait for a reboot."""
    store.layers.create(NewLayer(id="kept"))
    folder = store.context.layout.run_layers
    os.makedirs(folder, exist_ok=True)
    half = os.path.join(folder, ".tmp-mountpoints.json123")
    for path in (half, os.path.join(folder, "mountpoints.json.of-the-admin")):
        with open(path, "w", encoding="utf-8"):
            pass

    assert [(item.path, item.kind) for item in store.gc(dry_run=True)] == [(half, "temporary")]
    assert len(store.gc()) == 1
    assert not [name for name in os.listdir(folder) if name.startswith(".tmp-")]
    assert "mountpoints.json.of-the-admin" in os.listdir(folder)


def test_an_unfinished_layer_is_removed_by_the_next_writer(store: Store, put: Import, graph: str) -> None:
    """It is never listed, and any change to the store finishes what was begun."""
    put(typical_tar(), id="unfinished")
    rewrite(graph, lambda records: records[0].update(flags={"incomplete": True}))

    assert store.layers.list() == []
    store.layers.create(NewLayer(id="new"))
    assert store.layers.trees() == ["new"]
    assert not os.path.exists(os.path.join(graph, "vfs-layers", "unfinished.tar-split.gz"))


def test_an_unfinished_layer_that_is_needed_stays(store: Store, graph: str) -> None:
    """Nothing that is referenced is swept, whatever its flags say."""
    store.layers.create(NewLayer(id="base"))
    store.layers.create(NewLayer(id="child", parent="base"))
    rewrite(graph, lambda records: records[0].update(flags={"incomplete": True}))
    store.layers.create(NewLayer(id="new"))

    assert store.layers.trees() == ["base", "child", "new"]


def test_an_unfinished_layer_is_named_by_who_removes_it(store: Store, put: Import, graph: str) -> None:
    """By a dry run and by a run, with all that it takes, its unfinished child first."""
    put(typical_tar(), id="base")
    store.layers.create(NewLayer(id="child", parent="base"))

    def flag_all(records: list[dict[str, object]]) -> None:
        for record in records:
            record.update(flags={"incomplete": True})

    rewrite(graph, flag_all)

    expected = [("child", "incomplete"), ("base", "incomplete")]
    dry = store.gc(dry_run=True)
    assert [(os.path.basename(item.path), item.kind) for item in dry] == expected
    assert store.gc() == dry
    assert dry[1].bytes > 0
    assert store.layers.trees() == []
    assert store.gc(dry_run=True) == []


def test_an_unfinished_layer_whose_lock_is_held_may_be_finished_yet(store: Store, graph: str) -> None:
    """A dry run does not call it a leftover; so it does once the lock is free."""
    store.layers.create(NewLayer(id="it"))
    rewrite(graph, lambda records: records[0].update(flags={"incomplete": True}))
    with open(os.path.join(graph, "vfs-layers", "layers.lock"), "r+b") as lock:
        assert try_lock(lock.fileno(), exclusive=True)
        assert store.gc(dry_run=True) == []
    assert [item.kind for item in store.gc(dry_run=True)] == ["incomplete"]


def test_a_data_item_that_no_record_names_is_a_leftover(store: Store, graph: str) -> None:
    """Nor is a file that was never renamed into place; what is named stays, and so does an engine's directory."""
    store.layers.create(NewLayer(id="l1", data={"Known": b"1"}))
    store.images.create(NewImage(id="i1", layer="l1", data={"known": b"2"}))
    store.containers.create(NewContainer(id="c1", image="i1", data={"known": b"3"}))
    folders = [os.path.join(graph, place) for place in ("vfs-layers/l1", "vfs-images/i1", "vfs-containers/c1")]
    before = kept(graph)
    for folder in folders:
        for name in ("=b3JwaGFu", ".tmp-known123"):
            with open(os.path.join(folder, name), "w", encoding="utf-8"):
                pass
        os.makedirs(os.path.join(folder, "userdata", "config"))

    dry = store.gc(dry_run=True)
    assert sorted(item.kind for item in dry) == ["item"] * 3 + ["temporary"] * 3
    assert store.gc() == dry
    assert {path for path in kept(graph) if "userdata" not in path} == set(before)
    assert all(os.path.isdir(os.path.join(folder, "userdata", "config")) for folder in folders)


class Killed(BaseException):
    """The end of a process, as far as this one can have it."""


@pytest.fixture(params=["f" * 64, "my-image"])
def half_kept(request: pytest.FixtureRequest, store: Store, put: Import, monkeypatch: pytest.MonkeyPatch) -> str:
    """The ID of an image whose removal was killed before anything went into quarantine: only its record is gone."""

    def killed(_writer: QuarantineWriter, _kept: object) -> None:
        raise Killed

    put(typical_tar(), id="my-layer")
    store.images.create(NewImage(id=request.param, layer="my-layer", data={"item": b"precious"}))
    with monkeypatch.context() as patch:
        patch.setattr(QuarantineWriter, "fulfil", killed)
        with pytest.raises(Killed):
            keep_aside(store, [("image", request.param)], "cstore rm --keep 5")
    assert store.images.list() == []
    return str(request.param)


def test_what_was_to_be_kept_when_rm_was_killed_is_kept(half_kept: str, store: Store, graph: str) -> None:
    """The record has gone, the data not yet: gc moves them into the case, whatever name they have."""
    went = {item.path for item in store.gc(dry_run=True)}
    assert went == {os.path.join(graph, "vfs-images", half_kept), *(item for item in went if "my-layer" in item)}
    assert {item.path for item in store.gc()} == went
    assert not any(map(os.path.lexists, went))

    undo(store.context, cases(store.context)[0].id)
    assert store.images.get_data(half_kept, "item") == b"precious"
    assert check_store(store.context).clean


def test_what_cannot_be_kept_is_not_said_to_be(store: Store, graph: str, put: Import) -> None:
    """A failure on the way to the layers of an image is none of their being needed: the image stays with them."""
    put(typical_tar(), id="layer")
    store.images.create(NewImage(id="image", layer="layer", data={"item": b"precious"}))
    in_the_way = os.path.join(store.config.run_root, f"{store.driver_name}-layers")  # where mounts are counted
    shutil.rmtree(in_the_way, ignore_errors=True)
    with open(in_the_way, "wb"):
        pass

    told = keep_aside(store, [("image", "image")], "cstore rm --keep 5")

    assert [failed[:2] for failed in told.failed] == [("image", "image")]
    assert not told.done
    assert (len(store.images.list()), store.layers.ids()) == (1, ["layer"])
    os.unlink(in_the_way)
    assert keep_aside(store, [("image", "image")], "cstore rm --keep 5").done == (("image", "image"),)
    assert (store.images.list(), store.layers.ids()) == ([], [])


def test_an_image_without_a_layer_can_be_kept(store: Store) -> None:
    """There is nothing to look up among the layers then."""
    store.images.create(NewImage(id="bare", data={"item": b"precious"}))

    assert keep_aside(store, [("image", "bare")], "cstore rm --keep 5").done == (("image", "bare"),)

    undo(store.context, cases(store.context)[0].id)
    assert store.images.get_data("bare", "item") == b"precious"


def test_a_wipe_keeps_what_a_killed_rm_was_to_keep(half_kept: str, store: Store, put: Import) -> None:
    """The quarantine outlives a wipe, and so does what was promised to it; everything else goes."""
    put(typical_tar(), id="other")

    store.wipe()

    assert store.layers.list() == []
    undo(store.context, cases(store.context)[0].id)
    assert store.images.get_data(half_kept, "item") == b"precious"
    assert [layer.id for layer in store.layers.list()] == ["my-layer"]
    assert check_store(store.context).clean


def test_what_has_a_name_that_no_tool_gives_is_left_alone(store: Store, graph: str, put: Import) -> None:
    """A backup of a layer beside it, an administrator's notes: named by `foreign`, and only then moved aside."""
    put(typical_tar(), id="it")
    trees = os.path.join(graph, "vfs", "dir")
    places = [os.path.join(trees, "it.bak"), os.path.join(trees, "lost+found")]
    places += [os.path.join(graph, f"vfs-{kind}", "notes") for kind in ("layers", "images", "containers")]
    for place in places:
        os.makedirs(place)
    os.mkdir(os.path.join(graph, "vfs-images", ".snapshots"))

    assert store.gc(dry_run=True) == store.gc() == []
    assert [item.path for item in store.foreign()] == places
    assert [item.path for item in store.gc(dry_run=True, foreign=True)] == places
    assert all(map(os.path.isdir, places))

    assert [item.path for item in store.gc(foreign=True)] == places
    assert not any(map(os.path.lexists, places))
    assert store.foreign() == []
    undo(store.context, cases(store.context)[0].id)
    assert all(map(os.path.isdir, places))
    assert [layer.id for layer in store.layers.list()] == ["it"]


def test_wipe_takes_leftovers_and_leaves_what_no_tool_made(store: Store, graph: str) -> None:
    store.layers.create(NewLayer(id="it"))
    store.layers.create_tree(NewLayer(id=STRAY))
    os.mkdir(os.path.join(graph, "vfs", "dir", "backup"))

    store.wipe()

    assert store.layers.trees() == ["backup"]


@pytest.mark.parametrize("damage", [b"", b"\0" * 200, b'[{"id":"a"', b"{}", b"[null]", b"[1]"])
def test_a_suspect_index_is_damage_not_emptiness(store: Store, put: Import, graph: str, damage: bytes) -> None:
    """No writer goes on, nothing is removed, the file stays as it is."""
    put(typical_tar(), id="it")
    with open(records_path(graph), "wb") as file:
        file.write(damage)
    before = kept(graph)

    for operation in (
        store.gc,
        store.wipe,
        lambda: store.gc(dry_run=True),
        lambda: store.layers.create(NewLayer()),
        lambda: store.layers.delete("it"),
    ):
        with pytest.raises(RecordsDamaged):
            operation()
    assert kept(graph) == before


def test_a_lost_index_is_damage_too(store: Store, put: Import, graph: str) -> None:
    """Trees with tar-split files and no record file at all are not garbage."""
    put(typical_tar(), id="it")
    os.unlink(records_path(graph))

    with pytest.raises(RecordsDamaged, match="missing"):
        store.gc()
    assert store.layers.trees() == ["it"]


def test_readers_list_what_they_can_and_say_what_they_cannot(store: Store, put: Import, graph: str) -> None:
    """Damage in one file does not hide another."""
    put(typical_tar(), id="it")
    with open(os.path.join(graph, "vfs-layers", "volatile-layers.json"), "w", encoding="ascii") as file:
        file.write("[]")
    store.layers.create(NewLayer(id="volatile", volatile=True))
    with open(records_path(graph), "wb") as file:
        file.write(b"[{")

    degraded = open_store(store.config, degraded=True)
    assert [layer.id for layer in degraded.layers.list()] == ["volatile"]
    assert [flaw.path for flaw in degraded.flaws] == [records_path(graph)]


@pytest.mark.parametrize(
    "damage",
    [b"", b"[{", b'[{"id":"it","created":"2026-01-01T00:00:00Z","parent":7}]'],
)
def test_damaged_records_raise_where_nobody_asked_for_what_can_be_known(
    put: Import, graph: str, reopen: Callable[[], Store], damage: bytes
) -> None:
    """Whether a layer is listed, looked for or read: an empty list would be a lie."""
    put(typical_tar(), id="it")
    with open(records_path(graph), "wb") as file:
        file.write(damage)

    reads: list[Callable[[Store], object]] = [
        lambda store: store.layers.list(),
        lambda store: store.layers.get("it"),
        lambda store: store.names("it"),
        lambda store: store.mounted("it"),
    ]
    for read in reads:
        with pytest.raises(RecordsDamaged) as caught:
            read(reopen())
        assert records_path(graph) in str(caught.value)
    degraded = open_store(reopen().config, degraded=True)
    degraded.layers.list()
    assert [flaw.path for flaw in degraded.flaws] == [records_path(graph)]


def test_an_empty_graph_root_is_refused(store: Store) -> None:
    """It would be the working directory, whatever that is."""
    with pytest.raises(ConfigError, match="graph root is empty"):
        open_store(store.config.with_(graph_root=""))


def test_a_replacement_that_was_interrupted_is_concluded(
    store: Store, put: Import, apply: Callable[[str, bytes], int], graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the trees were exchanged there is only forward: the next writer brings the record after them."""
    from cstore.store import replacing

    store.layers.create(NewLayer(id="it"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(replacing, "_conclude", killed)
        with pytest.raises(KeyboardInterrupt):
            apply("it", typical_tar())
    assert store.layers.get("it").diff_digest == ""

    store.set_metadata("it", "the next writer")
    assert store.layers.get("it").diff_size == len(typical_tar())
    assert store.layers.get("it").metadata == "the next writer"
    assert not [name for name in os.listdir(os.path.join(graph, "vfs-layers")) if "replacing" in name]


def interrupted(store: Store, apply: Callable[[str, bytes], int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill a replacement of the layer `it` between the exchange of the trees and the record."""
    from cstore.store import replacing

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(replacing, "_conclude", killed)
        with pytest.raises(KeyboardInterrupt):
            apply("it", typical_tar())


def test_a_concluded_replacement_leaves_names_as_others_changed_them(
    store: Store, apply: Callable[[str, bytes], int], graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal knows the names of the time of the crash: a name that moved since must not come back, nor clash."""
    store.layers.create(NewLayer(id="it", names=("name",)))
    store.layers.create(NewLayer(id="other"))
    interrupted(store, apply, monkeypatch)

    def move(records: list[dict[str, object]]) -> None:
        records[0]["metadata"] = "new"
        records[1]["names"] = records[0].pop("names")

    rewrite(graph, move)
    store.set_metadata("other", "the next writer")
    it = store.layers.get("it")
    assert (it.names, it.metadata, it.diff_size) == ((), "new", len(typical_tar()))
    assert store.names("name") == ("name",)


def test_a_journal_is_not_for_another_layer_of_the_same_id(
    store: Store, apply: Callable[[str, bytes], int], graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IDs recur, and so do inode numbers; the time of creation does not."""
    store.layers.create(NewLayer(id="it"))
    interrupted(store, apply, monkeypatch)
    rewrite(graph, lambda records: records[0].update(created="2031-01-01T00:00:00Z"))

    store.set_metadata("it", "the next writer")
    assert store.layers.get("it").diff_size == 0
    assert not [
        name for name in os.listdir(os.path.join(graph, "vfs-layers")) if name != "layers.json" and "it" in name
    ]


def test_a_tar_split_whose_replacement_never_began_goes(store: Store, graph: str) -> None:
    """A crash before the journal was written leaves it alone; so does a directory in the journal's place."""
    store.layers.create(NewLayer(id="it"))
    lone = os.path.join(graph, "vfs-layers", "it.replacing.gz")
    with open(lone, "wb"):
        pass
    os.mkdir(os.path.join(graph, "vfs-layers", "odd.replacing.json"))
    store.set_metadata("it", "the next writer")

    assert not os.path.exists(lone)


@pytest.mark.parametrize("kind", ["layer", "image", "container"])
def test_a_tree_that_something_refers_to_is_no_leftover(store: Store, graph: str, kind: str) -> None:
    """Its record is lost; what needs it is not."""
    for layer in ("kept", "lost"):
        store.layers.create(NewLayer(id=layer))
    rewrite(graph, lambda records: records.__delitem__(1))
    created = "2026-01-01T00:00:00Z"
    if kind == "layer":
        rewrite(graph, lambda records: records[0].update(parent="lost"))
    else:
        os.makedirs(os.path.join(graph, f"vfs-{kind}s"), exist_ok=True)
        with open(os.path.join(graph, f"vfs-{kind}s", f"{kind}s.json"), "w", encoding="utf-8") as file:
            json.dump([{"id": "user", "image": "", "layer": "lost", "created": created}], file)

    assert store.gc() == []
    assert store.layers.trees() == ["kept", "lost"]


def test_a_lost_index_stops_every_writer_before_it_makes_a_new_one(
    put: Import, graph: str, reopen: Callable[[], Store]
) -> None:
    """With a new index the old trees would be garbage. Readers say what is wrong."""
    put(typical_tar(), id="it")
    os.unlink(records_path(graph))
    store = reopen()

    with pytest.raises(RecordsDamaged, match="missing"):
        put(typical_tar(), id="new")
    degraded = open_store(store.config, degraded=True)
    assert degraded.layers.list() == []
    assert [flaw.path for flaw in degraded.flaws] == [records_path(graph)]
    assert not os.path.exists(records_path(graph))


@pytest.mark.parametrize("kind", ["image", "container"])
def test_data_of_images_and_containers_without_any_index_is_not_garbage(store: Store, graph: str, kind: str) -> None:
    """Their index was there when it was written."""
    store.layers.create(NewLayer())
    item = os.path.join(graph, f"vfs-{kind}s", "a" * 64)
    os.makedirs(item)
    with open(os.path.join(item, "manifest"), "w", encoding="utf-8"):
        pass

    with pytest.raises(RecordsDamaged, match="missing"):
        store.gc()
    assert os.path.exists(item)


def test_an_image_directory_that_somebody_only_asked_for_proves_nothing(store: Store, graph: str) -> None:
    """The peer makes one for any word."""
    store.layers.create(NewLayer())
    os.makedirs(os.path.join(graph, "vfs-images", "a" * 64, "userdata"))

    assert [leftover.kind for leftover in store.gc()] == ["data"]


def test_unfinished_layers_wait_while_nobody_can_tell_who_needs_them(store: Store, graph: str) -> None:
    """A damaged image index does not keep others from making layers."""
    store.layers.create(NewLayer(id="unfinished"))
    rewrite(graph, lambda records: records[0].update(flags={"incomplete": True}))
    os.makedirs(os.path.join(graph, "vfs-images"), exist_ok=True)
    images = os.path.join(graph, "vfs-images", "images.json")
    with open(images, "w", encoding="utf-8") as file:
        file.write("[{")
    store.layers.create(NewLayer(id="other"))
    assert store.layers.trees() == ["other", "unfinished"]

    os.unlink(images)
    store.layers.create(NewLayer(id="third"))
    assert store.layers.trees() == ["other", "third"]


@pytest.mark.parametrize("places", ["cstore-staging", "cstore-staging/vfs"])
def test_the_empty_place_of_a_writer_that_was_killed_goes(store: Store, graph: str, places: str) -> None:
    """It had made the directories, and nothing in them yet."""
    store.layers.create(NewLayer(id="layer"))
    os.makedirs(os.path.join(graph, places))

    store.gc()

    assert not os.path.exists(os.path.join(graph, "cstore-staging"))
