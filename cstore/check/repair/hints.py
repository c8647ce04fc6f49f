"""Read the remains of damaged record files, and of temporary copies that were never renamed into place.

A hint is the valid fields of a record, by field name. It is used only for facts that are stored nowhere else in the
store: names, metadata, labels, times.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from cstore import presence
from cstore.errors import CstoreError
from cstore.fs.atomic import TEMPORARY_PREFIX
from cstore.records import lenient
from cstore.records.model import Container, Image, Layer
from cstore.records.shapes import columns_of
from cstore.records.snapshot import read_file
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.snapshot import StoreSnapshot

KINDS: dict[ItemKind, type[Any]] = {ItemKind.LAYERS: Layer, ItemKind.IMAGES: Image, ItemKind.CONTAINERS: Container}

_BEGINNING = b'{"id":'
"""The first bytes of a record; all programs write them so."""

Hints = dict[str, dict[str, Any]]
"""Fields of records, by ID and field name."""


def gather_hints(snapshot: StoreSnapshot, item_kind: ItemKind) -> Hints:
    """Read all readable records of a kind. Record files take precedence over copies."""
    found: Hints = {}
    for path in _files(snapshot, item_kind):
        try:
            data, _ = read_file(path)
        except CstoreError:
            continue
        for identifier, fields in _rows(KINDS[item_kind], data):
            found[identifier] = {**found.get(identifier, {}), **fields}
    return found


def rows_in_files(snapshot: StoreSnapshot, item_kind: ItemKind) -> Hints:
    """Read all readable records in the record files themselves, without copies, that is, the last saved state."""
    found: Hints = {}
    for path in snapshot.context.places[item_kind].files.values():
        try:
            data, _ = read_file(path)
        except CstoreError:
            continue
        found.update(_rows(KINDS[item_kind], data))
    return found


def _files(snapshot: StoreSnapshot, item_kind: ItemKind) -> Iterator[str]:
    """Yield copies, oldest first, then the record files."""
    own = [path for path in snapshot.context.places[item_kind].files.values() if presence.exists(path)]
    for path in snapshot.context.places[item_kind].files.values():
        folder, name = os.path.split(path)
        try:
            copies = [entry for entry in os.listdir(folder) if entry.startswith(TEMPORARY_PREFIX + name)]
        except OSError:
            continue
        yield from sorted((os.path.join(folder, copy) for copy in copies), key=_age)
    yield from own


def _age(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


def _rows(kind: type[Any], data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read every whole record, including those after a damaged part."""
    while data:
        found = lenient.scan(data)
        for element in found.elements:
            if isinstance(element.value, dict):
                fields = _sound_fields(kind, element.value)
                identifier = fields.pop("id", "")
                if identifier:
                    yield identifier, fields
        if found.flaw is None:
            return
        start = data.find(_BEGINNING, found.elements[-1].offset + 1 if found.elements else 0)
        if start >= 0:  # the fields before the damage, without the damaged one
            text = data[start:].partition(b"\0")[0].decode(errors="replace")
            fields = _sound_fields(kind, dict(_pairs(text)))
            identifier = fields.pop("id", "")
            if identifier:
                yield identifier, fields
        # At least 2: otherwise a record that is damaged at its first byte would be read again and again.
        behind = max(found.flaw.offset or 0, found.elements[-1].offset + 1 if found.elements else 1, 2)
        start = data.find(_BEGINNING, behind)
        data = b"[" + data[start:] if start > 0 else b""


def _pairs(text: str) -> Iterator[tuple[str, Any]]:
    """Read the keys and values of an object in compact form, up to the damage."""
    import json

    decoder, place = json.JSONDecoder(parse_constant=lambda _: None), 1  # NaN is not valid JSON
    try:
        while True:
            key, place = decoder.raw_decode(text, place)
            value, place = decoder.raw_decode(text, place + 1)
            if text[place] not in ",}" or not isinstance(key, str):
                return  # the number may be cut off here
            yield key, value
            if text[place] == "}":
                return
            place += 1
    except (ValueError, IndexError, RecursionError):
        return


def _sound_fields(kind: type[Any], row: dict[str, Any]) -> dict[str, Any]:
    """Keep the valid fields of a row."""
    fields = {}
    for key, value in row.items():
        if key not in columns_of(kind) or value is None:
            continue
        name, check = columns_of(kind)[key]
        try:
            fields[name] = check(value, key)
        except (ValueError, TypeError, AttributeError, LookupError):
            continue
    return fields
