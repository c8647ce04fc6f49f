"""Docker's packages layer, image and overlay2."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from typing import TYPE_CHECKING

import pytest

from cstore import IDMap, NewLayer, errors
from cstore.docker import EMPTY_DIFF_ID, ImageStore, LayerStore, RootFS
from cstore.idmap import IDRange
from cstore.oci.chain import next_chain
from cstore.oci.child import Child
from tests.builders import make_tar, regular
from tests.conformance.lab import ARCHIVE, IMAGE, LAYER, LIMITS, OTHER, OVERLAY2, Lab, rows

if TYPE_CHECKING:
    from cstore.docker.layer import ReadOnlyLayer


def _two(layers: LayerStore) -> tuple[ReadOnlyLayer, ReadOnlyLayer]:
    base = layers.register(ARCHIVE)
    return base, layers.register(OTHER, base.chain_id)


def _config(*diff_ids: str) -> bytes:
    rootfs = {"type": "layers", "diff_ids": list(diff_ids)}
    return json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()


# ── layer ──


@rows(
    LAYER, "NewStoreFromOptions", "Register", "Register(io.Reader)", "Get", "Map", "Release", "ErrLayerDoesNotExist",
    "ErrLayerNotRetained", "ErrMaxDepthExceeded", "ChainID", "DiffID", "Parent", "CreateChainID", "Metadata of Release",
    "DriverName", "DriverStatus", "Cleanup",
)  # fmt: skip
def layers_are_registered_and_released(lab: Lab) -> None:
    """Once for each archive on one chain; a release deletes what nothing holds, from the top down."""
    layers = LayerStore(lab.store)
    base, top = _two(layers)
    assert (base.diff_id, top.chain_id) == (base.chain_id, next_chain(base.chain_id, top.diff_id))
    assert top.parent is not None
    assert (top.parent.layer, set(layers.map())) == (base.layer, {base.chain_id, top.chain_id})
    with pytest.raises(errors.ChainUnknown):
        layers.get("sha256:" + "0" * 64)
    with pytest.raises(errors.ChainUnknown):
        layers.register(ARCHIVE, "sha256:" + "0" * 64)
    with pytest.raises(errors.ChainTooDeep):
        LayerStore(lab.store, max_depth=1).register(ARCHIVE, base.chain_id)
    with pytest.raises(errors.LayerNotRetained):
        layers.release(layers.map()[top.chain_id])
    assert layers.release(base) == []
    again, reader = layers.get(top.chain_id), layers.register(io.BytesIO(OTHER), base.chain_id)
    assert reader.layer == top.layer
    assert [layers.release(each) for each in (top, again)] == [[], []]
    assert [one.chain_id for one in layers.release(reader)] == [top.chain_id, base.chain_id]
    assert (layers.driver_name, layers.driver_status() != [], list(layers.clean_up())) == (lab.driver, True, [])


@rows(LAYER, "Size", "DiffSize", "Metadata", "TarStream", "TarStreamFrom", "ErrNotParent")
def layers_give_their_archive_back(lab: Lab) -> None:
    """Byte for byte; against an ancestor, what changed since."""
    base, top = _two(LayerStore(lab.store))
    sink = io.BytesIO()
    top.write_tar(sink)
    assert sink.getvalue() == OTHER
    assert (top.diff_size(), top.size()) == (4, 8)
    assert dict(top.metadata()).keys() >= ({"UpperDir"} if lab.driver == "overlay" else set())
    top.write_tar_from(base.chain_id, part := io.BytesIO())
    assert b"other" in part.getvalue()
    with pytest.raises(errors.NotAnAncestor):
        base.write_tar_from(top.chain_id, io.BytesIO())


@rows(LAYER, "RegisterWithDescriptor", "DescribableStore", "Descriptor")
def descriptors_are_kept(lab: Lab) -> None:
    """With the layer, for every later reference."""
    layers = LayerStore(lab.store)
    said = {"mediaType": "application/x", "size": 7, "digest": "sha256:" + "1" * 64}
    layer = layers.register(ARCHIVE, descriptor=said)
    assert dict(LayerStore(lab.store).get(layer.chain_id).descriptor) == said
    assert dict(layers.register(OTHER).descriptor) == {}


@rows(LAYER, "IsEmpty", "EmptyLayer", "DigestSHA256EmptyTar")
def the_empty_layer_is_known(lab: Lab) -> None:
    """By its digest, which is that of 1024 zeros."""
    from cstore.docker.layer import EmptyLayer

    empty = LayerStore(lab.store).register(bytes(1024))
    assert (empty.is_empty, empty.diff_id) == (True, EMPTY_DIFF_ID)
    EmptyLayer.write_tar(sink := io.BytesIO())
    assert (sink.getvalue(), EmptyLayer.size()) == (bytes(1024), 0)
    assert "sha256:" + hashlib.sha256(bytes(1024)).hexdigest() == EMPTY_DIFF_ID


@rows(LAYER, "ReleaseAndLog", "LogReleaseMetadata")
def releases_are_logged(lab: Lab) -> None:
    """With what went."""
    told: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    log, handler = logging.getLogger("cstore.docker"), Handler()
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        layers = LayerStore(lab.store)
        layer = layers.register(ARCHIVE)
        layers.release_and_log(layer)
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
    assert any(layer.chain_id in line for line in told)


@rows(LAYER, "StoreOptions.IDMapping")
def a_layer_store_has_owners_of_its_own(lab: Lab) -> None:
    """On disk, and its archives come out as they came in."""
    id_map = IDMap((IDRange(0, 100_000, 1000),), (IDRange(0, 100_000, 1000),))
    layers = LayerStore(lab.store, id_map=id_map)
    layer = layers.register(make_tar(regular("file", b"x", uid=7)))
    writable = layers.writable.create("web", layer.chain_id)
    path = writable.mount()
    assert os.lstat(os.path.join(path, "file")).st_uid == 100_007
    writable.unmount()
    layer.write_tar(sink := io.BytesIO())
    assert sink.getvalue() == make_tar(regular("file", b"x", uid=7))


@rows(
    LAYER, "CreateRWLayer", "CreateRWLayerOpts.InitFunc", "CreateRWLayerOpts.MountLabel", "GetRWLayer", "GetMountID",
    "ReleaseRWLayer", "ErrMountDoesNotExist", "ErrMountNameConflict", "RWLayer.Name", "RWLayer.Mount",
    "RWLayer.Unmount", "RWLayer.Changes", "RWLayer.Size", "RWLayer.TarStream", "RWLayer.ApplyDiff", "RWLayer.Metadata",
    "RWLayer.Parent",
)  # fmt: skip
def writable_layers_have_names(lab: Lab) -> None:
    """With an init layer between that neither changes nor size show."""
    layers = LayerStore(lab.store)
    base = layers.register(ARCHIVE)

    def init(path: str) -> None:
        with open(os.path.join(path, ".made"), "wb") as file:
            file.write(b"x")

    writable = layers.writable.create("web", base.chain_id, init=init)
    path = writable.mount()
    assert sorted(os.listdir(path)) == [".made", "file"]
    with open(os.path.join(path, "mine"), "wb") as file:
        file.write(b"12345")
    writable.unmount()
    assert [change.text for change in writable.changes()] == ["/mine"]
    assert writable.size() == 5
    writable.write_tar(sink := io.BytesIO())
    assert b"mine" in sink.getvalue()
    assert writable.apply_diff(OTHER) == 4
    assert writable.metadata()
    assert writable.parent is not None
    assert (writable.parent.chain_id, layers.writable.mount_id("web")) == (base.chain_id, writable.layer)
    assert layers.writable.get("web").name == "web"
    with pytest.raises(errors.WritableLayerTaken):
        layers.writable.create("web")
    for name in ("nothing", base.layer):
        with pytest.raises(errors.WritableLayerUnknown):
            layers.writable.get(name)
    for reference in list(layers.writable._held["web"]):
        layers.writable.release(reference)
    assert list(layers.writable.names()) == []


@rows(LAYER, "CreateRWLayerOpts.StorageOpt", drivers=("btrfs",))
def writable_layers_are_limited(lab: Lab) -> None:
    """By a quota of the subvolume."""
    assert LayerStore(lab.store).writable.create("web", storage_options={"size": "64m"}).layer


@rows(LAYER, "CreateRWLayerOpts.StorageOpt without quotas", drivers=("vfs", "overlay"))
def limits_of_writable_layers_are_refused(lab: Lab) -> None:
    """In a sentence of the documentation."""
    layers = LayerStore(lab.store)
    lab.refused(lambda: layers.writable.create("web", storage_options={"size": "64m"}), errors.DriverError, LIMITS)
    with pytest.raises(errors.InvalidOption):
        layers.writable.create("web", storage_options={"other": "1"})


# ── image ──


@rows(
    IMAGE, "StoreBackend.Get", "Create", "Get", "Delete", "Search", "SetParent", "GetParent", "Children", "Map",
    "Heads", "Len", "SetLastUpdated", "GetLastUpdated", "SetBuiltLocally", "IsBuiltLocally", "StoreBackend.Walk",
    "DigestWalkFunc", "StoreBackend.SetMetadata", "StoreBackend.GetMetadata", "StoreBackend.DeleteMetadata",
    "StoreBackend.Set", "StoreBackend.Delete",
)  # fmt: skip
def images_are_kept_by_the_digest_of_their_config(lab: Lab) -> None:
    """With parents, times and marks; deleting one releases its layers."""
    layers = LayerStore(lab.store)
    base, top = _two(layers)
    images = ImageStore(lab.store, layers)
    parent, child = images.create(_config(base.diff_id)), images.create(_config(base.diff_id, top.diff_id))
    assert images.create(_config(base.diff_id)) == parent
    images.set_parent(child, parent)
    assert (images.parent(child), images.children(parent), images.heads()) == (parent, [child], [child])
    assert (len(images), set(images), set(images.map())) == (2, {parent, child}, {parent, child})
    assert images.search(parent.removeprefix("sha256:")[:12]) == parent
    images.set_last_updated(child)
    images.set_built_locally(child)
    assert (images.last_updated(child) != "", images.built_locally(child)) == (True, True)
    assert (images.last_updated(parent), images.built_locally(parent)) == ("", False)
    seen: list[str] = []
    images.walk(seen.append)
    assert set(seen) == {parent, child}
    lab.store.images.set_data(child.removeprefix("sha256:"), "mine", b"x")
    lab.store.images.delete_data(child.removeprefix("sha256:"), "mine")
    with pytest.raises(errors.ImageUnknown):
        images.get("sha256:" + "0" * 64)
    for reference in (top, base):
        layers.release(reference)
    freed = images.delete(child)
    assert [one.chain_id for one in freed] == [top.chain_id]
    assert images.get(parent).rootfs.diff_ids == (base.diff_id,)


@rows(
    IMAGE, "NewFromJSON", "RawJSON", "ID", "ImageID", "RunConfig", "BaseImgArch", "BaseImgVariant", "OperatingSystem",
    "Platform", "V1Image.ContainerConfig", "V1Image.Size", "V1Image.ID", "V1Image.Parent", "NewImage", "Clone",
    "NewHistory", "History", "NewRootFS", "RootFS.Append", "RootFS.Clone", "RootFS.ChainID", "NewChildImage",
    "ChildConfig", "CheckOS",
)  # fmt: skip
def configs_have_typed_fields(lab: Lab) -> None:
    """The bytes stay; what is not said is the host's, or now."""
    images = ImageStore(lab.store)
    empty = images.empty()
    assert (images.platform(empty).os, images.platform(empty).architecture != "") == ("linux", True)
    clone = empty.changed(author="me", os="linux")
    assert (clone.author, clone.id != empty.id, clone.digest) == ("me", True, f"sha256:{clone.id}")
    assert (clone.size, clone.parent, dict(clone.container_config), dict(clone.run_config)) == (None, "", {}, {})
    assert images.new_history(comment="made").created != ""
    rootfs = RootFS().append(EMPTY_DIFF_ID)
    assert rootfs.chain_id == EMPTY_DIFF_ID
    child = images.new_child(None, Child(author="me", container_config={"Cmd": ["a", "b"]}))
    assert (child.author, child.history[-1].created_by, child.history[-1].empty_layer) == ("me", "a b", True)
    assert images.create(child.raw).startswith("sha256:")
    for system in ("", "linux", "Linux"):
        images.check_system(system)
    with pytest.raises(errors.WrongSystem):
        images.check_system("plan9")


