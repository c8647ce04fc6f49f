"""Apply an archive to a staged tree, with the tar-split that rebuilds it, and describe both in the record."""

from __future__ import annotations

import os

from cstore import errors
from cstore.fs import within
from cstore.fs.atomic import sync_directory
from cstore.fs.staging import StagingDirectory, StagingRoot
from cstore.store.lookup import container_of_layer
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from cstore.archive.apply import Applied
    from cstore.archive.streams import ReadInto
    from cstore.drivers.contract import StagedTree
    from cstore.idmap import IDMap
    from cstore.records.model import Layer
    from cstore.store.context import Context
    from cstore.store.creation import LayerPlan, NewLayer
    from cstore.store.reading import Reader
    from cstore.store.session import Writer


class AppliedLayer(Value):
    """An applied archive. `staging` holds the tar-split until it is published, and is removed with it."""

    applied: Applied
    tar_split: str
    staging: StagingDirectory

    def publish(self, target: str, *, sync: bool) -> None:
        """Rename the tar-split into place."""
        try:
            within.rename(self.tar_split, target)
        except OSError as error:
            raise errors.SystemFailure("write", target, error) from error
        if sync:
            sync_directory(os.path.dirname(target))


def fill(
    context: Context,
    staged: StagedTree,
    source: int | ReadInto,
    id_map: IDMap,
    progress: Callable[[int], None] | None,
    *,
    again: bool = False,
    sync: bool | None = None,
    donor: str = "",
    window: int = 0,
) -> AppliedLayer:
    """Unpack the archive from `source` into `staged`; `again` if the layer had one before. Clean up on failure.

    The contents are synced if `sync` is true, or None and the store syncs. `donor`, `window`: see `ApplyOptions`.

    Raises:
        ArchiveError: the archive cannot be a layer.
        SystemFailure: the tree could not be written.
    """
    from cstore.archive.apply import ApplyOptions, apply_archive
    from cstore.kernel.namespaces import in_user_namespace

    staging = StagingRoot(context.layout.layers_staging).reserve()
    try:
        tar_split = os.path.join(staging.path, "tar-split.gz")
        options = ApplyOptions(
            form=staged.form,
            has_lower=staged.has_lower,
            id_map=id_map,
            in_user_namespace=in_user_namespace() or os.geteuid() != 0,
            ignore_chown_errors=context.ignore_chown_errors,
            sync=context.sync if sync is None else sync,
            lowers=staged.lowers,
            unseen=staged.unseen,
            force_mask=staged.force_mask,
            again=again,
            donor=donor,
            window=window,
        )
        applied = apply_archive(source, staged.tree, tar_split, options, progress)
    except BaseException:
        staging.remove()
        raise
    return AppliedLayer(applied, tar_split, staging)


_OF_CONTENTS = (
    "compressed_digest",
    "compressed_size",
    "diff_digest",
    "diff_size",
    "toc_digest",
    "compression",
    "uids",
    "gids",
)


def contents_of(layer: Layer) -> dict[str, Any]:
    """Return the record fields that describe the layer's contents."""
    return {field: getattr(layer, field) for field in _OF_CONTENTS}


def archive_fields(applied: Applied) -> dict[str, Any]:
    """Return the record fields that describe an archive (store-format 7.3)."""
    return {
        "compressed_digest": applied.compressed_digest,
        "compressed_size": applied.compressed_size,
        "diff_digest": applied.diff_digest,
        "diff_size": applied.diff_size,
        "toc_digest": "",
        "compression": int(applied.compression),
        "uids": applied.uids,
        "gids": applied.gids,
    }


# ── publishing ──
#
# Publish tree, tar-split and data of a new layer before its record is complete.


def attach(
    writer: Writer,
    record: Layer,
    request: NewLayer,
    plan: LayerPlan,
    staged: StagedTree,
    applied_layer: AppliedLayer | None,
) -> Layer:
    """Publish tree, tar-split and data; return the record that describes them."""
    layout, sync = writer.layout, writer.context.sync
    writer.driver.adopt(staged, record.id, record.parent or None)
    for key, value in request.data.items():
        from cstore.records.bigdata import write_item

        write_item(layout.layer_data(record.id), key, value, sync=sync)
    record = record.with_(data_names=tuple(request.data))
    if applied_layer is not None:
        applied_layer.publish(layout.tar_split(record.id), sync=sync)
        return record.with_(**archive_fields(applied_layer.applied))
    if request.far:
        from cstore.store.far_layers import far_fields

        return record.with_(**far_fields(request.far))
    if plan.template is None:
        return record
    from cstore.fs.atomic import write_file

    # The template's tar-split and description of contents are copied (semantics 5).
    source = layout.tar_split(plan.template.id)
    try:
        with open(within.open_file(*os.path.split(source)), "rb") as stream:
            write_file(layout.tar_split(record.id), iter(lambda: stream.read(1 << 20), b""), sync=sync)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise errors.SystemFailure("read", source, error) from None
    return record.with_(metadata=plan.template.metadata, **contents_of(plan.template))


# ── expected archives ──
#
# Check the archive of a new layer, and find a layer with the same contents.


def check_archive(request: NewLayer, applied: Applied) -> None:
    """Compare an archive with what the request expects.

    Raises:
        ArchiveUnexpected: it is another archive, or an empty one.
    """
    another = bool(request.expect) and request.expect not in {applied.compressed_digest, applied.diff_digest}
    if another or (request.refuse_empty and not applied.diff_size):
        from cstore.errors import ArchiveUnexpected

        wanted = request.expect if another else ""
        raise ArchiveUnexpected(wanted, applied.compressed_digest, applied.diff_digest, applied.diff_size)


def same_layer(tables: Reader, parent: str, id_map: IDMap, applied: Applied) -> Layer | None:
    """Find a layer with these contents, the same parent and ID map, that does not belong to a container."""
    for layer in layers_by_digest(tables, applied.diff_digest):
        same = (layer.diff_digest, layer.parent, layer.id_map) == (applied.diff_digest, parent, id_map)
        if same and container_of_layer(tables, layer.id) is None:
            return layer
    return None


def layers_by_digest(tables: Reader, digest: str) -> Sequence[Layer]:
    """Return the complete layers whose archive has this digest, compressed or uncompressed."""
    extra = [layer for store in tables.additional for layer in store.layers]
    every = [*(layer for layer in tables.layers if not layer.incomplete), *extra]
    return [layer for layer in every if digest in {layer.diff_digest, layer.compressed_digest}]


def id_by_contents(parent: str, applied: Applied) -> str:
    """Return the ID that skopeo and Podman give to a layer with these contents."""
    from cstore.oci.chain import next_layer_id

    return next_layer_id(parent, applied.diff_digest)
