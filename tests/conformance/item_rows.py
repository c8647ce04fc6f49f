"""containers/storage: layers, images and containers."""

from __future__ import annotations

import gzip
import io
import os

import pytest

from cstore import AutoMap, Compression, IDMap, NewContainer, NewImage, NewLayer, errors
from cstore.idmap import IDRange
from tests.builders import make_tar, regular, whiteout
from tests.conformance.lab import ARCHIVE, LIMITS, OTHER, STORAGE, Lab, rows

MAP = IDMap((IDRange(0, 100_000, 1000),), (IDRange(0, 200_000, 1000),))

# ── layers ──


@rows(
    STORAGE, "CreateLayer", "LayerOptions.BigData", "LayerOptions.Flags", "Layer", "Layers", "Layer.Created",
    "Layer.Metadata", "Layer.Flags", "Layer.Parent", "Layer.Names", "Layer.ReadOnly", "LayerOptions.TemplateLayer",
)  # fmt: skip
def layers_are_made_and_listed(lab: Lab) -> None:
    """With all that is asked for."""
    base = lab.put(id="base")
    made = lab.store.layers.create(
        NewLayer(parent="base", names=("top",), metadata="said", flags={"f": 1}, data={"k": b"d"}, mount_label="")
    )
    assert (made.parent, made.names, made.metadata, made.flags) == ("base", ("top",), "said", {"f": 1})
    assert made.created_at is not None
    assert lab.store.layers.get_data("top", "k") == b"d"
    assert lab.store.layers.list() == [base, made]
    assert lab.store.layers.get("top") == lab.store.layers.find(made.id) == made
    assert not lab.store.layers.read_only(made.id)
    copy = lab.store.layers.create(NewLayer(template="base"))
    assert (copy.diff_digest, copy.parent) == (base.diff_digest, "")


@rows(STORAGE, "PutLayer", "LayerOptions.OriginalDigest", "LayerOptions.UncompressedDigest", "io.Reader sources")
def layers_are_put_from_anything_that_reads(lab: Lab) -> None:
    """A path, bytes, a descriptor, a file, and held to the digest that is expected of them."""
    path = lab.write("tar.gz", gzip.compress(ARCHIVE))
    with open(path, "rb") as file, open(path, "rb") as again:
        for source in (path, ARCHIVE, io.BytesIO(ARCHIVE), file, again.fileno()):
            assert lab.store.layers.put(NewLayer(), source).diff_size == len(ARCHIVE)
    layer = lab.store.layers.list()[0]
    for digest in (layer.diff_digest, layer.compressed_digest):
        assert lab.store.layers.put(NewLayer(expect=digest), path).diff_digest == layer.diff_digest
    for request, archive in ((NewLayer(expect=layer.diff_digest), OTHER), (NewLayer(refuse_empty=True), b"")):
        with pytest.raises(errors.ArchiveUnexpected):
            lab.store.layers.put(request, archive)
    assert lab.put(reuse=True).id in {each.id for each in lab.store.layers.list()}


@rows(STORAGE, "LayersByCompressedDigest", "LayersByUncompressedDigest", "ErrInvalidDigest")
def layers_are_found_by_digest(lab: Lab) -> None:
    """As the archive came, and uncompressed."""
    layer = lab.put(gzip.compress(ARCHIVE))
    assert lab.store.layers.by_digest(layer.compressed_digest, compressed=True) == [layer]
    assert lab.store.layers.by_digest(layer.diff_digest, compressed=False) == [layer]
    assert lab.store.layers.by_digest(layer.diff_digest, compressed=True) == []
    with pytest.raises(errors.InvalidDigest):
        lab.store.layers.by_digest("sha256:1")


@rows(STORAGE, "LayerSize", "Layer.UncompressedSize", "Layer.CompressedSize", "ErrSizeUnknown")
def sizes_may_be_unknown(lab: Lab) -> None:
    """An empty archive has a size; a layer of none has not."""
    assert lab.put(b"").known_size == 0
    made = lab.store.layers.create(NewLayer())
    assert (made.known_size, made.known_compressed_size) == (None, None)
    assert lab.put().known_compressed_size == len(ARCHIVE)


