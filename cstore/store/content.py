"""Read and change the contents of layers: apply diffs, export the imported tar, list changes (semantics 14)."""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.fs import within
from cstore.idmap import IDENTITY
from cstore.store.lookup import get_layer, get_own_layer, layer_by_id, layout_of_layer
from cstore.store.maps import map_of_owners
from cstore.store.places import ItemKind
from cstore.store.reading import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.archive.changes import Change
    from cstore.archive.compression import Compression
    from cstore.archive.streams import ReadInto, Sink
    from cstore.idmap import IDMap
    from cstore.records.model import Layer
    from cstore.store.context import Context


def apply_diff(
    context: Context,
    ref: str,
    source: int | ReadInto,
    progress: Callable[[int], None] | None = None,
    *,
    keep: bool = True,  # the layer's own changes, which the archive's contents replace otherwise
) -> int:
    """Apply an archive to a layer, completely or not at all. Return the size of its contents, in bytes.

    The layer's own tree is unchanged until the whole archive is on disk beside it. If a process has written to the
    mounted layer in the meantime, its changes would be lost with the old tree, so nothing is applied. A tree that a
    mount uses is changed in place; only then can a crash leave half of the changes.

    Raises:
        LayerUnknown: there is no such layer, or it was removed in the meantime.
        LayerChanged: another process changed the layer in the meantime.
        ArchiveError: the archive cannot be applied; the layer is unchanged.
    """
    from cstore.store.applied_layer import archive_fields, fill
    from cstore.store.maps import explained
    from cstore.store.mounting import mount_point
    from cstore.store.replacing import replace_contents
    from cstore.store.session import prepare, writing

    layer = get_own_layer(Reader(context), ref)
    prepare(context)
    before = _contents(context, layer.id)
    age = _newest_change(context, layer.id)
    staged = context.driver.stage_again(layer.id, layer.parent or None)
    try:
        if not keep:
            from cstore.fs.tree import remove_tree

            for name in within.listdir(staged.tree):
                remove_tree(os.path.join(staged.tree, name))
        with explained(layer.id_map):
            applied_layer = fill(
                context, staged, source, layer.id_map, progress, again=keep and bool(layer.diff_digest)
            )
        try:
            with writing(context, ItemKind.LAYERS, prepared=True) as writer:
                current = writer.layers.get(layer.id)
                if current is None:
                    raise errors.LayerUnknown(ref)
                if _contents(context, layer.id) != before or (
                    mount_point(context, layer.id) and _newest_change(context, layer.id) > age
                ):
                    from cstore.errors import LayerChanged

                    raise LayerChanged(layer.id)
                record = current.with_(**archive_fields(applied_layer.applied))
                replace_contents(writer, record, staged, applied_layer, in_use=keep)
        finally:
            applied_layer.staging.remove()
    finally:
        staged.staging.remove()
    return applied_layer.applied.content_size


def _contents(context: Context, layer: str) -> tuple[int, int]:
    """Return the identity of a layer's tree, which changes if another tree replaces it."""
    root = context.driver.content_roots(layer)[0]
    try:
        status = os.stat(root)
    except OSError as error:
        raise errors.SystemFailure("examine", root, error) from None
    return status.st_dev, status.st_ino


def _newest_change(context: Context, layer: str) -> int:
    from cstore.fs.tree import newest_change

    return newest_change(context.driver.content_roots(layer)[0])


def changes(context: Context, ref: str, against: str = "", *, whole: bool = False) -> list[Change]:
    """List what a layer adds, modifies and deletes compared with its parent, or with the layer `against`.

    With `whole`, compare it with nothing: everything in it was added.

    Raises:
        LayerUnknown: there is no such layer.
        ParentUnknown: the parent has no record.
    """
    compared = _compared(context, ref, against)
    if whole:
        return context.driver.changes(compared.layer.id, None, compared.layer_map, IDENTITY)
    compared.require_base()
    return context.driver.changes(compared.layer.id, compared.base, compared.layer_map, compared.base_map)