@rows(IMAGE, "NewFSStoreBackend", "NewImageStore", "commit", "tag")
def images_are_committed_and_tagged(lab: Lab) -> None:
    """What a writable layer changes becomes an image; the store's own records are the backend."""
    layers = LayerStore(lab.store)
    base = layers.register(ARCHIVE)
    images = ImageStore(lab.store, layers)
    parent = images.create(_config(base.diff_id))
    writable = layers.writable.create("web", base.chain_id)
    path = writable.mount()
    with open(os.path.join(path, "mine"), "wb") as file:
        file.write(b"x")
    writable.unmount()
    made = images.commit(writable, parent, author="me")
    assert len(images.get(made).rootfs.diff_ids) == 2
    assert images.tag(made, "app") == "docker.io/library/app:latest"
    assert lab.store.images.get("docker.io/library/app:latest").id == made.removeprefix("sha256:")


# ── overlay2 ──


@rows(
    OVERLAY2, "Create", "CreateReadWrite", "Exists", "Get", "Put", "Get/Put of a tree without a record", "Remove",
    "Remove of a tree without a record", "GetMetadata", "Status", "String", "Cleanup", "Init",
)  # fmt: skip
def trees_need_no_record(lab: Lab) -> None:
    """They are made, mounted to be read, and removed by their ID alone."""
    base = lab.put()
    tree = lab.store.layers.create_tree(NewLayer(parent=base.id))
    assert tree in lab.store.layers.trees()
    assert lab.store.layers.find(tree) is None
    with lab.store.layers.open_tree(tree) as path:
        assert os.listdir(path) == ["file"]
    lab.store.layers.delete_tree(tree)
    assert tree not in lab.store.layers.trees()
    with pytest.raises(errors.CstoreError):
        lab.store.layers.delete_tree(base.id)
    assert isinstance(dict(lab.store.layers.directories(base.id)), dict)


@rows(OVERLAY2, "Diff", "DiffSize", "ApplyDiff", "Changes", "Changes(id, '') of a layer that has a parent")
def changes_are_against_the_parent_or_nothing(lab: Lab) -> None:
    """Against nothing, all that is there."""
    base = lab.put()
    top = lab.put(OTHER, parent=base.id)
    assert [each.text for each in lab.store.layers.changes(top.id)] == ["/other"]
    assert {each.text for each in lab.store.layers.changes(top.id, whole=True)} >= {"/file", "/other"}
    assert [each.text for each in lab.store.layers.changes(top.id, base.id)] == ["/other"]
    lab.store.layers.write_tree(top.id, whole := io.BytesIO())
    lab.store.layers.write_changes(top.id, part := io.BytesIO())
    assert b"file" in whole.getvalue()
    assert b"\0file" not in part.getvalue()


@rows(OVERLAY2, "option overlay2.size", "CreateReadWrite StorageOpt size", drivers=("overlay",))
def project_quotas_are_refused(lab: Lab) -> None:
    """In a sentence of the documentation: no kernel here has them."""
    lab.refused(lambda: lab.store.layers.create(NewLayer(storage_options={"size": "1g"})), errors.DriverError, LIMITS)
