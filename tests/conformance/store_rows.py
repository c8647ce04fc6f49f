"""containers/storage: the store as a whole, items of any kind, mounts, checks."""

from __future__ import annotations

import os
import threading

import pytest

from cstore import LockPolicy, NewContainer, NewImage, NewLayer, errors, open_store
from cstore.check import CheckOptions
from cstore.check.repair import RepairOptions
from cstore.config import user_runtime_directory
from tests.conformance.lab import ARCHIVE, OTHER, STORAGE, Lab, rows


@rows(
    STORAGE, "GetStore", "StoreOptions", "GraphRoot", "RunRoot", "GraphOptions", "GraphDriverName", "GraphDriver",
    "TransientStore", "ImageStore", "PullOptions", "DefaultStoreOptions", "LoadStoreOptions", "UpdateStoreOptions",
)  # fmt: skip
def a_store_is_opened_and_tells_how(lab: Lab) -> None:
    """It says where it is, with which driver and options; nothing is made by opening it."""
    config = lab.store.config
    assert (config.graph_root, config.run_root) == (f"{lab.top}/graph", f"{lab.top}/run")
    assert (lab.store.driver_name, lab.store.context.driver.name) == (lab.driver, lab.driver)
    assert (config.transient_store, config.image_store) == (False, "")
    assert not lab.store.is_made
    assert lab.open(transient_store=True).config.transient_store
    assert not config.pulling.enable_partial_images


@rows(STORAGE, "ErrIncompleteOptions")
def a_store_without_a_place_is_refused(lab: Lab) -> None:
    """An empty graph root is no directory."""
    with pytest.raises(errors.ConfigError, match="graph root"):
        open_store(lab.store.config.with_(graph_root=""))


@rows(STORAGE, "SetDefaultConfigFilePath", "DefaultConfigFile", "ReloadConfigurationFile", "Save")
def a_configuration_file_is_named_by_argument(lab: Lab) -> None:
    """Whatever the environment says."""
    from cstore.config import Overrides, load_config

    path = lab.write("named.conf", b'[storage]\ngraphroot = "/named/graph"\nrunroot = "/named/run"\n')
    assert load_config(Overrides(config_file=path), environ={}).graph_root == "/named/graph"


@rows(STORAGE, "UIDMap", "GIDMap", "StoreOptions.UIDMap", "StoreOptions.GIDMap", "remap-uids", "remap-user")
def a_store_has_a_default_map(lab: Lab) -> None:
    """Of layers without a parent and of containers, spelled in the configuration."""
    from cstore.config import Overrides, load_config

    path = lab.write("mapped.conf", b'[storage.options]\nremap-uids = "0:100000:10"\nremap-gids = "0:200000:10"\n')
    config = load_config(Overrides(graph_root=f"{lab.top}/graph", run_root=f"{lab.top}/run", config_file=path))
    store = open_store(config, driver=lab.driver)
    assert store.id_map.to_host(1, 1) == (100001, 200001)
    assert store.containers.create(NewContainer()).id_map == store.id_map
    assert not lab.store.id_map


@rows(STORAGE, "GetRootlessRuntimeDir", "GetRootlessDirInfo", "GetRootlessUID", "IsRootless")
def the_runtime_directory_of_a_user_is_told(lab: Lab) -> None:
    """By the environment alone."""
    assert user_runtime_directory({"XDG_RUNTIME_DIR": lab.top}) == lab.top


@rows(STORAGE, "Version")
def the_version_is_told(lab: Lab) -> None:
    """That of the library."""
    from cstore import __version__

    assert lab.store.version == __version__


@rows(STORAGE, "Status", "GetDriver status")
def status_is_labels_and_values(lab: Lab) -> None:
    """At least where the store is, and its driver."""
    facts = dict(lab.store.status())
    assert facts["Root"] == f"{lab.top}/graph"
    assert facts["Driver Name"] == lab.driver


@rows(STORAGE, "Exists", "Lookup", "ErrNotAnID", "IsNotExist")
def anything_is_found_by_id_name_and_prefix(lab: Lab) -> None:
    """A whole ID or name goes before the beginning of another kind's ID."""
    layer = lab.put(id="cafe" * 16, names=("base",))
    image = lab.image(layer=layer.id, names=("cafe",))
    for word in (layer.id, "base", "cafec"):
        found = lab.store.find(word)
        assert found is not None
        assert found.id == layer.id
    found = lab.store.find("cafe")
    assert found is not None
    assert (found.kind, found.id) == ("image", image.id)
    assert lab.store.find("nothing") is None
    with pytest.raises(errors.UnknownItem):
        lab.store.delete("nothing")


