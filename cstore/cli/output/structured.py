"""JSON documents for programs. Their keys, key order and omitted values match the Go tool (cli spec, 2.3)."""

from __future__ import annotations

from cstore.cli.output.streams import write_json
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from cstore import Change
    from cstore.store import Leftover


VERSION = 1
"""The version of cstore's own documents; it changes when a key is removed or changes its meaning."""
_BATCH = 200


class Streamed(Value):
    """A document with a list that may be very long, written while the list is iterated.

    Attributes:
        head: the keys before the list; the version precedes them.
        key: the key of the list.
        items: the items of the list; none contains a float.
        tail: returns the keys after the list; called when all items are written.
    """

    head: Mapping[str, Any]
    key: str
    items: Iterable[object]
    tail: Callable[[], Mapping[str, Any]]


class Listed(Value):
    """A list of documents, each built from a record when it is written. An empty list is null, as in the Go tool.

    Encoded documents, separated by commas, may take the place of several records.
    """

    records: Iterable[Any]


def write_document(value: object, *, indented: bool = False) -> None:
    """Write one document and a newline to standard output, on one line or `indented` for readability."""
    from cstore.gojson import encode

    if isinstance(value, Streamed):
        _write_streamed(value)
        return
    if isinstance(value, Listed):
        _write_listed(value)
        return
    data = encode(value).rstrip(b"\n")
    if indented:
        import json

        data = json.dumps(json.loads(data), indent=2, ensure_ascii=False).encode()
    write_json(data + b"\n")


def _write_streamed(document: Streamed) -> None:
    from itertools import islice

    from cstore.gojson import encode

    def text(value: object) -> bytes:
        return encode(value).rstrip(b"\n")

    rest = iter(document.items)
    batch = list(islice(rest, _BATCH))  # read before anything is written, because errors often occur here
    write_json(text({"version": VERSION, **document.head, document.key: []})[:-2])
    between = b""
    while batch:
        write_json(between + encode(batch, without_floats=True)[1:-1])
        between, batch = b",", list(islice(rest, _BATCH))
    write_json(b"]," + text(dict(document.tail()))[1:] + b"\n")


def _write_listed(value: Listed) -> None:
    from itertools import groupby, islice

    from cstore.gojson import encode

    rest = iter(value.records)
    batch = list(islice(rest, _BATCH))
    if not batch:
        write_json(b"null\n")
        return
    between = b"["
    while batch:
        for texts, group in groupby(batch, lambda each: isinstance(each, bytes)):
            some = list(group)
            if texts:
                told = b",".join(some)
            else:
                plain = not any(record.flags for record in some)  # only flags may contain any JSON value
                told = encode([record.document() for record in some], without_floats=plain).strip(b"\n")[1:-1]
            write_json(between + told)
            between = b","
        batch = list(islice(rest, _BATCH))
    write_json(b"]\n")


def nothing_is_null(values: Sequence[Any]) -> list[Any] | None:
    """Return a list, or None if it is empty, which the Go tool writes as null."""
    return list(values) or None


def changes(found: Iterable[Change]) -> list[dict[str, Any]] | None:
    """Return the document of the changes in a layer."""
    return nothing_is_null(
        [{"Path": change.path.decode(errors="surrogateescape"), "Kind": int(change.kind)} for change in found]
    )


def owners(item: str, uids: Sequence[int], gids: Sequence[int]) -> dict[str, Any]:
    """Return the document of the owners that the ID maps of a layer do not cover."""
    return {"ID": item, "UIDs": nothing_is_null(uids), "GIDs": nothing_is_null(gids)}


def leftovers(found: Iterable[Leftover]) -> list[dict[str, Any]]:
    """Return the document of the result of garbage collection."""
    return [{"path": leftover.path, "kind": leftover.kind, "bytes": leftover.bytes} for leftover in found]
