"""The layer methods of the library: each calls the function in its module."""

from __future__ import annotations

from cstore.records.layers import incomplete
from cstore.store.lookup import find_layer, get_layer
from cstore.store.places import ItemKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from io import BufferedReader
    from typing import overload

    from cstore.archive.changes import Change
    from cstore.archive.compression import Compression
    from cstore.archive.pulling import PulledStream
    from cstore.archive.streams import Sink
    from cstore.errors import CstoreError
    from cstore.records.model import Layer
    from cstore.store.context import Context
    from cstore.store.creation import Accept, NewLayer, StagedLayer
    from cstore.store.creation_together import PreparedLayer
    from cstore.store.ends import Source, Target
    from cstore.store.lookup import Item
    from cstore.store.reading import Reader
else:

    def overload(function: object) -> object:
        """Replace `typing.overload` at run time, because importing `typing` is slow."""
        return function


class Layers:
    """Layers by ID, name or unique ID prefix (`ref`). Reading takes no lock and leaves no trace."""

    def __init__(self, context: Context, reader: Reader) -> None:
        self._context = context
        self._reader = reader

    # ── lookup ──

    def list(self) -> Sequence[Layer]:
        """Return all complete layers, in the order of their records, those of additional stores last."""
        extra = [layer for store in self._reader.additional for layer in store.layers]
        return [*(layer for layer in self._reader.layers if not layer.incomplete), *extra]

    def documents(self) -> Iterator[Layer | bytes]:
        """Yield the layers of `list` for printing; many may be replaced by their JSON documents, with commas."""
        own = self._reader.layers.documents()
        yield from (each for each in own if isinstance(each, bytes) or not each.incomplete)
        for store in self._reader.additional:
            yield from store.layers.documents()

    def ids(self) -> Sequence[str]:
        """Return the IDs of all complete layers, in the order of `list`."""
        return [identifier for identifier, _ in self.heads()]

    def heads(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Return the IDs and names of all complete layers, in the order of `list`, but much faster."""
        unfinished = {layer.id for layer in incomplete(self._reader.layers)}
        extra = [head for store in self._reader.additional for head in store.layers.heads()]
        return [*(head for head in self._reader.layers.heads() if head[0] not in unfinished), *extra]

    def find(self, ref: str) -> Layer | None:
        """Return the layer that matches `ref`, or None."""
        return find_layer(self._reader, ref)

    def get(self, ref: str) -> Layer:
        """Return the layer that matches `ref`.

        Raises:
            LayerUnknown: none matches, or more than one.
        """
        return get_layer(self._reader, ref)

    def by_digest(self, digest: str, *, compressed: bool | None = None) -> Sequence[Layer]:
        """Return the layers whose archive has this digest: as imported, uncompressed or, with None, either.

        Raises:
            InvalidDigest: the digest is invalid.
        """
        from cstore.digests import check_digest
        from cstore.store.applied_layer import layers_by_digest

        found = layers_by_digest(self._reader, check_digest(digest))
        if compressed is None:
            return found
        return [each for each in found if digest == (each.compressed_digest if compressed else each.diff_digest)]

    def chain(self, ref: str) -> Sequence[Layer]:
        """Return a layer and its ancestors, from the top down; see `lookup.chain_of`.

        Raises ParentUnknown.
        """
        from cstore.store.lookup import chain_of

        return chain_of(self._reader, get_layer(self._reader, ref))

    def users(self, ref: str) -> Sequence[Item]:
        """Return the direct users of a layer: layers, images, containers; see `lookup.users_of`."""
        from cstore.store.lookup import users_of

        return users_of(self._reader, get_layer(self._reader, ref).id)

    def read_only(self, layer: str) -> bool:
        """Return whether a layer belongs to an additional store, which is only read."""
        return layer not in self._reader.layers and find_layer(self._reader, layer) is not None

    # ── creation and removal ──

    def create(self, request: NewLayer) -> Layer:
        """Create a layer without contents of its own; see `creation.create_layer`.

        Raises LayerUnknown, ParentIsContainer, IDTaken, NameTaken, InvalidID, InvalidName.
        """
        from cstore.store import creation

        return creation.create_layer(self._context, request)

    def put(
        self,
        request: NewLayer,
        source: Source,
        progress: Callable[[int], None] | None = None,
        accept: Accept | None = None,
    ) -> Layer:
        """Create a layer from an archive: a path, bytes, a descriptor or a file; see `creation.put_layer`.

        Raises ArchiveError, LayerUnknown, ParentIsContainer, IDTaken, NameTaken, InvalidID, InvalidName.
        """
        from cstore.store import creation
        from cstore.store.ends import opened_source

        with opened_source(source) as opened:
            return creation.put_layer(self._context, request, opened, progress, accept)

    def prepare(
        self, request: NewLayer, source: Source, progress: Callable[[int], None] | None = None
    ) -> PreparedLayer:
        """Read an archive for `publish`, which publishes several layers together; see `creation_together`."""
        from cstore.store import creation_together
        from cstore.store.ends import opened_source

        with opened_source(source) as opened:
            return creation_together.prepare_layer(self._context, request, opened, progress)

    def publish(self, prepared: Sequence[PreparedLayer], *, keep_going: bool = True) -> Sequence[Layer | CstoreError]:
        """Publish the layers from `prepare`, with the syncs of one; see `creation_together.publish_layers`.

        Raises CstoreError.
        """
        from cstore.store import creation_together

        return creation_together.publish_layers(self._context, prepared, keep_going=keep_going)

    def stage(self, request: NewLayer) -> StagedLayer:
        """Create the directory of a future layer for the caller to fill; see `creation.stage_layer`.

        Raises LayerUnknown, ParentIsContainer, IDTaken, NameTaken, InvalidID, InvalidName.
        """
        from cstore.store import creation

        return creation.stage_layer(self._context, request)

    def apply_staged(self, staged: StagedLayer) -> Layer:
        """Turn the filled directory from `stage` into a layer by a rename; see `creation.apply_staged`.

        Raises LayerUnknown, IDTaken, NameTaken, SystemFailure.
        """
        from cstore.store import creation

        return creation.apply_staged(self._context, staged)

    def clean_staged(self, staged: StagedLayer) -> None:
        """Remove the directory from `stage`, unless it has become a layer. The end of a `with` block does the same."""
        staged.clean()

    def from_additional_store(self, digest: str, reference: str, request: NewLayer) -> Layer:
        """Create a layer from one in an additional layer store; see `far_layers.from_additional_store`.

        Raises InvalidDigest, DriverError, Unsupported, LayerUnknown, IDTaken, NameTaken, InvalidID,
        InvalidName.
        """
        from cstore.store import far_layers

        return far_layers.from_additional_store(self._context, digest, reference, request)

    def delete(self, ref: str) -> None:
        """Delete a layer that nothing uses; see `removal.delete_layer`.

        Raises NotALayer, ReadOnlyStore, LayerHasChildren, LayerUsedByImage, LayerUsedByContainer.
        """
        from cstore.store import removal

        removal.delete_layer(self._context, ref)

    def create_tree(self, request: NewLayer) -> str:
        """Create a tree in the driver only, without a record; see `drivertrees.create_tree`.

        Raises DriverError, IDTaken, InvalidID.
        """
        from cstore.store import drivertrees

        return drivertrees.create_tree(self._context, request)

    def open_tree(self, layer: str) -> AbstractContextManager[str]:
        """Open a whole tree for reading, recorded or not, by its ID; see `drivertrees.open_tree`.

        Raises LayerUnknown, InvalidID.
        """
        from cstore.store import drivertrees

        return drivertrees.open_tree(self._context, layer)

    def delete_tree(self, layer: str) -> None:
        """Delete a tree that has no record; see `drivertrees.delete_tree`.

        Raises LayerUnknown, InvalidID, LayerRecorded, LayerHasChildren, LayerUsedByImage, LayerUsedByContainer,
        RecordsDamaged.
        """
        from cstore.store import drivertrees

        drivertrees.delete_tree(self._context, layer)

    def trees(self) -> Sequence[str]:
        """Return the layer IDs that have a tree in the driver, recorded or not, sorted."""
        return self._context.driver.layers()

    # ── contents ──

    def apply_diff(self, ref: str, source: Source, progress: Callable[[int], None] | None = None) -> int:
        """Apply an archive to a layer, completely or not at all; see `content.apply_diff`.

        Raises LayerUnknown, LayerChanged, ArchiveError.
        """
        from cstore.store import content
        from cstore.store.ends import opened_source

        with opened_source(source) as opened:
            return content.apply_diff(self._context, ref, opened, progress)

    def put_directory(self, ref: str, directory: str) -> Layer:
        """Replace a layer's contents with those of a directory on the host; see `staged_diff.put_directory`.

        Raises Unsupported, InvalidID, LayerChanged, SystemFailure.
        """
        from cstore.store import staged_diff

        return staged_diff.put_directory(self._context, ref, directory)

    def changes(self, ref: str, against: str = "", *, whole: bool = False) -> Sequence[Change]:
        """Return a layer's changes compared with its parent, `against`, or nothing; see `content.changes`.

        Raises LayerUnknown, ParentUnknown.
        """
        from cstore.store import content

        return content.changes(self._context, ref, against, whole=whole)

    @overload
    def diff(  # noqa: D102  - an overload, which ruff does not see behind our `overload`
        self, ref: str, sink: None = None, against: str = "", compression: Compression | None = None
    ) -> PulledStream: ...

    @overload
    def diff(  # noqa: D102, F811  - likewise
        self, ref: str, sink: Target, against: str = "", compression: Compression | None = None
    ) -> None: ...

    def diff(  # noqa: F811  - likewise
        self, ref: str, sink: Target | None = None, against: str = "", compression: Compression | None = None
    ) -> PulledStream | None:
        """Write a layer as a tar to a path, a descriptor or a file; see `content.write_diff`.

        Without a sink, return a stream of the tar, which also raises the errors; close it.

        Raises LayerUnknown, ParentUnknown, ContentDamaged, TarSplitDamaged.
        """
        from cstore.store import content

        if sink is None:
            from cstore.archive.pulling import PulledStream

            layer = self.get(ref).id
            return PulledStream(lambda to: content.write_diff(self._context, layer, to, against, compression))
        with self._opened(sink) as opened:
            content.write_diff(self._context, ref, opened, against, compression)
        return None

    def diff_size(self, ref: str, against: str = "") -> int:
        """Return the bytes that a layer adds or modifies; see `content.diff_size`.

        Raises LayerUnknown, ParentUnknown.
        """
        from cstore.store import content

        return content.diff_size(self._context, ref, against)

    def write_tree(self, ref: str, sink: Target) -> None:
        """Write a layer's whole tree as a tar; see `layer_tar.write_tree`.

        Raises LayerUnknown.
        """
        from cstore.store import layer_tar

        with self._opened(sink) as opened:
            layer_tar.write_tree(self._context, ref, opened)

    def write_changes(self, ref: str, sink: Target, against: str = "", *, gone_at: float | None = None) -> None:
        """Write a layer's changes as a tar, created from the trees; see `layer_tar.write_changes`.

        Raises LayerUnknown.
        """
        from cstore.store import layer_tar

        with self._opened(sink) as opened:
            layer_tar.write_changes(self._context, ref, opened, against, gone_at=gone_at)

    def _opened(self, sink: Target) -> AbstractContextManager[Sink]:
        from cstore.store.ends import opened_sink

        return opened_sink(sink, sync=self._context.sync)

    def archive_size(self, ref: str) -> int:
        """Return the bytes in the files of a layer's original archive; see `layer_tar.archive_size`.

        Raises LayerUnknown, TarSplitDamaged.
        """
        from cstore.store import layer_tar

        return layer_tar.archive_size(self._context, ref)

    def directories(self, ref: str) -> Mapping[str, str]:
        """Return the directories of a layer; see `layer_tar.directories`.

        Raises LayerUnknown.
        """
        from cstore.store import layer_tar

        return layer_tar.directories(self._context, ref)

    # ── data items, mounts, owners ──

    def data_names(self, ref: str) -> tuple[str, ...]:
        """Return the data items of a layer, in the order in which they were first set."""
        from cstore.store import bigdata

        return bigdata.data_names(self._context, ItemKind.LAYERS, ref)

    def get_data(self, ref: str, key: str) -> bytes:
        """Return a data item of a layer; see `bigdata.get_data`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.get_data(self._context, ItemKind.LAYERS, ref, key)

    def open_data(self, ref: str, key: str) -> BufferedReader:
        """Open a data item of a layer for reading; see `bigdata.open_data`.

        Raises UnknownItem, DataItemUnknown.
        """
        from cstore.store import bigdata

        return bigdata.open_data(self._context, ItemKind.LAYERS, ref, key)

    def set_data(self, ref: str, key: str, data: Source) -> None:
        """Set a data item of a layer from bytes, a path, a descriptor or a file; see `bigdata.set_data`.

        Raises UnknownItem, ReadOnlyStore, InvalidDataName, InvalidDigest.
        """
        from cstore.store import bigdata

        bigdata.set_data(self._context, ItemKind.LAYERS, ref, key, data)

    def delete_data(self, ref: str, key: str) -> None:
        """Delete a data item of a layer; see `bigdata.delete_data`.

        Raises UnknownItem, ReadOnlyStore, DataItemUnknown, DataItemNeeded.
        """
        from cstore.store import bigdata

        bigdata.delete_data(self._context, ItemKind.LAYERS, ref, key)

    def mount_point(self, layer: str) -> str:
        """Return the mount point of the layer with this ID, or ""."""
        from cstore.store import mounting

        return mounting.mount_point(self._context, layer)

    def mount_points(self) -> Mapping[str, str]:
        """Return the mount points of layers, by their IDs; see `mounting.mount_points`."""
        from cstore.store import mounting

        return mounting.mount_points(self._context)

    def parent_owners(self, ref: str) -> tuple[Sequence[int], Sequence[int]]:
        """Return owners above a mount that the layer's maps do not cover; see `mounting.parent_owners`.

        Raises LayerUnknown, LayerNotMounted.
        """
        from cstore.store import mounting

        return mounting.parent_owners(self._context, ref)