@rows(STORAGE, "Delete")
def anything_is_deleted(lab: Lab) -> None:
    """Without a look at who uses it; a name means what has that name."""
    container = lab.container(id="cafe1" + "0" * 59)
    image = lab.image(names=("cafe",))
    lab.store.delete("cafe")
    assert lab.store.images.find(image.id) is None
    assert lab.store.containers.get(container.id)


@rows(STORAGE, "Names", "SetNames", "AddNames", "RemoveNames", "ErrDuplicateName")
def names_are_told_and_changed(lab: Lab) -> None:
    """Of every kind; a name that another item has moves, but not when an item is made."""
    items = (lab.put().id, lab.image().id, lab.container().id)
    for item in items:
        assert lab.store.set_names(item, ("a", "b")) == ("a", "b")
        assert lab.store.add_names(item, ("c",)) == ("c", "a", "b")
        assert lab.store.remove_names(item, ("a",)) == ("c", "b")
        assert lab.store.names(item) == ("c", "b")
    with pytest.raises(errors.NameTaken):
        lab.put(OTHER, names=("b",))


@rows(STORAGE, "Metadata", "SetMetadata")
def metadata_is_told_and_changed(lab: Lab) -> None:
    """Of every kind."""
    for item in (lab.put().id, lab.image().id, lab.container().id):
        lab.store.set_metadata(item, "said")
        assert lab.store.metadata(item) == "said"
    with pytest.raises(errors.NotAnItem):
        lab.store.set_metadata("nothing", "")


@rows(STORAGE, "SetFlag", "ClearFlag")
def flags_are_set_and_cleared(lab: Lab) -> None:
    """Of every kind, to anything that JSON has."""
    layer = lab.put(flags={"mine": 1}).id
    lab.store.set_flag(layer, "more", [1, {"a": None}])
    assert lab.store.layers.get(layer).flags == {"mine": 1, "more": [1, {"a": None}]}
    lab.store.clear_flag(layer, "mine")
    assert "mine" not in lab.store.layers.get(layer).flags


@rows(STORAGE, "Mount", "Unmount", "Mounted", "Layer.MountCount", "Layer.MountPoint", "ErrLayerNotMounted")
def mounts_are_counted(lab: Lab) -> None:
    """As many unmounts as mounts; the count and the place can be asked for."""
    layer = lab.put(names=("base",)).id
    path = lab.store.mount("base")
    assert (lab.store.mount("base"), lab.store.mount_count("base")) == (path, 2)
    assert os.path.samefile(lab.store.layers.mount_point(layer), path)
    assert layer in lab.store.layers.mount_points()
    assert os.listdir(path) == ["file"]
    assert [lab.store.unmount("base"), lab.store.mounted("base"), lab.store.unmount("base")] == [True, True, False]
    assert (lab.store.mounted("base"), lab.store.mount_count("base")) == (False, 0)
    with pytest.raises(errors.LayerUnknown):
        lab.store.mount("nothing")
    with lab.store.mounting("base") as path:
        assert lab.store.mount_count("base") == 1
    assert not lab.store.mounted("base")


@rows(STORAGE, "MountImage", "UnmountImage")
def images_are_mounted_read_only(lab: Lab) -> None:
    """Nobody can write to what is handed out, and the same count is kept."""
    lab.image(names=("app",))
    path = lab.store.images.mount("app")
    with pytest.raises(OSError, match="Read-only"), open(os.path.join(path, "file"), "wb"):
        pass
    with pytest.raises(errors.InvalidOption):
        lab.store.images.mount("app", options=("rw",))
    assert lab.store.images.unmount("app") is False
    with lab.store.images.mounting("app") as path:
        assert os.listdir(path) == ["file"]


