"""What belongs to no record: what garbage collection would take, and what it leaves alone while records are damaged."""

from __future__ import annotations

import os

from cstore.check.findings import Finding, Subject, of_layer, of_store
from cstore.check.references import lost_records
from cstore.errors import RecordsDamaged
from cstore.fs import within
from cstore.store.evidence import transient_containers
from cstore.store.garbage import collect, foreign
from cstore.store.places import Shelf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.census import Census

_HEX = frozenset("0123456789abcdef")
_WORDS = {
    "staging": "a killed process was making or removing it",
    "temporary": "a killed process never renamed it into place",
    "tar-split": "it is a tar-split file that no layer owns",
    "data": "it is a directory of data items that nothing owns",
}


def leftover_findings(census: Census) -> Iterator[Finding]:
    """Everything that lies in the store and has no record."""
    yield from lost_records(census)
    if census.suspect:
        yield from _lost_items(census)
        return
    try:
        found = [*collect(census.context, dry_run=True), *foreign(census.context)]
    except RecordsDamaged as error:  # a file that only transient containers use
        yield of_store("records-damaged", error.path, error.message, reason=error.reason, offset=error.offset)
        return
    driver = census.context.driver
    trees = {driver.path_of(layer): layer for layer in driver.layers()}
    for leftover in found:
        layer = os.path.basename(leftover.path)
        if leftover.kind == "layer" or (leftover.kind, trees.get(leftover.path)) == ("foreign", layer):
            peer = f"layer {layer}: layer in lower level storage driver not accounted for"
            sentence = f"its directory {leftover.path} has no record"
            yield of_layer("layer-unaccounted", layer, sentence, path=leftover.path, bytes=leftover.bytes, peer=peer)
        elif leftover.kind in _WORDS:
            sentence = _WORDS[leftover.kind]
            yield of_store(f"leftover-{leftover.kind}", leftover.path, sentence, bytes=leftover.bytes)


def _lost_items(census: Census) -> Iterator[Finding]:
    """Data of images and containers whose record may have been in a damaged file."""
    layout = census.layout
    transient: set[str] = set()
    try:
        transient = transient_containers(layout)
    except RecordsDamaged as error:
        yield of_store("records-damaged", error.path, error.message, reason=error.reason, offset=error.offset)
    kinds = (
        (Shelf.IMAGES, layout.images, set(census.images.ids())),
        (Shelf.CONTAINERS, layout.containers, set(census.containers.ids()) | transient),
    )
    for shelf, directory, known in kinds:
        if shelf not in census.suspect:
            continue
        for name in _directories(directory):
            if name not in known and len(name) == 64 and _HEX.issuperset(name):
                path = os.path.join(directory, name)
                sentence = "it has data and no record; the record file is damaged"
                yield Finding(f"{shelf.value}-record-lost", Subject(shelf.value, name), sentence, {"path": path})


def _directories(directory: str) -> list[str]:
    try:
        return sorted(name for name in within.listdir(directory) if within.is_directory(directory, name))
    except OSError:
        return []
