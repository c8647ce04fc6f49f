"""JSON documents: what programs read. Keys, their order and what is left out are the peer's (cli spec, 2.3)."""

from __future__ import annotations

from cstore.cli.output.streams import write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from cstore import Change, Container, IDMapEntry, Image, Layer
    from cstore.store import Leftover


def write_document(value: object, *, indented: bool = False) -> None:
    """Write one document and a newline to standard output, on one line or `indented` for people."""
    from cstore.gojson import encode

    data = encode(value).rstrip(b"\n")
    if indented:
        import json

        data = json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode()
    write_json(data + b"\n")


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


def mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """A map, its keys in the order of their bytes."""
    if len(values) < 2:
        return dict(values)
    return dict(sorted(values.items(), key=lambda item: item[0].encode(errors="surrogatepass")))


def nothing_is_null(values: Sequence[Any]) -> list[Any] | None:
    """A list that the peer writes as null when it is empty."""
    return list(values) or None


def changes(found: Iterable[Change]) -> list[dict[str, Any]] | None:
    """Changes of one layer."""
    return nothing_is_null(
        [{"Path": change.path.decode(errors="surrogateescape"), "Kind": int(change.kind)} for change in found]
    )


def layers(records: Iterable[Layer]) -> list[dict[str, Any]] | None:
    """All layers."""
    return nothing_is_null([layer(record) for record in records])


def owners(item: str, uids: Sequence[int], gids: Sequence[int]) -> dict[str, Any]:
    """Owners that the ID maps of a layer miss."""
    return {"ID": item, "UIDs": nothing_is_null(uids), "GIDs": nothing_is_null(gids)}


def leftovers(found: Iterable[Leftover]) -> list[dict[str, Any]]:
    """What garbage collection found."""
    return [{"path": leftover.path, "kind": leftover.kind, "bytes": leftover.bytes} for leftover in found]
