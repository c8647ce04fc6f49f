"""Layers of additional layer stores: find and create them, and export their original archives."""

from __future__ import annotations

import os

from cstore.digests import check_digest
from cstore.errors import CstoreError, SystemFailure, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.archive.compression import Compression
    from cstore.archive.streams import Sink
    from cstore.records.model import Layer
    from cstore.store.context import Context
    from cstore.store.creation import NewLayer

_FIELDS = {
    "compressed-diff-digest": ("compressed_digest", str),
    "compressed-size": ("compressed_size", int),
    "diff-digest": ("diff_digest", str),
    "diff-size": ("diff_size", int),
    "toc-digest": ("toc_digest", str),
    "compression": ("compression", int),
    "metadata": ("metadata", str),
}
_PART = 1 << 20


def from_additional_store(context: Context, digest: str, reference: str, request: NewLayer) -> Layer:
    """Create a layer from one in an additional layer store. Its contents stay there, and are only read.

    Args:
        context: the store.
        digest: the digest of the layer's archive or of its table of contents, as the store requires.
        reference: the image's reference, for stores that keep layers by image.
        request: the parent, ID and names of the new layer.

    Raises:
        InvalidDigest: `digest` is invalid.
        DriverError: no store has the layer, or the store is not mounted; or the driver does not support such stores.
        Unsupported: the store's description of the layer is invalid.
        LayerUnknown, IDTaken, NameTaken, InvalidID, InvalidName: as `create_layer`.
    """
    from cstore.store.creation import create_layer

    far = context.driver.far_side(check_digest(digest), reference)
    far_fields(far)
    return create_layer(context, request.with_(far=far))


def far_fields(far: str) -> dict[str, Any]:
    """Return the record fields that the far side has for a layer's contents.

    Raises:
        Unsupported: its description is invalid.
    """
    from cstore.drivers.far_info import read_info

    try:
        info = read_info(far)
        fields = {}
        for key, (field, kind) in _FIELDS.items():
            value = info.get(key, kind())
            if not isinstance(value, kind) or isinstance(value, bool):
                raise ValueError(f"its {key} is {value!r}")  # noqa: TRY004, TRY301  - a file's contents, told below
            if value and key.endswith("digest"):
                check_digest(str(value))
            fields[field] = value
    except (OSError, ValueError, CstoreError) as error:
        raise Unsupported(
            f"{os.path.join(far, 'info')} describes no layer: {error}", hint="pull the image without that store"
        ) from error
    return fields


def write_blob(layer: Layer, blob: str, sink: Sink, compression: Compression) -> None:
    """Write the archive in the far side, unchanged or with another compression.

    Raises:
        Unsupported: the archive is not the recorded one.
        SystemFailure: the archive cannot be read.
    """
    from cstore.archive.compression import open_decoder, sniff
    from cstore.archive.streams import CountingReader, FileReader, PeekingReader, compressed

    try:
        fd = os.open(blob, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise SystemFailure("read", blob, error) from None
    try:
        source = PeekingReader(FileReader(fd, blob))
        found = sniff(source.peek(16))
        if found is compression:
            reader, wanted = CountingReader(source), layer.compressed_digest
            _copy(reader, sink)
        else:
            reader, wanted = CountingReader(open_decoder(found, source)), layer.diff_digest
            with compressed(sink, compression) as plain:
                _copy(reader, plain)
    finally:
        os.close(fd)
    if wanted.startswith("sha256:") and reader.digest != wanted:
        raise Unsupported(f"{blob} is not the archive of layer {layer.id}: its digest is {reader.digest}, not {wanted}")


def _copy(reader: Any, sink: Sink) -> None:
    buffer = memoryview(bytearray(_PART))
    while count := reader.readinto(buffer):
        sink.write(buffer[:count])
