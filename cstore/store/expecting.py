"""What a new layer's archive must be, and the layer that has the same contents already."""

from __future__ import annotations

from cstore.errors import InvalidDigest
from cstore.store.lookup import container_of_layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.archive.apply import Applied
    from cstore.idmap import IDMap
    from cstore.records.model import Layer
    from cstore.store.creation import NewLayer
    from cstore.store.reading import Reader


def check_request(request: NewLayer) -> None:
    """Find a mistake in what is expected, before anything is read.

    Raises:
        InvalidDigest: it is no digest by which a layer can be known.
    """
    if not (request.toc_digest or request.expect):
        return
    from cstore.digests import check_digest

    if request.toc_digest:
        check_digest(request.toc_digest)
    if request.expect and not check_digest(request.expect).startswith("sha256:"):
        raise InvalidDigest(request.expect, "layers are known by sha256 alone")


def check_archive(request: NewLayer, applied: Applied) -> None:
    """Hold an archive to what is expected of it.

    Raises:
        ArchiveUnexpected: it is another one, or empty.
    """
    another = bool(request.expect) and request.expect not in {applied.compressed_digest, applied.diff_digest}
    if another or (request.refuse_empty and not applied.diff_size):
        from cstore.errors import ArchiveUnexpected

        wanted = request.expect if another else ""
        raise ArchiveUnexpected(wanted, applied.compressed_digest, applied.diff_digest, applied.diff_size)


def same_layer(tables: Reader, parent: str, id_map: IDMap, applied: Applied) -> Layer | None:
    """Find a layer that has these contents above the same parent, with the same ID map, and is no container's."""
    for layer in layers_by_digest(tables, applied.diff_digest):
        same = (layer.diff_digest, layer.parent, layer.id_map) == (applied.diff_digest, parent, id_map)
        if same and container_of_layer(tables, layer.id) is None:
            return layer
    return None


def layers_by_digest(tables: Reader, digest: str) -> Sequence[Layer]:
    """Find the whole layers whose archive has this digest, be it as it came or uncompressed."""
    extra = [layer for store in tables.additional for layer in store.layers]
    every = [*(layer for layer in tables.layers if not layer.incomplete), *extra]
    return [layer for layer in every if digest in {layer.diff_digest, layer.compressed_digest}]


def id_by_contents(parent: str, applied: Applied) -> str:
    """The ID that skopeo and Podman give to a layer of these contents."""
    from cstore.oci.chain import next_layer_id

    return next_layer_id(parent, applied.diff_digest)
