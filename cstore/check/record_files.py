"""Check the record files: their syntax, duplicate IDs and names, unsafe IDs, invalid digests."""

from __future__ import annotations

from cstore.check.findings import Finding, Subject, of_store
from cstore.digests import check_digest
from cstore.errors import CstoreError, InvalidDigest, UnsafeID
from cstore.ids import check_neighbour
from cstore.records import codec
from cstore.records.snapshot import read_file
from cstore.store.places import ItemKind, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.snapshot import StoreSnapshot
    from cstore.records.table import NameConflict


def record_findings(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Yield a finding for each flaw in the records themselves."""
    for item_kind, flaw, read_only in snapshot.flaws:
        kind = "records-damaged"
        if flaw.offset is None and flaw.reason.startswith("it is empty"):
            kind = "records-empty"
        elif flaw.offset is None and flaw.reason.startswith("it is missing"):
            kind = "records-missing"
        place = "" if flaw.offset is None else f" at byte {flaw.offset}"
        yield of_store(
            kind, flaw.path, f"the file of {item_kind.value} records is damaged{place}: {flaw.reason}",
            part=flaw.reason, reason=flaw.reason, offset=flaw.offset, item_kind=item_kind.value, read_only=read_only,
        )  # fmt: skip
    for item_kind in ItemKind:
        yield from _repeated_ids(snapshot, item_kind)
    tables = (
        (ItemKind.LAYERS, snapshot.layers),
        (ItemKind.IMAGES, snapshot.images),
        (ItemKind.CONTAINERS, snapshot.containers),
    )
    for item_kind, table in tables:
        yield from _repeated_names(item_kind, table.names_in_conflict())
    for extra in snapshot.additional:
        for item_kind, found in ((ItemKind.LAYERS, extra.layers), (ItemKind.IMAGES, extra.images)):
            yield from _repeated_names(item_kind, found.names_in_conflict(), read_only=True)
    for item_kind, table in tables:
        for identifier in table.ids():
            try:
                check_neighbour(identifier)
            except UnsafeID as error:
                sentence = f"the ID {identifier!r} cannot be used: {error.reason}"
                yield Finding("unsafe-id", Subject(item_kind.value, identifier), sentence, {"reason": error.reason})
    yield from _digests(snapshot)


def _repeated_ids(snapshot: StoreSnapshot, item_kind: ItemKind) -> Iterator[Finding]:
    """Read each file again, record by record, because a table hides duplicates."""
    holders: dict[str, list[str]] = {}
    for path in snapshot.context.places[item_kind].files.values():
        try:
            data, _ = read_file(path)
        except CstoreError:
            continue  # another finding reports it
        for record in codec.decode(kind_of(item_kind).record, data).records if data else ():
            holders.setdefault(record.id, []).append(path)
    for identifier, paths in holders.items():
        if len(paths) > 1:
            sentence = f"{len(paths)} {item_kind.value} records have the ID {identifier}; one of them hides the others"
            yield Finding("duplicate-id", Subject(item_kind.value, identifier), sentence, {"paths": paths})


def _repeated_names(
    item_kind: ItemKind, conflicts: list[NameConflict], *, read_only: bool = False
) -> Iterator[Finding]:
    for conflict in conflicts:
        name, owner = conflict.name, conflict.owner
        sentence = f"its name {name!r} also belongs to {owner}, which lookups by name find"
        evidence = {"part": name, "name": name, "keeper": owner}
        subject = Subject(item_kind.value, conflict.loser)
        yield Finding("duplicate-name", subject, sentence, evidence, read_only=read_only)


def _digests(snapshot: StoreSnapshot) -> Iterator[Finding]:
    for layer, read_only in snapshot.all_layers.values():
        for name in ("diff_digest", "compressed_digest"):
            text = getattr(layer, name)
            try:
                if text:
                    check_digest(text)
            except InvalidDigest as error:
                sentence = f"{text!r} in the record is not a digest: {error.reason}"
                evidence = {"part": name, "field": name, "value": text, "reason": error.reason}
                go_text = f"layer {layer.id}: {error.go_text}"
                subject = Subject("layer", layer.id)
                yield Finding("digest-invalid", subject, sentence, evidence, go_text, read_only=read_only)
