"""Containers made and removed through the library: what is refused, what is recorded, and what a crash leaves."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cstore.config import Overrides, load_config
from cstore.errors import (
    ContainerUnknown,
    DriverError,
    IDTaken,
    ImageUnknown,
    ImageUsedByContainer,
    InvalidDataName,
    InvalidID,
    InvalidIDMap,
    InvalidName,
    InvalidOption,
    LayerUnknown,
    NameTaken,
    NotAContainer,
    NotALayer,
    RecordsDamaged,
    SystemFailure,
)
from cstore.idmap import IDMap, IDRange
from cstore.store import NewContainer, NewImage, NewLayer, open_store
from tests.builders import make_tar, regular
from tests.unit.store.conftest import kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cstore.store import Store
    from tests.unit.store.conftest import Import

MAPPED = IDMap((IDRange(0, 100_000, 65_536),), (IDRange(0, 200_000, 65_536),))


@pytest.fixture
def image(store: Store, put: Import) -> str:
    """An image with one layer; its ID."""
    put(make_tar(regular("file", b"data")), id="base")
    return store.images.create(NewImage(id="image", names=("named",), layer="base")).id


def journal(graph: str) -> str:
    """Where a container and its layer are noted while only one of them may be there."""
    return os.path.join(graph, "vfs-layers", "container.json")


@pytest.mark.usefixtures("image")
def test_a_container_is_a_record_and_a_layer_above_the_image(store: Store, graph: str) -> None:
    """It is found by its ID, its names, a prefix and its layer, and holds what the image holds."""
    made = store.containers.create(NewContainer(image="named", names=("one", "two", "one"), metadata="meta"))

    layer = store.layers.get(made.layer)
    assert (made.image, made.names, made.metadata) == ("image", ("one", "two"), "meta")
    assert (layer.parent, layer.names, layer.flags) == ("base", (), {})
    assert made.flags == {"MountLabel": "", "ProcessLabel": ""}
    assert all(store.containers.get(word) == made for word in (made.id, "two", made.layer, made.id[:20]))
    assert store.containers.by_layer(made.layer[:20]) == made
    with open(os.path.join(store.mount("one"), "file"), "rb") as file:
        assert file.read() == b"data"
    assert not os.path.exists(journal(graph))


def test_a_container_needs_no_image(store: Store) -> None:
    """Its layer is empty and has no parent."""
    made = store.containers.create(NewContainer(id="alone"))

    assert (made.image, store.layers.get(made.layer).parent) == ("", "")
    assert os.listdir(store.mount("alone")) == []


@pytest.mark.usefixtures("image")
def test_what_is_asked_for_is_recorded(store: Store) -> None:
    """Labels and mount options among the flags of the container, which may have others; the label with its layer."""
    made = store.containers.create(
        NewContainer(
            image="image",
            process_label="p",
            mount_label="m",
            mount_options=("ro",),
            volatile=True,
            flags={"mine": 1},
            data={"config": b"{}", "Other": b""},
        )
    )

    wanted = {"mine": 1, "MountLabel": "m", "ProcessLabel": "p", "MountOpts": ["ro"], "Volatile": True}
    assert made.flags == wanted
    assert store.layers.get(made.layer).mount_label == "m"
    assert made.data_names == ("config", "Other")
    assert store.containers.get_data(made.id, "config") == b"{}"
    assert store.containers.get(made.id).data_sizes == {"config": 2, "Other": 0}


@pytest.mark.usefixtures("needs_root", "image")
def test_containers_of_one_map_share_a_twin(store: Store) -> None:
    """Where owners cannot be shown otherwise, the image's top layer is copied once with other owners."""
    first, second = (store.containers.create(NewContainer(image="image", id_map=MAPPED)) for _ in range(2))
    plain = store.containers.create(NewContainer(image="image", id_map=MAPPED, host_uids=True, host_gids=True))

    mapped_layers = store.images.get("image").mapped_layers
    assert [store.layers.get(made.layer).parent for made in (first, second, plain)] == [
        *mapped_layers,
        *mapped_layers,
        "base",
    ]
    assert first.id_map == MAPPED
    assert not plain.id_map
    status = os.stat(os.path.join(store.mount(first.id), "file"))
    assert (status.st_uid, status.st_gid) == (100_000, 200_000)
    assert store.containers.parent_owners(plain.id) == ([], [])
    uids, gids = store.containers.parent_owners(first.id)
    assert 0 in uids
    assert 0 in gids


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize(
    ("request_", "error", "peer"),
    [
        ({"image": "nope"}, ImageUnknown, 'locating image with ID "nope": image not known'),
        ({"id": "taken"}, IDTaken, "that ID is already in use"),
        (
            {"names": ("name",)},
            NameTaken,
            'the container name "name" is already in use by taken. '  # noqa: ISC004  - one text, in two lines
            "You have to remove that container to be able to reuse that name: that name is already in use",
        ),
        (
            {"process_label": "p"},
            InvalidOption,
            "ProcessLabel and Mountlabel must either not be specified or both specified",
        ),
        (
            {"id_map": IDMap(uids=(IDRange(0, 1000, 10), IDRange(5, 100, 10)))},
            InvalidIDMap,
            "the specified UID and/or GID mapping 5:100:10 conflicts with other mappings: invalid mappings specified",
        ),
        (
            {"id_map": IDMap(gids=(IDRange(0, 1, 10), IDRange(9, 1, 9)))},
            InvalidIDMap,
            "the specified UID and/or GID mappings 9:1:9, 9:1:9 conflict with "  # noqa: ISC004  - one text, in two lines
            "other mappings: invalid mappings specified",
        ),
        ({"storage_options": {"size": "1G"}}, DriverError, "--storage-opt is not supported for vfs"),
        ({"data": {"": b""}}, InvalidDataName, ""),
        ({"id": "../out"}, InvalidID, ""),
        ({"id": "x" * 300}, InvalidID, ""),
        ({"id": "containers.json"}, InvalidID, ""),
        ({"names": ("a\0b",)}, InvalidName, ""),
        ({"names": ("\udcff",)}, InvalidName, ""),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_had_leaves_no_trace(
    store: Store, graph: str, request_: dict[str, object], error: type[Exception], peer: str
) -> None:
    """The store is as it was, to the byte."""
    store.containers.create(NewContainer(id="taken", names=("name",)))
    before = kept(graph)

    with pytest.raises(error) as caught:
        store.containers.create(NewContainer(**{"image": "image", **request_}))  # type: ignore[arg-type]  # keywords of NewContainer

    assert not peer or getattr(caught.value, "go_text", "") == peer
    assert kept(graph) == before


def test_ranges_may_touch(store: Store) -> None:
    """Adjacent ranges have no ID in common."""
    touching = IDMap(uids=(IDRange(0, 1000, 10), IDRange(10, 1010, 10)))

    assert store.containers.create(NewContainer(id_map=touching)).id_map == touching


@pytest.mark.usefixtures("image")
def test_a_deleted_container_leaves_nothing(store: Store, graph: str, reopen: Callable[[], Store]) -> None:
    """Its record, layer, data and directories go, even if it is mounted; the image and its layer stay."""
    store.containers.create(NewContainer(id="other"))
    before = kept(graph)
    store.containers.create(NewContainer(id="gone", names=("name",), image="image", data={"item": b"data"}))
    run = store.containers.run_directory("gone")
    with open(os.path.join(store.containers.directory("name"), "file"), "wb") as file:
        file.write(b"engine's")
    store.mount("gone")

    store.containers.delete("name")

    assert kept(graph) == before
    assert not os.path.exists(os.path.dirname(run))
    assert [container.id for container in reopen().containers.list()] == ["other"]
    with pytest.raises(NotAContainer):
        store.containers.delete("gone")


@pytest.mark.usefixtures("image")
def test_a_container_whose_layer_is_gone_can_be_deleted(store: Store) -> None:
    """Only with the checks: `delete` stops, as the peer does."""
    made = store.containers.create(NewContainer(image="image"))
    store.delete(made.id)
    made = store.containers.create(NewContainer(image="image"))
    records = os.path.join(store.config.graph_root, "vfs-layers", "layers.json")
    with open(records, encoding="utf-8") as file:
        left = [record for record in json.load(file) if record["id"] != made.layer]
    with open(records, "w", encoding="utf-8") as file:
        json.dump(left, file)

    with pytest.raises(NotALayer):
        store.delete(made.id)
    with pytest.raises(LayerUnknown):
        store.containers.size(made.id)
    store.containers.delete(made.id)

    assert store.containers.list() == []


@pytest.mark.usefixtures("image")
def test_the_size_counts_what_only_the_container_has(store: Store) -> None:
    """Changes of its layer, data items, files in its directories; asking makes no directory."""
    made = store.containers.create(NewContainer(image="image", data={"item": b"12345"}))
    with open(os.path.join(store.mount(made.id), "new"), "wb") as file:
        file.write(b"123")
    assert store.containers.size(made.id) == 8
    assert (
        os.listdir(store.config.run_root + "/vfs-containers") == []
        if os.path.exists(store.config.run_root + "/vfs-containers")
        else True
    )

    with open(os.path.join(store.containers.run_directory(made.id), "file"), "wb") as file:
        file.write(b"12")

    assert store.containers.size(made.id) == 10


def test_directories_are_private_and_made_when_asked_for(store: Store) -> None:
    """One under each root, by any word that names the container; none for an unknown one."""
    made = store.containers.create(NewContainer(names=("name",)))

    paths = [store.containers.directory("name"), store.containers.run_directory(made.layer)]

    roots = [store.config.graph_root, store.config.run_root]
    assert paths == [f"{root}/vfs-containers/{made.id}/userdata" for root in roots]
    assert [os.stat(path).st_mode & 0o777 for path in paths] == [0o700, 0o700]
    with pytest.raises(ContainerUnknown):
        store.containers.directory("../nope")


@pytest.mark.usefixtures("image")
def test_a_layer_without_its_container_goes_with_the_next_writer(
    store: Store, graph: str, reopen: Callable[[], Store]
) -> None:
    """This is what a crash between the two record files leaves, in the making and in the removal."""
    made = store.containers.create(NewContainer(id="half", image="image", data={"item": b"data"}))
    store.containers.directory("half")
    with open(journal(graph), "w", encoding="utf-8") as file:
        json.dump({"container": "half", "layer": made.layer}, file)
    with open(os.path.join(graph, "vfs-containers", "containers.json"), "w", encoding="utf-8") as file:
        file.write("[]")

    again = reopen()
    again.set_metadata("base", "any writer of layers will do")

    assert again.layers.ids() == ["base"]
    assert os.listdir(os.path.join(graph, "vfs", "dir")) == ["base"]
    assert not os.path.exists(journal(graph))
    assert not os.path.exists(os.path.join(graph, "vfs-containers", "half"))


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"container":1,"layer":null}', '{"container":"made","layer":"L"}']
)
def test_a_journal_takes_nothing_that_is_in_order(
    store: Store, graph: str, reopen: Callable[[], Store], text: str
) -> None:
    """Neither one that is no journal, nor one whose container is there."""
    made = store.containers.create(NewContainer(id="made", image="image", data={"item": b"data"}))
    with open(journal(graph), "w", encoding="utf-8") as file:
        file.write(text.replace('"L"', f'"{made.layer}"'))

    again = reopen()
    again.set_metadata("base", "new")

    assert again.containers.list() == [made]
    assert again.containers.get_data("made", "item") == b"data"
    assert again.layers.ids() == ["base", made.layer]
    assert not os.path.exists(journal(graph))