def diff_size(context: Context, ref: str, against: str = "") -> int:
    """Return the bytes that a layer adds or modifies compared with its parent, or with the layer `against`.

    Raises:
        LayerUnknown, ParentUnknown: as `changes`.
    """
    compared = _compared(context, ref, against)
    compared.require_base()
    return context.driver.diff_size(compared.layer.id, compared.base, compared.layer_map, compared.base_map)


def write_diff(
    context: Context, ref: str, sink: Sink, against: str = "", compression: Compression | None = None
) -> None:
    """Write a layer as a tar.

    Compared with its parent, an imported layer gives the imported tar, byte for byte; other tars are created from the
    trees. With `compression` None, the tar is compressed as at import.

    Raises:
        LayerUnknown: there is no such layer.
        ParentUnknown: the tar is created from the trees, and the parent has no record.
        ContentDamaged: a file differs from the imported one.
        TarSplitDamaged: the tar-split file cannot be read.
    """
    from cstore.archive.compression import Compression
    from cstore.archive.streams import CountingSink, compressed

    compared = _compared(context, ref, against)
    layer, base = compared.layer, compared.base
    try:
        chosen = Compression(layer.compression) if compression is None else compression
    except ValueError:
        raise errors.Unsupported(
            f"layer {layer.id} is recorded with compression {layer.compression}, which cstore does not know",
            hint="choose a compression, or --uncompressed",
        ) from None
    if base == (layer.parent or None) and (blob := context.driver.far_blob(layer.id)):
        from cstore.store.far_layers import write_blob

        write_blob(layer, blob, sink, chosen)
        return
    with compressed(sink, chosen) as plain:
        tar_split = layout_of_layer(Reader(context), context.layout, layer.id).tar_split(layer.id)
        if base != (layer.parent or None) or not presence.exists(tar_split):
            compared.require_base()
            context.driver.write_diff(layer.id, base, plain, compared.layer_map, compared.base_map)
            return
        from cstore.archive.rebuild import rebuild

        # Each file is compared with its own checksum, and the headers with that of the tar-split file, so the digest of
        # the whole would find nothing more. These checks only miss a tar-split file of another length.
        counted = CountingSink(plain)
        rebuild(tar_split, context.driver.content_roots(layer.id), counted, layer.id)
        if layer.diff_digest and counted.count != layer.diff_size:
            told = f"it has {counted.count} bytes, but the record says {layer.diff_size}"
            raise errors.TarSplitDamaged(tar_split, told)


class _Compared:
    """A layer, the ID of the layer to compare it with (None: nothing), and their ID maps.

    The maps are determined on demand, because that reads container records, which most exports do not need.
    """

    def __init__(self, context: Context, tables: Reader, layer: Layer, other: Layer | None) -> None:
        self.layer = layer
        self.base = layer.parent or None if other is None else other.id
        self._context, self._tables, self._other = context, tables, other

    def require_base(self) -> None:
        """Check that the other layer has a record: trees without one cannot be trusted in a comparison.

        Raises:
            ParentUnknown: it is the parent, and has no record.
        """
        if self.base is not None and self._other is None:
            raise errors.ParentUnknown(self.layer.id, self.base)

    @property
    def layer_map(self) -> IDMap:
        """The map from the owners of the layer's files to those inside its containers."""
        return map_of_owners(self._context, self._tables, self.layer)

    @property
    def base_map(self) -> IDMap:
        """The same map of the layer that it is compared with."""
        return IDENTITY if self._other is None else map_of_owners(self._context, self._tables, self._other)


def _compared(context: Context, ref: str, against: str) -> _Compared:
    """Find a layer and the layer to compare it with: its parent, or `against`."""
    tables = Reader(context)
    layer = get_layer(tables, ref)
    other = get_layer(tables, against) if against else layer_by_id(tables, layer.parent)
    return _Compared(context, tables, layer, other)
