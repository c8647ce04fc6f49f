"""Mount counts against what is really mounted."""

from __future__ import annotations

import os

from cstore.check.findings import Finding, of_layer, of_store
from cstore.errors import CstoreError, RecordsDamaged
from cstore.kernel.mountinfo import read_mounts
from cstore.records.mounts import MountTable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.snapshot import StoreSnapshot


def mount_findings(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Everything that is wrong with mount counts. A user's store is mounted where only that user's programs see it."""
    path = snapshot.layout.mountpoints
    try:
        table = MountTable.load(path, snapshot.layout.roots)
    except RecordsDamaged as error:
        sentence = f"the mount table is damaged: {error.reason}"
        yield of_store("mount-table-damaged", path, sentence, reason=error.reason)
        return
    if not _sees_all_mounts(snapshot):
        return
    counted = {mount.id for mount in table}
    for mount in table:
        if mount.id in snapshot.layers and not snapshot.context.driver.is_mounted(mount.id, mount.path):
            sentence = f"its mount count is {mount.count}, but it is not mounted at {mount.path}"
            yield of_layer("mount-gone", mount.id, sentence, part=mount.path, path=mount.path, count=mount.count)
    for place, layer in snapshot.inspector.mounts(_mount_points()).items():
        if layer not in counted and layer in snapshot.layers:
            sentence = f"it is mounted at {place}, but its mount is not counted"
            yield of_layer("mount-uncounted", layer, sentence, part=place, path=place)


def _sees_all_mounts(snapshot: StoreSnapshot) -> bool:
    try:
        return os.stat(snapshot.layout.graph_root).st_uid == os.geteuid()
    except OSError:
        return False


def _mount_points() -> list[str]:
    try:
        return list(dict.fromkeys(mount.mount_point for mount in read_mounts()))
    except (OSError, CstoreError):
        return []
