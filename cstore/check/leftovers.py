"""Find what no record describes: garbage, and data that garbage collection keeps because records are damaged."""

from __future__ import annotations

import os

from cstore.check.findings import Finding, Subject, of_layer, of_store
from cstore.check.references import lost_records
from cstore.errors import CstoreError, RecordsDamaged
from cstore.fs import within
from cstore.kernel.mountinfo import read_mounts
from cstore.records.mounts import MountTable
from cstore.store.garbage import collect, foreign
from cstore.store.lost_records import transient_containers
from cstore.store.places import ItemKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.snapshot import StoreSnapshot


_HEX = frozenset("0123456789abcdef")
_WORDS = {
    "staging": "a killed process was creating or removing it",
    "temporary": "a killed process never renamed it into place",
    "tar-split": "it is a tar-split file that no layer owns",
    "data": "it is a directory of data items that nothing owns",
}


def leftover_findings(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Yield a finding for everything in the store that has no record."""
    yield from lost_records(snapshot)
    if snapshot.suspect:
        yield from _lost_items(snapshot)
        return
    try:
        found = [*collect(snapshot.context, dry_run=True), *foreign(snapshot.context)]
    except RecordsDamaged as error:  # the record file of transient containers
        yield of_store("records-damaged", error.path, error.message, reason=error.reason, offset=error.offset)
        return
    driver = snapshot.context.driver
    trees = {driver.path_of(layer): layer for layer in driver.layers()}
    for leftover in found:
        layer = os.path.basename(leftover.path)
        if leftover.kind == "layer" or (leftover.kind, trees.get(leftover.path)) == ("foreign", layer):
            go_text = f"layer {layer}: layer in lower level storage driver not accounted for"
            sentence = f"its directory {leftover.path} has no record"
            yield of_layer(
                "layer-unaccounted", layer, sentence, path=leftover.path, bytes=leftover.bytes, go_text=go_text
            )
        elif leftover.kind in _WORDS:
            sentence = _WORDS[leftover.kind]
            yield of_store(f"leftover-{leftover.kind}", leftover.path, sentence, bytes=leftover.bytes)


def _lost_items(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Yield images and containers with data whose record may have been in a damaged file."""
    layout = snapshot.layout
    transient: set[str] = set()
    try:
        transient = transient_containers(layout)
    except RecordsDamaged as error:
        yield of_store("records-damaged", error.path, error.message, reason=error.reason, offset=error.offset)
    kinds = (
        (ItemKind.IMAGES, layout.images, set(snapshot.images.ids())),
        (ItemKind.CONTAINERS, layout.containers, set(snapshot.containers.ids()) | transient),
    )
    for item_kind, directory, known in kinds:
        if item_kind not in snapshot.suspect:
            continue
        try:
            names = sorted(name for name in within.listdir(directory) if within.is_directory(directory, name))
        except OSError:
            continue
        for name in names:
            if name not in known and len(name) == 64 and _HEX.issuperset(name):
                path = os.path.join(directory, name)
                sentence = "it has data but no record, because the record file is damaged"
                yield Finding(
                    f"{item_kind.value}-record-lost", Subject(item_kind.value, name), sentence, {"path": path}
                )


# ── mounts ──
#
# Compare mount counts with the actual mounts.


def mount_findings(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Yield a finding for each wrong mount count. Only the store's owner checks, because mounts may be private."""
    path = snapshot.layout.mountpoints
    try:
        table = MountTable.load(path, snapshot.layout.roots)
    except RecordsDamaged as error:
        sentence = f"the mount table is damaged: {error.reason}"
        yield of_store("mount-table-damaged", path, sentence, reason=error.reason)
        return
    try:
        if os.stat(snapshot.layout.graph_root).st_uid != os.geteuid():
            return
    except OSError:
        return
    counted = {mount.id for mount in table}
    for mount in table:
        if mount.id in snapshot.layers and not snapshot.context.driver.is_mounted(mount.id, mount.path):
            sentence = f"its mount count is {mount.count}, but it is not mounted at {mount.path}"
            yield of_layer("mount-gone", mount.id, sentence, part=mount.path, path=mount.path, count=mount.count)
    try:
        points = list(dict.fromkeys(mount.mount_point for mount in read_mounts()))
    except (OSError, CstoreError):
        points = []
    for place, layer in snapshot.inspector.mounts(points).items():
        if layer not in counted and layer in snapshot.layers:
            sentence = f"it is mounted at {place}, but its mount is not counted"
            yield of_layer("mount-uncounted", layer, sentence, part=place, path=place)
