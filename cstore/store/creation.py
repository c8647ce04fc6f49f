"""Create layers: plan and fill them without a lock, then publish them in one short step under the lock.

    plan ──► stage (copy of the parent) ──► fill from an archive ──► lock ──► plan again ──► record "incomplete"
                                                                        ──► adopt tree, tar-split ──► record complete

The record comes first, with the flag `incomplete`, because all programs know how to clean up such a layer.
(store-format 2.4, semantics 5)
"""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.contexts import suppress
from cstore.drivers.contract import TreeOptions
from cstore.fs.atomic import sync_filesystem
from cstore.idmap import IDENTITY, IDMap
from cstore.ids import check_id, new_id, unique_names
from cstore.records.codec import now
from cstore.records.model import Layer
from cstore.records.table import Location
from cstore.store.applied_layer import (
    AppliedLayer,
    attach,
    check_archive,
    fill,
    id_by_contents,
    same_layer,
)
from cstore.store.lookup import container_of_layer, find_own_layer, get_layer, tree_names
from cstore.store.maps import check_reachable, explained, layer_map, map_fields
from cstore.store.places import ItemKind, volatile_location
from cstore.store.reading import Reader
from cstore.store.session import Writer, prepare, writing
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self

    from cstore.archive.apply import Applied
    from cstore.archive.streams import ReadInto
    from cstore.drivers.contract import StagedTree
    from cstore.store.context import Context
    from cstore.store.lookup import Tables

    Accept = Callable[[Applied], Applied]


class NewLayer(Value):
    """The request for a new layer. Parts that `id_map` lacks are as in the parent, unless a host flag clears them.

    If the driver can show other owners at a container's mount, a layer keeps the owners of its archive and has no map;
    with `owners_on_disk`, its files get the mapped owners anyway. `storage_options` are for the driver, such as a limit
    of the layer's size. The other fields are for archives. `expect` is the digest that the archive must have,
    compressed or not; `refuse_empty`: refuse an empty archive; `reuse`: return an existing layer with the same contents
    and parent instead; `by_contents`: use the ID that Podman would. `far` is the layer's directory in an additional
    layer store (far_layers.py). `toc_digest` is the digest of the table of contents by which a layer with staged files
    was chosen, whose archive is unknown. `donor` is a directory, perhaps with the same files, whose blocks are shared
    if the file system can. `window` is the maximum window of the decoder in bytes; 0 for what this system can give.
    """

    parent: str = ""
    id: str = ""
    names: tuple[str, ...] = ()
    mount_label: str = ""
    metadata: str = ""
    template: str = ""
    read_only: bool = False
    volatile: bool = False
    id_map: IDMap | None = None
    host_uids: bool = False
    host_gids: bool = False
    storage_options: Mapping[str, str] = {}
    flags: Mapping[str, Any] = {}
    data: Mapping[str, bytes] = {}
    expect: str = ""
    refuse_empty: bool = False
    reuse: bool = False
    by_contents: bool = False
    far: str = ""
    toc_digest: str = ""
    owners_on_disk: bool = False
    donor: str = ""
    window: int = 0


class LayerPlan(Value):
    """A request that was checked against the records of one moment."""

    id: str
    names: tuple[str, ...]
    parent: Layer | None
    template: Layer | None
    id_map: IDMap

    @property
    def source(self) -> Layer | None:
        """The layer whose tree the new one is copied from."""
        return self.template or self.parent


class StagedLayer(Value):
    """A staged layer for a caller to fill, which nobody else sees; see `stage_layer`."""

    request: NewLayer
    plan: LayerPlan
    staged: StagedTree

    @property
    def directory(self) -> str:
        """The directory to fill: with the whole tree if `whole`, else with the layer's changes to its parent."""
        return self.staged.tree

    @property
    def whole(self) -> bool:
        """Whether `directory` also holds the parent's files, because the driver stores whole trees."""
        return self.staged.form.value == "plain"

    def clean(self) -> None:
        """Remove the directory, unless it has become a layer. May be called again."""
        self.staged.staging.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clean()


def create_layer(context: Context, request: NewLayer) -> Layer:
    """Create an empty layer.

    Raises:
        LayerUnknown: the parent or template is unknown, or was removed in the meantime.
        ParentIsContainer: the parent is a container's own layer.
        IDTaken, NameTaken, InvalidID, InvalidName: the ID or a name is taken or invalid.
    """
    return put_layer(context, request, None)


