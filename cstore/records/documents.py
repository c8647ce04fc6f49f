"""Records as JSON documents, with the Go tool's keys, order and omissions (cli spec, 2.3)."""

from __future__ import annotations

from cstore.gojson import mapping
from cstore.records.model import key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from cstore.records.model import Container, IDMapEntry, Image, Layer, Record


def layer(record: Layer) -> dict[str, Any]:
    """Return the document of a layer record."""
    return _document(record, ("id", "created"))


def image(record: Image) -> dict[str, Any]:
    """Return the document of an image record."""
    return _document(record, ("id", "created"))


def container(record: Container) -> dict[str, Any]:
    """Return the document of a container record."""
    return _document(record, ("id", "image", "layer", "created"))


def _document(record: Record, always: Sequence[str]) -> dict[str, Any]:
    """Return a record's fields by their keys on disk, in that order, without empty ones that are not in `always`."""
    given, found = vars(record), {}
    for name, key, form in _fields(type(record)):
        value = given.get(name)
        if value:
            found[key] = value if form is None else form(value)
        elif name in always:
            found[key] = getattr(record, name)
    return found


_known: dict[type, tuple[tuple[str, str, Callable[[Any], Any] | None], ...]] = {}
"""By kind of record: field, key on disk, and the function that converts the value, if any."""


def _fields(kind: type[Record]) -> tuple[tuple[str, str, Callable[[Any], Any] | None], ...]:
    if kind not in _known:
        _known[kind] = tuple((name, key_of(name), _FORMS.get(name)) for name in kind.field_names())
    return _known[kind]


def _ranges(ranges: Iterable[IDMapEntry]) -> list[dict[str, int]]:
    return [{"container_id": part.container_id, "host_id": part.host_id, "size": part.size} for part in ranges]


_FORMS: dict[str, Callable[[Any], Any]] = {
    "names": list, "names_history": list, "mapped_layers": list, "data_names": list, "uids": list, "gids": list,
    "uid_map": _ranges, "gid_map": _ranges, "compression": int,
    "flags": mapping, "data_sizes": mapping, "data_digests": mapping,
}  # fmt: skip
"""The conversions of fields that are neither text nor numbers."""
