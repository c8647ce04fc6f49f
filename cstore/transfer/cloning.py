"""Copies images from one store to another, of any driver: the same records, and every layer verified.

Rebuilds the archive of a layer from its files and its tar-split, and unpacks it as a stream, without a file in between.
On a file system that supports it (btrfs, XFS), the copy's files share the blocks of the source's. Copies the record's
data on the archive, and all data items of layers and images, so the image keeps its digest and manifest. Only reads the
source.
"""

from __future__ import annotations

from cstore.archive.compression import Compression
from cstore.arguments import checked
from cstore.errors import CstoreError, IDTaken, ImageInvalid, LayerNotVerified, TopLayerDiffers
from cstore.fs.writable import nearest_directory
from cstore.store import NewImage, NewLayer
from cstore.transfer.contract import BlobDone, BlobPresent, CopiedImage, CopyRequest, Planned
from cstore.transfer.layer_intake import exact_layer
from cstore.transfer.room import require_room

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.apply import Applied
    from cstore.records.model import Image, Layer
    from cstore.store import Store
    from cstore.store.intents import Intent
    from cstore.transfer.contract import Tell


@checked
def clone_all(source: Store, target: Store, request: CopyRequest, tell: Tell) -> Iterator[CopiedImage | CstoreError]:
    """Copy every image of a store to another one; yields the result for each, or the error that stopped it.

    Leaves items that the target has as they are, so an interrupted run can be continued.
    """
    for image in source.images.list():
        try:
            yield clone(source, image, target, image.names, request, tell)
        except CstoreError as error:
            yield error


def clone(
    source: Store, image: Image, target: Store, names: Sequence[str], request: CopyRequest, tell: Tell
) -> CopiedImage:
    """Copy one image to another store, under names that move there from other images.

    Raises:
        ContentDamaged, TarSplitDamaged, LayerNotVerified: a layer has changed; the target is as it was.
        DoesNotFit: there is no room for it.
        TopLayerDiffers, IDTaken: the target has something else under an ID.
        CstoreError: something cannot be read or written.
    """
    from cstore.kernel.statfs import may_share_blocks

    chain = list(source.layers.chain(image.layer))[::-1] if image.layer else []
    missing = [layer for layer in chain if not _is_there(target, layer)]
    kept = tuple(_name(layer) for layer in chain if layer not in missing)
    try:
        shares = may_share_blocks(*(nearest_directory(store.config.graph_root) for store in (source, target)))
    except OSError:
        shares = False
    # Copies that share blocks need next to nothing; others at least this much, even if the disk compresses.
    sizes = ((layer.compressed_size, layer.diff_size) for layer in missing)
    needed = 0 if shares else sum(min(max(packed, 0) or plain // 2, max(plain, 0)) for packed, plain in sizes)
    free = require_room(image.id, target.config.graph_root, needed)
    plan = Planned(tuple((_name(layer), layer.diff_size, 0) for layer in missing), kept, needed, free)
    tell(plan)
    if not request.dry_run:
        with target.begin() as intent:
            _bring(source, image, target, chain, names, intent, tell)
    fetched = tuple(digest for digest, _, _ in plan.fetch)
    where = target.config.graph_root
    return CopiedImage(image.id, where, image.id, image.digest, tuple(names), fetched, kept, plan.size)


def _name(layer: Layer) -> str:
    return layer.diff_digest or layer.id


def _is_there(store: Store, layer: Layer) -> bool:
    """Whether a store has a layer.

    Raises:
        IDTaken: it has other contents under that ID.
    """
    found = exact_layer(store, layer.id)
    if found is None:
        return False
    if found.diff_digest != layer.diff_digest:
        raise IDTaken("layer", layer.id)
    return True


def _bring(
    source: Store,
    image: Image,
    target: Store,
    chain: Sequence[Layer],
    names: Sequence[str],
    intent: Intent,
    tell: Tell,
) -> None:
    for layer in chain:
        if _is_there(target, layer):
            intent.note(uses=layer.id)
            tell(BlobPresent(_name(layer), layer.diff_size))
        else:
            _bring_layer(source, layer, target, intent)
            tell(BlobDone(_name(layer), layer.diff_size))
    there = target.images.find(image.id)
    if there is not None and there.id == image.id:
        if there.layer != image.layer:
            raise TopLayerDiffers(image.id, there.layer)
    else:
        intent.note(image=image.id)
        target.images.create(
            NewImage(
                id=image.id,
                layer=image.layer,
                metadata=image.metadata,
                digest=image.digest,
                created=image.created,
                names_history=image.names_history,
                flags=image.flags,
                data={key: source.images.get_data(image.id, key) for key in image.data_names},
                data_digests=image.data_digests,
            )
        )
    intent.note(of=image.id, names=list(names))
    intent.note(complete=True)
    if names:
        target.add_names(image.id, names)


def _bring_layer(source: Store, layer: Layer, target: Store, intent: Intent) -> None:
    """Make a layer as it is elsewhere."""
    if not layer.diff_digest:
        raise ImageInvalid(f"layer {layer.id} was never an archive, so a copy of it cannot be verified")

    def accept(applied: Applied) -> Applied:
        if applied.diff_digest != layer.diff_digest:
            raise LayerNotVerified(layer.id, layer.diff_digest)
        return applied.with_(
            compression=Compression(layer.compression),
            compressed_digest=layer.compressed_digest or applied.compressed_digest,
            compressed_size=layer.compressed_size or applied.compressed_size,
        )

    data = {key: source.layers.get_data(layer.id, key) for key in layer.data_names}
    try:  # a copy on the same file system can share the blocks of the files there
        donor = source.context.driver.content_roots(layer.id)[0]
    except (CstoreError, OSError, IndexError):
        donor = ""
    request = NewLayer(
        id=layer.id,
        parent=layer.parent,
        names=layer.names,
        metadata=layer.metadata,
        flags={key: value for key, value in layer.flags.items() if key != "incomplete"},
        data=data,
        donor=donor,
    )
    intent.note(layers=[layer.id])
    try:
        with source.layers.diff(layer.id, compression=Compression.NONE) as stream:
            target.layers.put(request, stream, None, accept)
    except IDTaken:
        if not _is_there(target, layer):  # another process has just made it, or something else
            raise
