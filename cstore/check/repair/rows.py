"""Read the sound records of a record file, however damaged the others are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cstore.errors import CstoreError
from cstore.records import codec, lenient
from cstore.records.images import flaw, with_valid_digests
from cstore.records.model import Image
from cstore.records.snapshot import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.records.model import Record


_SEAM = re.compile(rb'\}[ \t\r\n]*,[ \t\r\n]*(?=\{[ \t\r\n]*"id"[ \t\r\n]*:)')
"""The seam between two records, as all programs write it. Inside a string its quotes would be escaped."""


def sound_records(path: str, kind: type[Record]) -> list[tuple[Any, bytes]]:
    """Read every sound record of a file with its own bytes, in order, including those after a damaged part.

    Invalid digests in an image's record are left out, because the Go tools load no file that has them.
    """
    try:
        data, _ = read_file(path)
    except CstoreError:
        return []
    found: list[tuple[Any, bytes]] = []
    for raw in _elements(data):
        try:
            record: Any = codec.decode_one(kind, raw)
        except ValueError:
            continue
        if isinstance(record, Image) and flaw(record):
            valid = with_valid_digests(record)
            record, raw = valid, codec.rewrite(raw, record, valid)  # noqa: PLW2901  - record and bytes must match
        found.append((record, raw))
    return found


def _elements(data: bytes) -> Iterator[bytes]:
    """Split a file into possible records."""
    scan = lenient.scan(data)
    yield from (element.raw for element in scan.elements)
    if scan.flaw is None:
        return
    last = scan.elements[-1] if scan.elements else None
    _, *pieces = _SEAM.split(data[last.offset + len(last.raw) if last else 0 :])  # the first one is damaged
    if pieces:
        pieces[-1] = pieces[-1].rstrip().removesuffix(b"]").rstrip().removesuffix(b"}")
    yield from (piece + b"}" for piece in pieces)
