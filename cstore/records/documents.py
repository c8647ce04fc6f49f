"""Records as JSON documents: keys, their order and what is left out are the Go tool's (cli spec, 2.3)."""

from __future__ import annotations

from cstore.gojson import mapping
from cstore.records.model import key_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from cstore.records.model import Container, IDMapEntry, Image, Layer, Record


def layer(record: Layer) -> dict[str, Any]:
    """A layer record."""
    return _document(record, ("id", "created"))


def image(record: Image) -> dict[str, Any]:
    """An image record."""
    return _document(record, ("id", "created"))


def container(record: Container) -> dict[str, Any]:
    """A container record."""
    return _document(record, ("id", "image", "layer", "created"))


def _document(record: Record, always: Sequence[str]) -> dict[str, Any]:
    """Return a record's fields by their keys on disk, in order, without empty ones, except those written `always`."""
    given, found = vars(record), {}
    for name, key, form in _fields(type(record)):
        value = given.get(name)
        if value:
            found[key] = value if form is None else form(value)
        elif name in always:
            found[key] = getattr(record, name)
    return found


_known: dict[type, tuple[tuple[str, str, Callable[[Any], Any] | None], ...]] = {}
"""Of each kind of record: field, key on disk, and what makes a document's value of it."""


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
"""How a field is written, if it is not text or a number."""