@rows(STORAGE, "DeleteLayer", "ErrLayerHasChildren", "ErrLayerUsedByImage", "ErrLayerUsedByContainer", "ErrNotALayer")
def layers_in_use_are_not_deleted(lab: Lab) -> None:
    """Whatever they are called by."""
    base = lab.put(names=("base",))
    top = lab.store.layers.create(NewLayer(parent=base.id))
    image = lab.image(layer=top.id)
    container = lab.container(image=image.id)
    for word, error in (
        ("base", errors.LayerHasChildren), (top.id, errors.LayerHasChildren),
        (container.layer, errors.LayerUsedByContainer), ("nothing", errors.NotALayer),
    ):  # fmt: skip
        with pytest.raises(error):
            lab.store.layers.delete(word)
    lab.store.containers.delete(container.id)
    with pytest.raises(errors.LayerUsedByImage):
        lab.store.layers.delete(top.id)
    lab.store.images.delete(image.id)
    assert lab.store.layers.list() == []


@rows(STORAGE, "ErrParentUnknown", "ErrParentIsContainer")
def parents_must_be_there(lab: Lab) -> None:
    """To build on, and to compare with."""
    import json

    with pytest.raises(errors.LayerUnknown):
        lab.put(parent="nothing")
    container = lab.container()
    with pytest.raises(errors.ParentIsContainer):
        lab.put(parent=container.layer)
    with open(lab.records(), encoding="utf-8") as file:
        records = json.load(file)
    with open(lab.records(), "w", encoding="utf-8") as file:
        json.dump([each for each in records if each["id"] == container.layer], file)
    for call in (lab.store.layers.changes, lab.store.layers.diff_size):
        with pytest.raises(errors.ParentUnknown):
            call(container.layer)


@rows(STORAGE, "Changes", "Diff", "DiffOptions.Compression", "DiffSize", "ApplyDiff")
def layers_are_compared_and_changed(lab: Lab) -> None:
    """Changes as paths with a text, a diff to a path, a file, a writer or a stream, an archive applied whole or not."""
    base = lab.put(names=("base",))
    top = lab.store.layers.put(NewLayer(parent=base.id), make_tar(whiteout("file"), regular("new", b"12345")))
    changes = [(change.kind.name, change.text) for change in lab.store.layers.changes(top.id)]
    assert changes == [("DELETE", "/file"), ("ADD", "/new")]
    assert lab.store.layers.diff_size(top.id) == 5
    uploader = io.BytesIO()
    lab.store.layers.diff(base.id, uploader)
    lab.store.layers.diff(base.id, os.path.join(lab.top, "copy"))
    with lab.store.layers.diff(base.id) as stream, open(os.path.join(lab.top, "copy"), "rb") as file:
        assert uploader.getvalue() == stream.read() == file.read() == ARCHIVE
    lab.store.layers.diff(base.id, packed := io.BytesIO(), compression=Compression.GZIP)
    assert gzip.decompress(packed.getvalue()) == ARCHIVE
    lab.store.layers.apply_diff(top.id, OTHER)
    assert {each.text for each in lab.store.layers.changes(top.id)} == {"/file", "/new", "/other"}
    with pytest.raises(errors.ArchiveError):
        lab.store.layers.apply_diff(top.id, ARCHIVE[:700] + b"x" * 400)
    assert {each.text for each in lab.store.layers.changes(top.id)} == {"/file", "/new", "/other"}


@rows(
    STORAGE, "ApplyDiffWithDiffer", "PrepareStagedLayer", "ApplyStagedLayer", "ApplyDiffFromStagingDirectory",
    "CleanupStagedLayer", "CleanupStagingDirectory", "DifferTarget",
)  # fmt: skip
def directories_are_staged_and_become_layers(lab: Lab) -> None:
    """By rename: the caller fills one, it is a layer or it is cleaned; a directory of the user's stays as it was."""
    with lab.store.layers.stage(NewLayer(names=("base",))) as staged:
        with open(os.path.join(staged.directory, "file"), "wb") as file:
            file.write(b"text")
        number = os.stat(os.path.join(staged.directory, "file")).st_ino
        layer = lab.store.layers.apply_staged(staged)
    with lab.store.layers.open_tree(layer.id) as tree:
        assert os.stat(os.path.join(tree, "file")).st_ino == number
    another = lab.store.layers.stage(NewLayer())
    lab.store.layers.clean_staged(another)
    assert not os.path.exists(another.directory)


@rows(STORAGE, "LayerBigData", "SetLayerBigData", "ListLayerBigData", "ErrInvalidBigDataName")
def layers_have_data_items(lab: Lab) -> None:
    """As bytes, as streams, and deleted."""
    layer = lab.put().id
    lab.store.layers.set_data(layer, "key", io.BytesIO(b"data"))
    assert lab.store.layers.data_names(layer) == ("key",)
    with lab.store.layers.open_data(layer, "key") as stream:
        assert stream.read() == lab.store.layers.get_data(layer, "key") == b"data"
    lab.store.layers.delete_data(layer, "key")
    with pytest.raises(errors.DataItemUnknown):
        lab.store.layers.get_data(layer, "key")
    with pytest.raises(errors.InvalidDataName):
        lab.store.layers.set_data(layer, "", b"")


