"""Create containers: a record, and a writable layer on top of an image's.

    look ──► choose the ID map ──► find or create the base layer ──► stage the tree above it
         ──► lock ──► check again ──► layer ──► data ──► container's record

The record decides: the next writer removes what a crash leaves without one (container_journal.py). Only a mapped layer
of the image's top layer stays, for the next container with that map. (store-format 2.4, semantics 7)
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, suppress

from cstore.drivers.contract import TreeOptions
from cstore.errors import CstoreError, IDTaken, ImageUnknown, InvalidOption, LayerUnknown, NameTaken, SystemFailure
from cstore.fs import within
from cstore.fs.lockfile import make_directories
from cstore.idmap import IDENTITY, IDMap, check_possible
from cstore.ids import check_id, new_id, unique_names
from cstore.records.codec import now
from cstore.records.model import Container, Layer
from cstore.records.table import Location
from cstore.store import container_journal as journal
from cstore.store.applied_layer import fill
from cstore.store.bigdata import store_items, with_items
from cstore.store.creation import check_new_id
from cstore.store.lookup import find_layer, get_image
from cstore.store.maps import default_map, explained, map_fields, map_on_disk, wanted_map
from cstore.store.places import ItemKind, volatile_location
from cstore.store.reading import Reader
from cstore.store.session import Writer, prepare, writing
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from cstore.archive.streams import ReadInto
    from cstore.drivers.contract import StagedTree
    from cstore.records.model import Image
    from cstore.store.context import Context
    from cstore.store.lookup import Tables
    from cstore.store.userns import AutoMap


class NewContainer(Value):
    """The request for a new container.

    Attributes:
        image: by ID, name or unique ID prefix; "" for a container without one.
        layer: the ID of the container's own layer; "" for a random one.
        id_map: the container's ID map; None for the store's default.
        host_uids, host_gids: leave out the map's part of that kind.
        auto_map: choose a map instead; see `userns.choose_map`.
        process_label, mount_label: SELinux labels, both or neither; without them, the host's policy chooses.
        label_options: changes to the chosen labels; see `labels.choose_labels`.
        storage_options: for the driver, such as a limit of the layer's size.
        volatile: whether a power cut may destroy the container's changes.
        mount_options: options for mounts of the container's layer.
        flags: recorded unchanged.
        data: data items, by key.
        created: the time of creation, RFC 3339; "" for now.
    """

    image: str = ""
    id: str = ""
    names: tuple[str, ...] = ()
    metadata: str = ""
    id_map: IDMap | None = None
    host_uids: bool = False
    host_gids: bool = False
    auto_map: AutoMap | None = None
    process_label: str = ""
    mount_label: str = ""
    storage_options: Mapping[str, str] = {}
    volatile: bool = False
    mount_options: tuple[str, ...] = ()
    flags: Mapping[str, Any] = {}
    data: Mapping[str, bytes] = {}
    layer: str = ""
    label_options: tuple[str, ...] = ()
    created: str = ""


class _Base(Value):
    """The layer below the container's layer, and the ID map of the latter."""

    layer: Layer | None
    own_map: IDMap

    @property
    def id(self) -> str:
        """The ID of the base layer, or ""."""
        return "" if self.layer is None else self.layer.id

    @property
    def id_map(self) -> IDMap:
        """The ID map of the base layer."""
        return IDENTITY if self.layer is None else self.layer.id_map