def put_layer(
    context: Context,
    request: NewLayer,
    source: int | ReadInto | None,  # None for an empty layer
    progress: Callable[[int], None] | None = None,
    accept: Accept | None = None,
) -> Layer:
    """Create a layer from an archive, which is read to its end from `source`: a descriptor or a reader.

    Args:
        context: the store.
        request: the request.
        source: the archive, compressed or not.
        progress: called repeatedly with the bytes read so far.
        accept: called with a description of the archive before the layer is published; returns the description to
            record, or raises, and then nothing remains.

    Raises:
        ArchiveError: the archive cannot be a layer; nothing of it remains.
        LayerUnknown, ParentIsContainer, IDTaken, NameTaken, InvalidID, InvalidName: as `create_layer`.
    """
    made = stage_layer(context, request)
    plan, staged = made.plan, made.staged
    applied_layer: AppliedLayer | None = None
    try:
        if source is not None:
            with explained(plan.id_map):
                applied_layer = fill(
                    context, staged, source, plan.id_map, progress, donor=request.donor, window=request.window
                )
            check_archive(request, applied_layer.applied)
            if accept is not None:
                applied_layer = applied_layer.with_(applied=accept(applied_layer.applied))
            parent = plan.parent.id if plan.parent else ""
            known = same_layer(Reader(context), parent, plan.id_map, applied_layer.applied) if request.reuse else None
            if known is not None:
                return _with_names(context, known, request.names)
            if request.by_contents:
                request = request.with_(id=id_by_contents(parent, applied_layer.applied))
        elif staged.copied and context.sync:
            sync_filesystem(staged.tree)  # here and not in adopt(), so that nobody waits for the disk
        return _publish(context, request, plan, staged, applied_layer)
    finally:
        staged.staging.remove()
        if applied_layer is not None:
            applied_layer.staging.remove()


def stage_layer(context: Context, request: NewLayer) -> StagedLayer:
    """Create the directory of a future layer for the caller to fill. Nobody else sees it or waits for it.

    `apply_staged` makes it a layer; `StagedLayer.clean`, or the next writer after this process's death, removes it. The
    caller must write owners and whiteouts in the driver's form.

    Raises:
        LayerUnknown: the parent or template is unknown.
        ParentIsContainer: the parent is a container's own layer.
        IDTaken, NameTaken, InvalidID, InvalidName: the ID or a name is taken or invalid.
    """
    if request.toc_digest or request.expect:
        from cstore.digests import check_digest

        if request.toc_digest:
            check_digest(request.toc_digest)
        if request.expect and not check_digest(request.expect).startswith("sha256:"):
            raise errors.InvalidDigest(request.expect, "layers are identified by sha256 only")
    wanted = request.with_(names=()) if request.reuse else request
    plan = _plan_layer(Reader(context), wanted, context, chosen_id="")
    check_reachable(plan.id_map)
    prepare(context)
    options = TreeOptions(
        id_map=plan.id_map,
        parent_map=IDENTITY if plan.source is None else plan.source.id_map,
        mount_label=request.mount_label,
        read_only=request.read_only,
        storage_options=request.storage_options,
        far=request.far,
    )
    with explained(plan.id_map):
        staged = context.driver.stage(plan.source.id if plan.source else None, options)
    return StagedLayer(request, plan, staged)


def apply_staged(context: Context, made: StagedLayer) -> Layer:
    """Make a staged directory a layer by a rename, without packing, reading or copying. This works once.

    Raises:
        LayerUnknown: the parent was removed in the meantime.
        IDTaken, NameTaken: the ID or a name was taken in the meantime. The directory stays until it is cleaned.
        SystemFailure: the directory does not exist: it is a layer already, or was cleaned.
    """
    if not presence.is_directory(made.directory):
        raise errors.SystemFailure("find", made.directory, FileNotFoundError(2, os.strerror(2)), hint="stage it again")
    if context.sync:
        sync_filesystem(made.directory)  # without a lock, so that nobody waits for the disk
    layer = _publish(context, made.request, made.plan, made.staged, None)
    made.clean()
    return layer