@pytest.mark.usefixtures("image")
def test_damaged_records_are_not_written(store: Store, graph: str, reopen: Callable[[], Store]) -> None:
    """Nothing is made or deleted, and the file is as it was."""
    store.containers.create(NewContainer(id="made"))
    records = os.path.join(graph, "vfs-containers", "containers.json")
    with open(records, "w", encoding="utf-8") as file:
        file.write('[{"id":"made"')
    before = kept(graph)

    with pytest.raises(RecordsDamaged):
        reopen().containers.create(NewContainer(image="image"))
    with pytest.raises(RecordsDamaged):
        reopen().containers.delete("made")

    assert kept(graph) == before
    with open(records, encoding="utf-8") as file:
        assert file.read() == '[{"id":"made"'


def test_unknown_keys_of_a_record_are_kept(store: Store, graph: str, reopen: Callable[[], Store]) -> None:
    """A newer program may have written them."""
    store.containers.create(NewContainer(id="made"))
    records = os.path.join(graph, "vfs-containers", "containers.json")
    with open(records, encoding="utf-8") as file:
        text = file.read()
    with open(records, "w", encoding="utf-8") as file:
        file.write(text.replace('"image":""', '"image":"","from-the-future":[1,{"a":null}]'))

    reopen().containers.set_data("made", "item", b"data")
    reopen().containers.create(NewContainer(id="another"))

    with open(records, encoding="utf-8") as file:
        assert json.load(file)[0]["from-the-future"] == [1, {"a": None}]