def create_container(
    context: Context,
    request: NewContainer,
    contents: int | ReadInto | None = None,
    directory: int | ReadInto | None = None,
) -> Container:
    """Create a container from an image, or from nothing.

    Args:
        context: the store.
        request: the request.
        contents: an archive of the container's changes, read to its end before the container exists; None for no
            changes.
        directory: an archive of the directory that engines keep for the container; None for nothing.

    Raises:
        ArchiveError: `contents` or `directory` cannot be unpacked; nothing of them remains.
        ImageUnknown: the image is unknown, or was removed in the meantime.
        LayerUnknown: the image's top layer is missing, or was removed in the meantime.
        IDTaken, NameTaken, InvalidID, InvalidName: the ID or a name is taken or invalid.
        InvalidIDMap: the kernel would refuse the map, or the map does not cover an owner in the image.
        InvalidOption: one of two labels is missing, a label option is invalid, or no ID map can be chosen.
        InvalidDataName: a data item cannot have that name.
        DriverError: the driver does not accept a storage option.
    """
    request = _labeled(context, request)
    _check_new(Reader(context), request)  # an invalid request leaves no trace, not even a store
    with ExitStack() as stack:
        wanted = wanted_map(request, default_map(context))
        if request.auto_map is not None or wanted:
            from cstore.store.userns import choosing

            stack.enter_context(choosing(context))  # others choose no ID ranges until this container's are recorded
        image = get_image(Reader(context), request.image) if request.image else None
        if request.auto_map is None:
            id_map = wanted
        else:
            from cstore.store.userns import choose_map

            id_map = choose_map(context, request.auto_map, image)
        check_possible(id_map)
        base: Layer | None = None
        own_map = map_on_disk(context.driver, id_map)
        if image is not None and image.layer:
            from cstore.store.mapped_layers import base_layer

            base, must_change = base_layer(context, image, id_map, request.mount_label)
            own_map = own_map if must_change else base.id_map
        kept = stack.enter_context(_unpacked(context, directory))
        return _create(context, request, image, id_map, _Base(base, own_map), contents, kept)


# ── the request ──


def _labeled(context: Context, request: NewContainer) -> NewContainer:
    """Return the request with its own labels or, without them, with chosen ones."""
    from cstore.store.labels import choose_labels

    if request.label_options and request.process_label:
        raise InvalidOption("both labels and label options are given", hint="give only one of them")
    if bool(request.process_label) != bool(request.mount_label):
        raise InvalidOption(
            "a process label and a mount label belong together, but one of them is missing",
            hint="give both, or neither",
            go_text="ProcessLabel and Mountlabel must either not be specified or both specified",
        )
    if request.process_label:
        return request
    containers = Reader(context).containers
    process, mount = choose_labels(request.label_options, lambda: [each.process_label for each in containers])
    return request.with_(process_label=process, mount_label=mount)


def _check_new(tables: Tables, request: NewContainer) -> tuple[str, ...]:
    """Check that the container's ID and names are free; return the names, each once."""
    if request.id and check_id(request.id) in tables.containers:
        raise IDTaken("container", request.id)
    if request.layer:
        check_new_id(tables, request.layer)
    names = unique_names(request.names)
    for name in names:
        holder = tables.containers.named(name)
        if holder is not None:
            raise NameTaken("container", name, holder.id)
    return names


# ── the layer ──


def _create(
    context: Context,
    request: NewContainer,
    image: Image | None,
    id_map: IDMap,
    base: _Base,
    contents: int | ReadInto | None,
    kept: str,
) -> Container:
    from cstore.fs.atomic import sync_filesystem

    prepare(context)
    options = TreeOptions(
        id_map=base.own_map,
        parent_map=base.id_map,
        mount_label=request.mount_label,
        storage_options=request.storage_options,
    )
    staged = context.driver.stage(base.id or None, options)
    try:
        if contents is not None:
            with explained(base.own_map):
                fill(context, staged, contents, base.own_map, None).staging.remove()
        if staged.copied and context.sync:
            sync_filesystem(staged.tree)  # without a lock, so that nobody waits for the disk
        item_kinds = (
            (ItemKind.LAYERS, ItemKind.IMAGES, ItemKind.CONTAINERS) if image else (ItemKind.LAYERS, ItemKind.CONTAINERS)
        )
        with writing(context, *item_kinds, prepared=True) as writer:
            names = _check_new(writer, request)
            # The lock prevents the removal of image and base layer from here on.
            if image is not None and get_image(writer, image.id).layer != image.layer:
                raise ImageUnknown(request.image)
            if base.layer is not None:
                found = find_layer(writer, base.id)
                if found is None or found.created != base.layer.created:
                    raise LayerUnknown(base.id)
            container, layer = _records(writer, request, image, id_map, base)
            return _publish(writer, request, container.with_(names=names), layer, staged, kept)
    finally:
        staged.staging.remove()


