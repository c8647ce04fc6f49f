"""The record files themselves: their form, IDs and names that occur twice, IDs that no path can be made of."""

from __future__ import annotations

from collections import Counter

from cstore.check.findings import Finding, Subject, of_store
from cstore.digests import check_digest
from cstore.errors import CstoreError, InvalidDigest, UnsafeID
from cstore.ids import check_neighbour
from cstore.records import codec
from cstore.records.snapshot import read_file
from cstore.store.places import Shelf, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.census import Census
    from cstore.errors import RecordsDamaged
    from cstore.records.table import NameConflict


def record_findings(census: Census) -> Iterator[Finding]:
    """Everything that is wrong with records as such."""
    for shelf, flaw, read_only in census.flaws:
        yield _of_flaw(shelf, flaw, read_only=read_only)
    for shelf in Shelf:
        yield from _repeated_ids(census, shelf)
    for shelf, table in ((Shelf.LAYERS, census.layers), (Shelf.IMAGES, census.images)):
        yield from _repeated_names(shelf, table.names_in_conflict())
    yield from _repeated_names(Shelf.CONTAINERS, census.containers.names_in_conflict())
    for extra in census.additional:
        for shelf, found in ((Shelf.LAYERS, extra.layers), (Shelf.IMAGES, extra.images)):
            yield from _repeated_names(shelf, found.names_in_conflict(), read_only=True)
    yield from _unsafe(census)
    yield from _digests(census)


def _of_flaw(shelf: Shelf, flaw: RecordsDamaged, *, read_only: bool) -> Finding:
    kind = "records-damaged"
    if flaw.offset is None and flaw.reason.startswith("it is empty"):
        kind = "records-empty"
    elif flaw.offset is None and flaw.reason.startswith("it is missing"):
        kind = "records-missing"
    place = "" if flaw.offset is None else f" at byte {flaw.offset}"
    return of_store(
        kind,
        flaw.path,
        f"the file of {shelf.value} records is damaged{place}: {flaw.reason}",
        part=flaw.reason,
        reason=flaw.reason,
        offset=flaw.offset,
        shelf=shelf.value,
        read_only=read_only,
    )


def _repeated_ids(census: Census, shelf: Shelf) -> Iterator[Finding]:
    """Read every file once more, record by record: a table hides the doubles."""
    holders: dict[str, list[str]] = {}
    for path in census.context.places[shelf].files.values():
        for identifier, count in _ids_in(shelf, path).items():
            holders.setdefault(identifier, []).extend([path] * count)
    for identifier, paths in holders.items():
        if len(paths) > 1:
            sentence = f"{len(paths)} {shelf.value} records have the ID {identifier}; one of them hides the others"
            yield Finding("duplicate-id", Subject(shelf.value, identifier), sentence, {"paths": paths})


def _ids_in(shelf: Shelf, path: str) -> Counter[str]:
    try:
        data, _ = read_file(path)
    except CstoreError:
        return Counter()  # a finding of its own
    return Counter(record.id for record in codec.decode(kind_of(shelf).record, data).records) if data else Counter()


def _repeated_names(shelf: Shelf, conflicts: list[NameConflict], *, read_only: bool = False) -> Iterator[Finding]:
    for conflict in conflicts:
        name, keeper = conflict.name, conflict.keeper
        sentence = f"the name {name!r} belongs to {keeper} as well, which answers to it"
        evidence = {"part": name, "name": name, "keeper": keeper}
        subject = Subject(shelf.value, conflict.loser)
        yield Finding("duplicate-name", subject, sentence, evidence, read_only=read_only)


def _unsafe(census: Census) -> Iterator[Finding]:
    tables = ((Shelf.LAYERS, census.layers), (Shelf.IMAGES, census.images), (Shelf.CONTAINERS, census.containers))
    for shelf, table in tables:
        for identifier in table.ids():
            try:
                check_neighbour(identifier)
            except UnsafeID as error:
                sentence = f"the ID {identifier!r} cannot be used: {error.reason}"
                yield Finding("unsafe-id", Subject(shelf.value, identifier), sentence, {"reason": error.reason})


def _digests(census: Census) -> Iterator[Finding]:
    for layer, read_only in census.all_layers.values():
        for name in ("diff_digest", "compressed_digest"):
            text = getattr(layer, name)
            try:
                if text:
                    check_digest(text)
            except InvalidDigest as error:
                sentence = f"{text!r} in the record is no digest: {error.reason}"
                evidence = {"part": name, "field": name, "value": text, "reason": error.reason}
                peer = f"layer {layer.id}: {error.peer}"
                subject = Subject("layer", layer.id)
                yield Finding("digest-invalid", subject, sentence, evidence, peer, read_only=read_only)