@rows(STORAGE, "Shutdown", "Free", "ErrLayerUsedByContainer at shutdown")
def shutdown_names_what_is_mounted(lab: Lab) -> None:
    """Without force it is refused with the list; with it the list is returned."""
    layer = lab.put().id
    lab.store.mount(layer)
    with pytest.raises(errors.LayersMounted) as refused:
        lab.store.shutdown()
    assert list(refused.value.layers) == [layer]
    assert list(lab.store.shutdown(force=True)) == [layer]
    assert list(lab.store.shutdown()) == []


@rows(STORAGE, "Wipe")
def wiping_removes_everything(lab: Lab) -> None:
    """Layers, images, containers."""
    lab.container()
    lab.store.wipe()
    assert (lab.store.layers.list(), lab.store.images.list(), lab.store.containers.list()) == ([], [], [])


@rows(STORAGE, "GarbageCollect")
def leftovers_are_collected(lab: Lab) -> None:
    """What has no record goes, what has one stays."""
    layer = lab.put().id
    tree = lab.store.layers.create_tree(NewLayer())
    lab.store.gc()
    assert tree not in lab.store.layers.trees()
    assert layer in lab.store.layers.trees()


@rows(STORAGE, "GetDigestLock", "Locker", "GetLockfile", "GetROLockfile")
def one_importer_of_a_blob_works_and_one_waits(lab: Lab) -> None:
    """And finds it then; whoever has no lock policy gives up."""
    digest = "sha256:" + "1" * 64
    made: list[str] = []

    def importer() -> None:
        with lab.store.digest_lock(digest):
            found = lab.store.layers.by_digest(lab_digest)
            made.append(found[0].id if found else lab.put().id)

    lab_digest = lab.put().diff_digest
    threads = [threading.Thread(target=importer) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(made)) == 1
    hasty = open_store(lab.store.config, lock_policy=LockPolicy(timeout=0))
    with lab.store.digest_lock(digest), pytest.raises(errors.LockTimeout), hasty.digest_lock(digest):
        pass


@rows(STORAGE, "ErrStoreIsReadOnly", "additionalimagestores", drivers=("vfs", "overlay"))
def items_of_additional_stores_are_only_read(lab: Lab) -> None:
    """Every write to one says that its store is read-only."""
    layer, image = lab.put(names=("base",)).id, ""
    image = lab.image(layer=layer, names=("app",), data={"key": b"data"}).id
    with lab.above() as above:
        assert above.images.get_data("app", "key") == b"data"
        assert above.layers.read_only(layer)
        for write in (
            lambda: above.layers.delete(layer),
            lambda: above.images.delete(image),
            lambda: above.images.set_data(image, "key", b""),
            lambda: above.layers.set_data(layer, "key", b""),
            lambda: above.set_metadata(image, ""),
            lambda: above.set_metadata(layer, ""),
            lambda: above.set_names(layer, ("x",)),
            lambda: above.set_flag(layer, "x", 1),
            lambda: above.layers.apply_diff(layer, ARCHIVE),
            lambda: above.mount(layer),
        ):
            with pytest.raises(errors.ReadOnlyStore):
                write()


@rows(STORAGE, "ErrDuplicateImageNames", "ErrDuplicateLayerNames", "ErrDuplicateID", drivers=("vfs", "overlay"))
def names_that_are_there_twice_are_told(lab: Lab) -> None:
    """In a store that is only read nobody mends them; `check` names them."""
    import json

    lab.put(names=("twice",), id="one")
    lab.put(OTHER, id="two")
    with open(lab.records(), encoding="utf-8") as file:
        records = json.load(file)
    records[1]["names"] = ["twice"]
    with open(lab.records(), "w", encoding="utf-8") as file:
        json.dump(records, file)
    with lab.above() as above:
        assert any("twice" in finding.sentence for finding in above.check().findings)
    with pytest.raises(errors.IDTaken):
        lab.put(id="one")


@rows(STORAGE, "Layers with damaged records", "Images with damaged records", "Containers with damaged records")
def damaged_records_are_an_error(lab: Lab) -> None:
    """Never an empty answer; a store that is opened degraded tells what it could not read."""
    lab.container()
    for kind in ("layers", "images", "containers"):
        with open(lab.records(kind), "r+b") as file:
            file.truncate(20)
    for call in (lab.store.layers.list, lab.store.images.list, lab.store.containers.list):
        with pytest.raises(errors.RecordsDamaged):
            call()
    with pytest.raises(errors.RecordsDamaged):
        lab.store.find("word")
    degraded = lab.open(degraded=True)
    assert (degraded.layers.list(), len(degraded.flaws)) == ([], 1)