def _records(
    writer: Writer, request: NewContainer, image: Image | None, id_map: IDMap, base: _Base
) -> tuple[Container, Layer]:
    layer = Layer(
        id=check_new_id(writer, request.layer),
        parent=base.id,
        mount_label=request.mount_label,
        created=now(),
        **map_fields(base.own_map),
    )
    flags = {**request.flags, "MountLabel": request.mount_label, "ProcessLabel": request.process_label}
    if request.mount_options:
        flags["MountOpts"] = list(request.mount_options)
    if request.volatile or writer.layout.transient:
        flags["Volatile"] = True
    container = Container(
        id=request.id or new_id(lambda candidate: candidate in writer.containers),
        image="" if image is None else image.id,
        layer=layer.id,
        metadata=request.metadata,
        created=request.created or now(),
        flags=flags,
        **map_fields(id_map),
    )
    return container, layer


def _publish(
    writer: Writer, request: NewContainer, container: Container, layer: Layer, staged: StagedTree, kept: str
) -> Container:
    """Publish the layer and then the container, or raise and leave the records as they were.

    `kept` becomes the container's own directory, unless it is "". Volatile items are recorded at `volatile_location`.
    """
    volatile = container.flags.get("Volatile") is True
    of_layer, of_container = (
        volatile_location(writer.layout, item_kind) if volatile else Location.STABLE
        for item_kind in (ItemKind.LAYERS, ItemKind.CONTAINERS)
    )
    container = with_items(container, request.data)
    journal.begin(writer, journal.Pair(container=container.id, layer=layer.id))
    try:
        writer.layers.add(layer.with_(flags={"incomplete": True}), of_layer)
        writer.save(ItemKind.LAYERS)
        writer.driver.adopt(staged, layer.id, layer.parent or None)
        store_items(writer, ItemKind.CONTAINERS, container.id, request.data)
        if kept:
            _give_directory(writer, container.id, kept)
        writer.layers.replace(layer)
        writer.save(ItemKind.LAYERS)
        writer.containers.add(container, of_container)
        writer.save(ItemKind.CONTAINERS)
    except BaseException:
        with suppress(CstoreError):  # report the first error; the next writer completes this by the journal
            from cstore.store.removal import discard_container_data, withdraw

            if container.id in writer.containers:
                writer.containers.remove(container.id)
            writer.save(ItemKind.CONTAINERS)
            withdraw(writer, layer.id)
            discard_container_data(writer, container.id)
            journal.end(writer)
        raise
    journal.end(writer)
    return container


@contextmanager
def _unpacked(context: Context, directory: int | ReadInto | None) -> Iterator[str]:
    """Unpack the archive of a container's own directory beside the store's layers; yield "" if there is none."""
    if directory is None:
        yield ""
        return
    from cstore.archive.apply import ApplyOptions, apply_archive
    from cstore.fs.staging import StagingRoot
    from cstore.kernel.namespaces import in_user_namespace

    prepare(context)
    staging = StagingRoot(context.layout.layers_staging).reserve()
    try:
        path = os.path.join(staging.path, "directory")
        os.mkdir(path, 0o700)
        options = ApplyOptions(
            in_user_namespace=in_user_namespace() or os.geteuid() != 0,
            ignore_chown_errors=context.ignore_chown_errors,
            sync=context.sync,
        )
        apply_archive(directory, path, os.path.join(staging.path, "tar-split.gz"), options)
        yield path
    finally:
        staging.remove()


def _give_directory(writer: Writer, container: str, kept: str) -> None:
    """Rename the unpacked directory into place."""
    from cstore.fs.atomic import sync_directory

    path = writer.layout.container_directory(container)
    writer.establish(ItemKind.CONTAINERS)
    try:
        make_directories(os.path.dirname(path))
        within.rename(kept, path)
    except OSError as error:
        raise SystemFailure("create the directory", path, error) from error
    if writer.context.sync:
        sync_directory(os.path.dirname(path))
        sync_directory(os.path.dirname(os.path.dirname(path)))