VOLATILE = "vfs-containers/volatile-containers.json", "vfs-layers/volatile-layers.json"


@pytest.mark.usefixtures("image")
def test_volatile_containers_are_where_old_tools_see_them(store: Store, graph: str) -> None:
    """Unless a newer tool has made the files for them: then no older one can be at work."""
    store.containers.create(NewContainer(id="seen", image="image", volatile=True))
    assert not any(os.path.exists(os.path.join(graph, name)) for name in VOLATILE)

    make_volatile_files(graph)
    store.containers.create(NewContainer(id="apart", image="image", volatile=True))
    store.containers.create(NewContainer(id="lasting", image="image"))

    found = {}
    for name in (*VOLATILE, "vfs-containers/containers.json"):
        with open(os.path.join(graph, name), encoding="utf-8") as file:
            found[name] = [row["id"] for row in json.load(file)]
    layer = store.containers.get("apart").layer
    assert list(found.values()) == [["apart"], [layer], ["seen", "lasting"]]
    flags = [store.containers.get(word).flags.get("Volatile") for word in ("seen", "apart", "lasting")]
    assert flags == [True, True, None]
    with pytest.raises(ImageUsedByContainer):
        store.images.delete("image")


@pytest.mark.usefixtures("image")
@pytest.mark.parametrize("transient", [True, False])
def test_an_image_under_a_container_of_the_other_way_stays(store: Store, graph: str, transient: bool) -> None:
    """Transient and ordinary stores do not show each other's volatile containers, and do not harm them either."""
    if not transient:
        make_volatile_files(graph)
    maker, other = (open_store(store.config.with_(transient_store=way)) for way in (transient, not transient))
    layer = maker.containers.create(NewContainer(id="box", image="image", volatile=True)).layer

    assert other.containers.find("box") is None
    with pytest.raises(ImageUsedByContainer, match="box"):
        other.images.delete("image")
    assert other.gc() == []
    assert layer in maker.layers.trees()
    assert maker.containers.get("box").image == "image"


