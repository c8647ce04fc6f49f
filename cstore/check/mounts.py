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

    from cstore.check.census import Census


def mount_findings(census: Census) -> Iterator[Finding]:
    """Everything that is wrong with mount counts. A user's store is mounted where only that user's programs see it."""
    path = census.layout.mountpoints
    try:
        table = MountTable.load(path, census.layout.roots)
    except RecordsDamaged as error:
        sentence = f"the mount table is damaged: {error.reason}"
        yield of_store("mount-table-damaged", path, sentence, reason=error.reason)
        return
    if not _sees_all_mounts(census):
        return
    counted = {mount.id for mount in table}
    for mount in table:
        if mount.id in census.layers and not census.context.driver.is_mounted(mount.id, mount.path):
            sentence = f"it counts as mounted {mount.count} times at {mount.path}, and is not mounted there"
            yield of_layer("mount-gone", mount.id, sentence, part=mount.path, path=mount.path, count=mount.count)
    for place, layer in census.inspector.mounts(_mount_points()).items():
        if layer not in counted and layer in census.layers:
            sentence = f"it is mounted at {place} and does not count as mounted"
            yield of_layer("mount-uncounted", layer, sentence, part=place, path=place)


def _sees_all_mounts(census: Census) -> bool:
    try:
        return os.stat(census.layout.graph_root).st_uid == os.geteuid()
    except OSError:
        return False


def _mount_points() -> list[str]:
    try:
        return list(dict.fromkeys(mount.mount_point for mount in read_mounts()))
    except (OSError, CstoreError):
        return []