def _with_names(context: Context, layer: Layer, names: tuple[str, ...]) -> Layer:
    """Add free names to an existing layer.

    Raises:
        NameTaken: another layer has one of them.
    """
    from cstore.store.names import add_names

    tables = Reader(context)
    for name in unique_names(names):
        holder = tables.layers.named(name)
        if holder is not None and holder.id != layer.id:
            raise errors.NameTaken("layer", name, holder.id)
    if set(names) - set(layer.names):
        add_names(context, layer.id, names)
    return get_layer(Reader(context), layer.id)


def _plan_layer(tables: Tables, request: NewLayer, context: Context, chosen_id: str) -> LayerPlan:
    """Check a request against the records; raises what `create_layer` does."""
    parent = get_layer(tables, request.parent) if request.parent else None
    template = find_own_layer(tables, request.template) if request.template else None
    if request.template and template is None:
        raise errors.LayerUnknown(request.template)
    if parent is not None:
        container = container_of_layer(tables, parent.id)
        if container is not None:
            from cstore.errors import ParentIsContainer

            raise ParentIsContainer(parent.id, container.id)
    chosen_id = chosen_id or check_new_id(tables, request.id)
    names = unique_names(request.names)
    for name in names:
        holder = tables.layers.named(name)
        if holder is not None and not _passes(tables, holder):
            raise errors.NameTaken("layer", name, holder.id)
    return LayerPlan(chosen_id, names, parent, template, layer_map(context, request, parent))


def check_new_id(tables: Tables, wanted: str) -> str:
    """Return an ID that no layer has: the wanted one, or a random one.

    An incomplete layer with the ID is no obstacle before the lock is held: by then it is complete or removed.

    Raises:
        InvalidID: the wanted ID could lead out of its directory.
        IDTaken: a layer has it.
    """
    if not wanted:
        return new_id(lambda candidate: tables.layers.get(candidate) is not None)
    holder = tables.layers.get(check_id(wanted))
    if (holder is not None and not _passes(tables, holder)) or wanted in tree_names(tables.layers):
        raise errors.IDTaken("layer", wanted)
    return wanted


def _passes(tables: Tables, holder: Layer) -> bool:
    """Return whether a conflicting layer is only being created or removed, or was left by a dead process."""
    return holder.incomplete and not isinstance(tables, Writer)


def _publish(
    context: Context, request: NewLayer, before: LayerPlan, staged: StagedTree, applied_layer: AppliedLayer | None
) -> Layer:
    """Adopt the tree and write its record; on failure, leave the records unchanged."""
    with writing(context, ItemKind.LAYERS, prepared=True) as writer:
        record, plan = add_incomplete(writer, request, before)
        try:
            writer.save(ItemKind.LAYERS)
            whole = attach(writer, record, request, plan, staged, applied_layer)
            writer.layers.replace(whole)
            writer.save(ItemKind.LAYERS)
        except BaseException:
            with suppress(errors.CstoreError):  # report the first error; the flag tells the next writer what to remove
                from cstore.store.removal import withdraw

                withdraw(writer, record.id)
            raise
        return whole


def add_incomplete(writer: Writer, request: NewLayer, before: LayerPlan) -> tuple[Layer, LayerPlan]:
    """Add the incomplete record of a layer, if the plan `before` still holds.

    Return the record without the flag, and the current plan; raises what `create_layer` does.
    """
    # Only a random ID may change, if another layer has taken it.
    planned = not request.id and writer.layers.get(before.id) is None
    chosen_id = before.id if planned else check_new_id(writer, request.id)
    plan = _plan_layer(writer, request, writer.context, chosen_id)
    known, found = before.source, plan.source
    same_source = (found and (found.id, found.created)) == (known and (known.id, known.created))
    if not same_source or plan.id_map != before.id_map:  # the staged tree is no longer the right one
        raise errors.LayerUnknown(request.template or request.parent)
    record = Layer(
        id=plan.id,
        names=plan.names,
        parent=plan.parent.id if plan.parent else "",
        metadata=request.metadata,
        mount_label=request.mount_label,
        created=now(),
        toc_digest=request.toc_digest,
        diff_size=-1 if request.toc_digest else 0,
        flags=dict(request.flags),
        **map_fields(plan.id_map),
    )
    if request.volatile:
        location = volatile_location(writer.layout, ItemKind.LAYERS)
    else:
        location = Location.IMAGE_STORE if request.read_only and writer.layout.image_store else Location.STABLE
    writer.layers.add(record.with_(flags={**record.flags, "incomplete": True}), location)
    return record, plan
