"""OCI layouts: what names the blobs first, so that a reader of the stream knows what each is for (docker 18.2)."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from cstore import gojson
from cstore.archive.streams import FileSink, HashingSink, compressed
from cstore.digests import digest_of
from cstore.transfer import media
from cstore.transfer.manifests import Descriptor, make_manifest
from cstore.transfer.members import Part, PartReader
from cstore.transfer.oci_layout import INDEX, LAYOUT, NAME_KEYS, VERSION, blob_name
from cstore.transfer.packing import add_bytes
from cstore.transfer.scratch import scratch_file
from cstore.transfer.verifying import pour
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.archive.compression import Compression
    from cstore.archive.streams import Sink
    from cstore.records.model import Layer
    from cstore.transfer.packing import Package
    from cstore.transfer.stored import LayerWriter, StoredImage


class _Blob(Value):
    """A layer as it will be written: its digest and size, and, if it was compressed, where that is."""

    layer: Layer
    digest: str
    size: int
    fd: int = -1
    offset: int = 0


def write_oci(
    writer: LayerWriter, images: Sequence[StoredImage], package: Package, compression: Compression, scratch: str = ""
) -> None:
    """Write images, each blob once.

    Args:
        writer: of the layers.
        images: what is to be written.
        package: where it goes.
        compression: of the layers: none, gzip or zstd.
        scratch: a directory for compressed layers, whose digests must be known before anything is written; "" takes
            the usual one for large files.
    """
    with ExitStack() as stack:
        blobs = _prepared(writer, images, compression, scratch, stack)
        manifests = [_manifest(image, blobs, compression) for image in images]
        add_bytes(package, LAYOUT, gojson.encode({VERSION: "1.0.0"}))
        add_bytes(package, INDEX, _index(images, manifests))
        small = {digest_of(raw): raw for raw in manifests} | {image.config.digest: image.config.raw for image in images}
        for digest, raw in small.items():
            add_bytes(package, blob_name(digest), raw)
        for blob in {blob.digest: blob for blob in blobs.values()}.values():
            package.add(blob_name(blob.digest), blob.size, partial(_write, writer, blob))


def _prepared(
    writer: LayerWriter, images: Sequence[StoredImage], compression: Compression, scratch: str, stack: ExitStack
) -> dict[str, _Blob]:
    """Learn digest and size of every layer, by DiffID; compress those that are to be."""
    layers = {layer.diff_digest: layer for image in images for layer in image.layers}
    if not compression:
        return {diff_id: _Blob(layer, diff_id, layer.diff_size) for diff_id, layer in layers.items()}
    file = stack.enter_context(scratch_file(scratch))
    at, blobs = 0, {}
    for diff_id, layer in layers.items():
        hashing = HashingSink(FileSink(file.fileno(), "a temporary file"))
        with compressed(hashing, compression) as sink:
            writer.write(layer, sink)
        blobs[diff_id] = _Blob(layer, hashing.digest, hashing.count, file.fileno(), at)
        at += hashing.count
    return blobs


def _write(writer: LayerWriter, blob: _Blob, sink: Sink) -> None:
    if blob.fd < 0:
        writer.write(blob.layer, sink)
        return
    pour(PartReader(blob.fd, Part("a temporary file", blob.size, offset=blob.offset)), sink)


def _manifest(image: StoredImage, blobs: dict[str, _Blob], compression: Compression) -> bytes:
    """Write an image's manifest, or take the one it came with if that tells the truth about these blobs."""
    ours = [blobs[diff_id] for diff_id in image.config.rootfs.diff_ids]
    known = image.manifest
    if known is not None and known.media_type == media.OCI_MANIFEST:
        said = [(layer.digest, layer.size, media.LAYERS.get(layer.media_type)) for layer in known.layers]
        if said == [(blob.digest, blob.size, compression) for blob in ours]:
            return known.raw
    layer_type = media.layer_type(compression, docker=False)
    return make_manifest(image.config.raw, [Descriptor(layer_type, blob.digest, blob.size) for blob in ours])


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _index(images: Sequence[StoredImage], manifests: Sequence[bytes]) -> bytes:
    """Write the index: an entry for each name, one without for an image that has none."""
    entries: list[dict[str, object]] = []
    for image, raw in zip(images, manifests, strict=True):
        entry = _descriptor(media.OCI_MANIFEST, digest_of(raw), len(raw))
        entries += [{**entry, "annotations": {NAME_KEYS[1]: str(name)}} for name in image.names] or [entry]
    return gojson.encode({"schemaVersion": 2, "mediaType": media.OCI_INDEX, "manifests": entries})