def make_volatile_files(graph: str) -> None:
    """What a newer Go tool leaves when its last volatile container is gone."""
    for name in VOLATILE:
        os.makedirs(os.path.dirname(os.path.join(graph, name)), exist_ok=True)
        with open(os.path.join(graph, name), "w", encoding="ascii") as file:
            file.write("[]")


# ── files of whoever runs it ──


@pytest.mark.parametrize("run", [False, True])
def test_files_of_a_container_are_kept_in_its_directories(store: Store, run: bool) -> None:
    """Whole or not at all, in place of older ones, and in directories of their own."""
    store.containers.create(NewContainer(id="it", names=("name",)))
    store.containers.write_file("name", "config.json", b"old", run=run)
    store.containers.write_file("name", "config.json", b"new", run=run)
    store.containers.write_file("it", "a/b/c", b"deep", run=run)

    directory = store.containers.run_directory("it") if run else store.containers.directory("it")
    assert store.containers.read_file("it", "config.json", run=run) == b"new"
    assert store.containers.read_file("it", "a/b/c", run=run) == b"deep"
    assert sorted(os.listdir(directory)) == ["a", "config.json"]
    with pytest.raises(SystemFailure):
        store.containers.read_file("it", "config.json", run=not run)


def test_files_of_a_container_stay_in_its_directories(store: Store, tmp_path: Path) -> None:
    """No name and no link leads out of them."""
    store.containers.create(NewContainer(id="it"))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"theirs")
    directory = store.containers.directory("it")
    os.symlink(outside, os.path.join(directory, "link"))
    os.symlink(outside / "file", os.path.join(directory, "file"))

    for name in ("", "/etc/x", "../x", "a/../../x", "a//b", "."):
        with pytest.raises(InvalidDataName):
            store.containers.write_file("it", name, b"ours")
    with pytest.raises(SystemFailure):
        store.containers.write_file("it", "link/file", b"ours")
    for name in ("link/file", "file"):
        with pytest.raises(SystemFailure):
            store.containers.read_file("it", name)
    store.containers.write_file("it", "file", b"ours")

    assert store.containers.read_file("it", "file") == b"ours"
    assert (outside / "file").read_bytes() == b"theirs"
    assert os.listdir(outside) == ["file"]


