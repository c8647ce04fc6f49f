"""The records of one file that can be read, whatever is wrong with the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cstore.errors import CstoreError
from cstore.records import codec, lenient
from cstore.records.snapshot import read_file

if TYPE_CHECKING:
    from cstore.records.model import Record


def sound_records(path: str, kind: type[Record]) -> list[tuple[Any, bytes]]:
    """Read every record of a file that is sound, each with its own bytes, in their order."""
    try:
        data, _ = read_file(path)
    except CstoreError:
        return []
    found: list[tuple[Any, bytes]] = []
    for element in lenient.scan(data).elements:
        try:
            found.append((codec.decode_one(kind, element.raw), element.raw))
        except ValueError:
            continue
    return found
