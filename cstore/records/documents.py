"""Records as JSON documents: keys, their order and what is left out are the Go tool's (cli spec, 2.3)."""

from __future__ import annotations

from cstore.gojson import mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cstore.records.model import Container, IDMapEntry, Image, Layer


def layer(record: Layer) -> dict[str, Any]:
    """A layer record."""
    document = {
        "id": record.id,
        "names": list(record.names),
        "parent": record.parent,
        "metadata": record.metadata,
        "mountlabel": record.mount_label,
        "created": record.created,
        "compressed-diff-digest": record.compressed_digest,
        "compressed-size": record.compressed_size,
        "diff-digest": record.diff_digest,
        "toc-digest": record.toc_digest,
        "diff-size": record.diff_size,
        "compression": int(record.compression),
        "uidset": list(record.uids),
        "gidset": list(record.gids),
        "flags": mapping(record.flags),
        "uidmap": _ranges(record.uid_map),
        "gidmap": _ranges(record.gid_map),
        "big-data-names": list(record.data_names),
    }
    return {key: value for key, value in document.items() if value or key in {"id", "created"}}


def image(record: Image) -> dict[str, Any]:
    """An image record."""
    document = {
        "id": record.id,
        "digest": record.digest,
        "names": list(record.names),
        "names-history": list(record.names_history),
        "layer": record.layer,
        "mapped-layers": list(record.mapped_layers),
        "metadata": record.metadata,
        "big-data-names": list(record.data_names),
        "big-data-sizes": mapping(record.data_sizes),
        "big-data-digests": mapping(record.data_digests),
        "created": record.created,
        "flags": mapping(record.flags),
    }
    return {key: value for key, value in document.items() if value or key in {"id", "created"}}


def container(record: Container) -> dict[str, Any]:
    """A container record."""
    document = {
        "id": record.id,
        "names": list(record.names),
        "image": record.image,
        "layer": record.layer,
        "metadata": record.metadata,
        "big-data-names": list(record.data_names),
        "big-data-sizes": mapping(record.data_sizes),
        "big-data-digests": mapping(record.data_digests),
        "created": record.created,
        "uidmap": _ranges(record.uid_map),
        "gidmap": _ranges(record.gid_map),
        "flags": mapping(record.flags),
    }
    return {key: value for key, value in document.items() if value or key in {"id", "image", "layer", "created"}}


def _ranges(ranges: Iterable[IDMapEntry]) -> list[dict[str, int]]:
    return [{"container_id": part.container_id, "host_id": part.host_id, "size": part.size} for part in ranges]