# ── what is asked for, as properties ──


def test_a_container_tells_its_labels_and_options(store: Store) -> None:
    """Without a look at its flags; one of another tool may have none."""
    made = store.containers.create(
        NewContainer(process_label="p", mount_label="m", mount_options=("nodev", "ro"), volatile=True)
    )

    assert (made.process_label, made.mount_label, made.mount_options) == ("p", "m", ("nodev", "ro"))
    assert made.volatile
    bare = made.with_(flags={})
    assert (bare.process_label, bare.mount_label, bare.mount_options, bare.volatile) == ("", "", (), False)


def test_a_container_s_layer_may_have_a_given_id(store: Store) -> None:
    """If nobody has it; nothing is made otherwise."""
    made = store.containers.create(NewContainer(id="it", layer="mine"))

    assert made.layer == store.layers.get("mine").id == "mine"
    with pytest.raises(IDTaken):
        store.containers.create(NewContainer(id="other", layer="mine"))
    with pytest.raises(InvalidID):
        store.containers.create(NewContainer(id="other", layer="../x"))
    assert [container.id for container in store.containers.list()] == ["it"]
    assert store.layers.ids() == ["mine"]


def test_flags_are_set_and_cleared(store: Store) -> None:
    """Of any item, and all others stay; but not those by which the store knows what is unfinished."""
    store.containers.create(NewContainer(id="it", flags={"kept": 1}))
    store.set_flag("it", "mine", {"a": [True]})
    assert store.containers.get("it").flags["mine"] == {"a": [True]}
    store.clear_flag("it", "mine")
    store.clear_flag("it", "mine")

    assert store.containers.get("it").flags == {"kept": 1, "MountLabel": "", "ProcessLabel": ""}
    with pytest.raises(InvalidOption, match="incomplete"):
        store.set_flag(store.containers.get("it").layer, "incomplete", True)
    with pytest.raises(InvalidOption, match="of type object"):
        store.set_flag("it", "mine", object())


@pytest.mark.usefixtures("needs_root")
def test_a_store_may_map_what_nobody_maps(tmp_path: Path) -> None:
    """Layers without a parent, and containers; a host flag leaves a kind out, and a child is mapped as its parent."""
    config = load_config(Overrides(graph_root=str(tmp_path / "graph"), run_root=str(tmp_path / "run"), driver="vfs"))
    store = open_store(config.with_(id_map=MAPPED))
    base = store.layers.put(NewLayer(), make_tar(regular("file", b"data", uid=5)))
    host = store.layers.create(NewLayer(host_uids=True, host_gids=True))
    image = store.images.create(NewImage(layer=base.id)).id
    mine, plain = (
        store.containers.create(NewContainer(image=image, host_uids=flag, host_gids=flag)) for flag in (False, True)
    )

    assert store.id_map == MAPPED
    child = store.layers.create(NewLayer(parent=host.id))
    assert [base.id_map, host.id_map, child.id_map] == [MAPPED, IDMap(), IDMap()]
    assert [mine.id_map, plain.id_map] == [MAPPED, IDMap()]
    owners = [os.stat(os.path.join(store.mount(each.id), "file")).st_uid for each in (mine, plain)]
    assert owners == [100_005, 5]