@rows(STORAGE, "LayerParentOwners", "ContainerParentOwners", "Layer.UIDs", "Layer.GIDs", "Layer.UIDMap", "Layer.GIDMap")
def owners_are_mapped_and_told(lab: Lab) -> None:
    """Those of the archive, the map, and the owners above a mount that the map does not cover."""
    layer = lab.put(make_tar(regular("file", b"x", uid=5, gid=6)), id_map=MAP, owners_on_disk=True)
    assert (layer.uids, layer.gids, layer.id_map) == ((5,), (6,), MAP)
    with lab.store.mounting(layer.id) as path:
        found = os.lstat(os.path.join(path, "file"))
        assert (found.st_uid, found.st_gid) == (100_005, 200_006)
        uids, gids = lab.store.layers.parent_owners(layer.id)
        assert set(uids) | set(gids) == {0}


# ── images ──


@rows(
    STORAGE, "CreateImage", "ImageOptions", "ImageOptions.Digests", "ImageOptions.NamesHistory", "ImageOptions.Flags",
    "Image", "Images", "ImagesByDigest", "ImagesByTopLayer", "ImageSize", "Image.Digests", "Image.NamesHistory",
)  # fmt: skip
def images_are_made_and_found(lab: Lab) -> None:
    """By name, by the digests of their manifests, by their top layer; with their size in bytes."""
    layer = lab.put().id
    digests = ["sha256:" + digit * 64 for digit in "12"]
    made = lab.store.images.create(
        NewImage(
            layer=layer, names=("app",), names_history=("old",), metadata="said", digest=digests[0], flags={"f": 1},
            created="2020-01-01T00:00:00Z", data={"manifest-one": b"{}"},
        )
    )  # fmt: skip
    assert made.created_at is not None
    assert (made.names, made.names_history, made.created_at.year) == (("app",), ("old",), 2020)
    assert lab.store.images.list() == [made] == [lab.store.images.get("app")]
    assert digests[0] in lab.store.images.digests(made)
    for digest in lab.store.images.digests(made):
        assert lab.store.images.by_digest(digest) == [made]
    assert lab.store.images.by_digest(digests[1]) == []
    assert lab.store.images.by_top_layer(layer) == [made]
    assert lab.store.images.size("app") == len(ARCHIVE) + 2
    assert [layer.id for layer in lab.store.layers.chain(made.layer)] == [layer]


@rows(STORAGE, "DeleteImage", "ErrImageUsedByContainer", "ErrNotAnImage")
def images_in_use_are_not_deleted(lab: Lab) -> None:
    """Without `commit` only the layers are told that would go."""
    container = lab.container()
    with pytest.raises(errors.ImageUsedByContainer):
        lab.store.images.delete(container.image)
    with pytest.raises(errors.NotAnImage):
        lab.store.images.delete("nothing")
    lab.store.containers.delete(container.id)
    would = lab.store.images.delete(container.image, commit=False)
    assert lab.store.images.delete(container.image) == would
    assert (len(would), lab.store.layers.list()) == (1, [])


@rows(
    STORAGE, "ImageBigData", "ImageBigDataSize", "ImageBigDataDigest", "ListImageBigData", "SetImageBigData",
    "ErrDigestUnknown", "ImageDirectory", "ImageRunDirectory",
)  # fmt: skip
def images_have_data_items_and_directories(lab: Lab) -> None:
    """With size and digest; as streams, too, and deleted."""
    image = lab.image().id
    lab.store.images.set_data(image, "key", io.BytesIO(b"data"))
    assert (lab.store.images.data_names(image), lab.store.images.data_size(image, "key")) == (("key",), 4)
    assert lab.store.images.data_digest(image, "key").startswith("sha256:3a6eb079")
    with lab.store.images.open_data(image, "key") as stream:
        assert stream.read() == lab.store.images.get_data(image, "key")
    lab.store.images.delete_data(image, "key")
    with pytest.raises(errors.DataItemUnknown):
        lab.store.images.data_size(image, "key")
    assert os.path.isdir(lab.store.images.directory(image))
    assert os.path.isdir(lab.store.images.run_directory(image))


# ── containers ──


