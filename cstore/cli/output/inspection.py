"""The inspection of an item, as one JSON document."""

from __future__ import annotations

from cstore.cli.output.structured import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cstore import IDMapEntry
    from cstore.insight import Inspection
    from cstore.transfer import SeenImage

ZERO_TIME = "0001-01-01T00:00:00Z"
"""The time in records that have none."""


def document(found: Inspection) -> dict[str, Any]:
    """Return the document of an item; all items of a kind have the same keys, and unknown values are null or empty."""
    record: Any = found.record
    own = {"image": _of_image, "container": _of_container, "layer": _of_layer}[found.kind](found, record)
    return {
        "version": VERSION,
        "kind": found.kind,
        "id": record.id,
        "names": list(record.names),
        "created": None if record.created == ZERO_TIME else record.created,
        "size": found.size,
        **own,
        "layers": [
            {
                "id": layer.id,
                "names": list(layer.names),
                "diff_id": layer.diff_digest or None,
                "size": layer.known_size,
            }
            for layer in found.layers
        ],
        "users": {
            f"{kind}s": [{"id": user.id, "names": list(user.names)} for user in found.users if user.kind == kind]
            for kind in ("image", "container", "layer")
        },
        "data": [{"name": each.name, "size": each.size, "digest": each.digest or None} for each in found.data],
        "mounts": [{"path": path, "count": count} for path, count in found.mounts.items()],
        "directories": dict(found.directories),
        "read_only": found.read_only,
        "flags": dict(record.flags),
        "metadata": record.metadata,
        "complete": not found.problems,
        "problems": list(found.problems),
    }


def _of_image(found: Inspection, record: Any) -> dict[str, Any]:
    config = None if found.config is None else found.config.as_dict()
    return {
        "unique": found.unique,
        "earlier_names": [name for name in record.names_history if name not in record.names],
        "digests": list(found.digests),
        "layer": record.layer or None,
        "mapped_layers": list(record.mapped_layers),
        "config": config,
    }


def _of_container(found: Inspection, record: Any) -> dict[str, Any]:
    return {
        "image": record.image or None,
        "image_names": list(found.image_names),
        "layer": record.layer or None,
        "uid_map": _ranges(record.uid_map),
        "gid_map": _ranges(record.gid_map),
    }


def _of_layer(found: Inspection, record: Any) -> dict[str, Any]:
    return {
        "parent": record.parent or None,
        "digests": list(found.digests),
        "diff_id": record.diff_digest or None,
        "compressed_digest": record.compressed_digest or None,
        "compressed_size": record.compressed_size or None,
        "toc_digest": record.toc_digest or None,
        "mount_label": record.mount_label,
        "uid_map": _ranges(record.uid_map),
        "gid_map": _ranges(record.gid_map),
    }


def _ranges(ranges: Sequence[IDMapEntry]) -> list[dict[str, int]]:
    return [each.as_dict() for each in ranges]


def seen_document(seen: SeenImage) -> dict[str, Any]:
    """Return the document of an image outside the store."""
    return {
        "version": VERSION,
        "kind": "remote-image",
        "place": seen.shown,
        "id": seen.id or None,
        "names": [seen.name] if seen.name else [],
        "created": (seen.config.created or None) if seen.config else None,
        "size": seen.size,
        "digest": seen.digest,
        "media_type": seen.media_type,
        "manifest_digest": seen.manifest_digest,
        "platforms": [{"platform": platform, "digest": digest} for platform, digest in seen.platforms],
        "layers": [
            {"digest": layer.digest, "media_type": layer.media_type, "size": layer.size, "diff_id": diff_id or None}
            for layer, diff_id in seen.layers
        ],
        "config": None if seen.config is None else seen.config.as_dict(),
    }