@rows(
    STORAGE, "Check", "CheckEverything", "CheckMost", "CheckOptions.LayerDigests", "CheckOptions.LayerContents",
    "CheckOptions.LayerData", "CheckOptions.ImageData", "CheckOptions.ContainerData", "CheckOptions.LayerMountable",
    "CheckOptions.LayerUnreferencedMaximumAge",
)  # fmt: skip
def checks_are_switched_one_by_one(lab: Lab) -> None:
    """Each finds what it is for, and not what another is for; mounting is really tried."""
    layer = lab.put().id
    lab.image(layer=layer, data={"key": b"data"}, id="image")
    assert lab.store.check(CheckOptions(layer_mountable=True, workers=1)).serious == ()
    os.unlink(_data_file(lab, "images", "image"))
    only = CheckOptions(
        layer_digests=False, layer_contents=False, layer_data=False, container_data=False, image_data=False, workers=1
    )
    assert lab.store.check(only).serious == ()
    assert [found.subject.id for found in lab.store.check(only.with_(image_data=True)).serious] == ["image"]
    path = lab.store.mount(layer)
    with open(os.path.join(path, "file"), "w", encoding="ascii") as file:
        file.write("TEXT")
    lab.store.unmount(layer)
    assert [found.subject.id for found in lab.store.check(only.with_(layer_digests=True)).serious] == [layer]


def _data_file(lab: Lab, kind: str, item: str) -> str:
    folder = os.path.join(lab.top, "graph", f"{lab.driver}-{kind}", item)
    return os.path.join(folder, next(name for name in os.listdir(folder) if name.startswith("=") or name == "key"))


@rows(STORAGE, "Repair", "RepairEverything", "RepairOptions.RemoveContainers", "CheckReport")
def a_report_is_repaired(lab: Lab) -> None:
    """What it names and nothing else; and it can be undone."""
    for name, archive in (("one", ARCHIVE), ("two", OTHER)):
        lab.put(archive, id=name)
        path = lab.store.mount(name)
        inner = os.path.join(path, os.listdir(path)[0])
        with open(inner, "w", encoding="ascii") as file:
            file.write("TEXT")
        lab.store.unmount(name)
    report = lab.store.check(CheckOptions(layers=("one",), workers=1))
    repaired = lab.store.repair(RepairOptions(sources=(lab.write("tar", ARCHIVE),), workers=1), report)
    assert {found.subject.id for found in repaired.left.serious} == {"two"}
    assert [case.id for case in lab.store.quarantine.list()] == [repaired.case]
    lab.store.quarantine.undo(repaired.case)
    assert {found.subject.id for found in lab.store.check(CheckOptions(workers=1)).serious} == {"one", "two"}


@rows(STORAGE, "Dedup", "DedupArgs")
def equal_files_share_their_space(lab: Lab) -> None:
    """Where the file system can; else it says that it cannot."""
    lab.image()
    lab.image(layer=lab.put(OTHER).id)
    assert lab.store.dedup(dry_run=True).files >= 0


@rows(STORAGE, "LookupAdditionalLayer", "AdditionalLayer", drivers=("overlay",))
def additional_layer_stores_are_asked(lab: Lab) -> None:
    """A store with one opens; what it does not have is an error that names it."""
    os.mkdir(os.path.join(lab.top, "far"))
    store = lab.open(driver_options=(f"overlay.additionallayerstore={lab.top}/far",))
    assert store.layers.list() == []
    with pytest.raises(errors.DriverError):
        store.layers.from_additional_store("sha256:" + "1" * 64, "example.org/app:1", NewLayer())


@rows(STORAGE, "errors of kinds", "ErrLayerUnknown", "ErrImageUnknown", "ErrContainerUnknown")
def what_is_unknown_has_an_error_of_its_kind(lab: Lab) -> None:
    """Before there is a store, and after."""
    for _ in range(2):
        for call, error in (
            (lab.store.layers.get, errors.LayerUnknown),
            (lab.store.images.get, errors.ImageUnknown),
            (lab.store.containers.get, errors.ContainerUnknown),
        ):
            with pytest.raises(error, match="nothing"):
                call("nothing")
        lab.store.images.create(NewImage())