@rows(
    STORAGE, "CreateContainer", "ContainerOptions.BigData", "ContainerOptions.Flags", "ContainerOptions.MountOpts",
    "ContainerOptions.Volatile", "Container", "Containers", "ContainerByLayer", "ContainerSize",
    "Container.MountLabel()", "Container.ProcessLabel()", "Container.MountOpts()", "ContainerOptions.LabelOpts",
    "LayerID of CreateContainer",
)  # fmt: skip
def containers_are_made_and_found(lab: Lab) -> None:
    """With all that is asked for: labels, mount options, flags, the ID of the layer, data."""
    options = ("nodev",) if lab.driver == "overlay" else ()
    container = lab.container(
        layer="f" * 64, names=("web",), metadata="said", mount_options=options, flags={"f": 1}, data={"k": b"d"},
        label_options=("type:t", "level:s0:c1,c2"), volatile=True,
    )  # fmt: skip
    assert (container.layer, container.mount_options, container.volatile) == ("f" * 64, options, True)
    assert (container.mount_label, container.process_label) == ("", "") or os.path.exists("/sys/fs/selinux/enforce")
    assert lab.store.containers.list() == [container] == [lab.store.containers.get("web")]
    assert lab.store.containers.by_layer("f" * 64) == container
    assert lab.store.containers.size("web") >= 0
    for request in (NewContainer(process_label="a:b:c:d"), NewContainer(label_options=("nothing",))):
        with pytest.raises(errors.InvalidOption):
            lab.store.containers.create(request)


@rows(STORAGE, "ContainerOptions.StorageOpt", drivers=("btrfs",))
def a_container_s_layer_is_limited(lab: Lab) -> None:
    """By a quota of the subvolume."""
    container = lab.container(storage_options={"size": "64m"})
    assert lab.store.containers.get(container.id)


@rows(STORAGE, "ContainerOptions.StorageOpt without quotas", drivers=("vfs", "overlay"))
def limits_without_quotas_are_refused(lab: Lab) -> None:
    """In a sentence of the documentation; nothing is made."""
    image = lab.image().id
    lab.refused(
        lambda: lab.store.containers.create(NewContainer(image=image, storage_options={"size": "64m"})),
        errors.DriverError,
        LIMITS,
    )
    assert lab.store.containers.list() == []


@rows(STORAGE, "IDMappingOptions", "AutoUserNs", "ErrNoAvailableIDs", "ContainerOptions.IDMappingOptions")
def containers_have_maps(lab: Lab) -> None:
    """A given one, or one that is chosen."""
    image = lab.image().id
    container = lab.container(image=image, id_map=MAP)
    assert container.id_map == MAP
    with lab.store.mounting(container.id) as path:
        assert os.lstat(os.path.join(path, "file")).st_uid == 100_000
    with pytest.raises(errors.NoFreeIDs):
        lab.container(image=image, auto_map=AutoMap(size=2**31))


@rows(STORAGE, "DeleteContainer", "ErrNotAContainer")
def containers_are_deleted(lab: Lab) -> None:
    """With their layer."""
    container = lab.container()
    lab.store.containers.delete(container.id)
    assert lab.store.layers.find(container.layer) is None
    with pytest.raises(errors.NotAContainer):
        lab.store.containers.delete(container.id)


@rows(
    STORAGE, "ContainerBigData", "ContainerBigDataSize", "ContainerBigDataDigest", "ListContainerBigData",
    "SetContainerBigData",
)  # fmt: skip
def containers_have_data_items(lab: Lab) -> None:
    """With size and digest; as streams, too, and deleted."""
    item = lab.container().id
    lab.store.containers.set_data(item, "key", b"data")
    assert (lab.store.containers.data_names(item), lab.store.containers.data_size(item, "key")) == (("key",), 4)
    assert lab.store.containers.data_digest(item, "key").startswith("sha256:3a6eb079")
    with lab.store.containers.open_data(item, "key") as stream:
        assert stream.read() == lab.store.containers.get_data(item, "key")
    lab.store.containers.delete_data(item, "key")
    assert lab.store.containers.data_names(item) == ()


@rows(
    STORAGE, "ContainerDirectory", "ContainerRunDirectory", "SetContainerDirectoryFile", "FromContainerDirectory",
    "SetContainerRunDirectoryFile", "FromContainerRunDirectory",
)  # fmt: skip
def containers_have_directories_with_files(lab: Lab) -> None:
    """In the directory that stays and in the one that a reboot forgets; no name leads out of them."""
    item = lab.container().id
    containers = lab.store.containers
    for run, directory in ((False, containers.directory(item)), (True, containers.run_directory(item))):
        lab.store.containers.write_file(item, "sub/file", b"data", run=run)
        assert lab.store.containers.read_file(item, "sub/file", run=run) == b"data"
        assert os.path.isfile(os.path.join(directory, "sub", "file"))
        with pytest.raises(errors.CstoreError):
            lab.store.containers.write_file(item, "../out", b"", run=run)
