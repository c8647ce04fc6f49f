"""Repair the driver's files of layers, the mount counts, and the store's own directories and locks."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from cstore import presence
from cstore.check.places import thing_findings
from cstore.check.repair.from_stores import can_be_made
from cstore.check.repair.plan import Action, Step, Unrepairable, unrepairable
from cstore.check.repair.repair_context import set_mode, set_owner
from cstore.check.repair.survivors import Survivors
from cstore.check.snapshot import StoreSnapshot
from cstore.errors import LayersMounted, LayerUnknown, RecordsDamaged, SystemFailure
from cstore.fs import within
from cstore.fs.atomic import sync_filesystem
from cstore.fs.lockfile import LockFile
from cstore.fs.tree import remove_tree
from cstore.kernel.mountinfo import read_mounts
from cstore.records.mounts import MountTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.check.findings import Finding
    from cstore.check.repair.repair_context import RepairContext
    from cstore.check.repair.repair_view import RepairView


_WHY = "it was wrong, or missing"
_PARTS = ("lower", "work")
"""The parts of a layer that `DriverRepair.mend_parts` recreates."""


def links(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to recreate a layer's short link, or the file that names it, so that its children can still find it."""
    del repair_view
    act = partial(_mend_links, finding.subject.id)
    what = f"restore the short link of layer {finding.subject.id}"
    evidence = "an existing link to it, or a new one"
    yield Step(Action.MAKE_LINKS, finding.subject, what, finding.sentence, evidence, act)


def _mend_links(layer: str, repair: RepairContext) -> None:
    with repair.locked():
        _make_links(layer, repair)


def _make_links(layer: str, repair: RepairContext) -> None:
    for path in repair.driver_repair.wrong_links(layer):
        repair.quarantine.keep(path, _WHY)
    for path in repair.driver_repair.mend_links(layer):
        if presence.is_directory(path, follow=False):
            repair.quarantine.made_folder(path, _WHY)  # the directory of all short links
        else:
            repair.quarantine.succeed(path, _WHY)


def parts(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to recreate the list of a layer's ancestors, or its work directory, from the records."""
    layer = finding.subject.id
    ancestors = repair_view.survivors.driver_chain(layer)[1:]
    missing = [ancestor for ancestor in ancestors if not repair_view.snapshot.has_tree(ancestor)]
    lost = next((ancestor for ancestor in missing if not can_be_made(repair_view, ancestor)), "")
    if lost:
        yield unrepairable(finding, f"its ancestor {lost} has no directory")
        return
    action = Action.MAKE_PARTS_ABOVE if missing else Action.MAKE_PARTS
    path = str(finding.evidence["path"])
    act = partial(_mend_parts, layer, path)
    what = f"rewrite {path}"
    evidence = f"the records name {len(ancestors)} layers below it"
    yield Step(action, finding.subject, what, finding.sentence, evidence, act, (path,))


def _mend_parts(layer: str, path: str, repair: RepairContext) -> None:
    """Check again under the lock; create what the parts refer to before the parts.

    Raises:
        LayerUnknown: an ancestor has no directory. Nothing was changed.
    """
    with repair.locked() as writer:
        snapshot = StoreSnapshot(repair.context)
        if layer not in writer.layers:
            return
        flaws = snapshot.inspector.flaws(layer, snapshot.chain(layer)[1:])
        wrong = [flaw.path for flaw in flaws if flaw.part in _PARTS]
        if path not in wrong:
            return
        ancestors = Survivors(snapshot).driver_chain(layer)[1:]
        lost = [each for each in ancestors if not snapshot.has_tree(each)]
        if lost:
            raise LayerUnknown(lost[0])
        for each in (layer, *(ancestor for ancestor in ancestors if ancestor in writer.layers)):
            _make_links(each, repair)
        for each in wrong:
            repair.quarantine.keep(each, _WHY)
        for each in repair.driver_repair.mend_parts(layer, ancestors):
            repair.quarantine.succeed(each, _WHY)


def stray_link(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to quarantine a short link without a layer; not if its layer has a record, which may need it again."""
    path = finding.subject.path
    if any(part in repair_view.snapshot.all_layers for part in str(finding.evidence.get("found", "")).split("/")):
        return
    act = partial(_aside, path, "it belonged to no layer", lambda now: (flaw.path for flaw in now.inspector.strays()))
    what = f"move {path} into quarantine"
    yield Step(Action.TAKE_OUT, finding.subject, what, finding.sentence, "no layer has this short link", act)


def _aside(path: str, why: str, find: Callable[[StoreSnapshot], Iterator[str]], repair: RepairContext) -> None:
    """Quarantine a path, if `find` yields it again under the lock."""
    with repair.locked():
        if path in find(StoreSnapshot(repair.context)):
            repair.quarantine.keep(path, why)


def subvolume(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to convert an ordinary directory into a subvolume with the same files."""
    del repair_view
    layer = finding.subject.id
    what = f"convert the directory of layer {layer} to a subvolume"
    act = partial(_make_subvolume, layer)
    yield Step(Action.MAKE_SUBVOLUME, finding.subject, what, finding.sentence, "its own files", act)


def _make_subvolume(layer: str, repair: RepairContext) -> None:
    """Copy the files, sharing their blocks, and exchange the directories. No process changes the layer under the lock.

    Raises:
        LayersMounted: the layer is mounted, and its users would keep the old directory.
    """
    with repair.locked() as writer:
        record = writer.layers.get(layer)
        if record is None or not StoreSnapshot(repair.context).inspector.flaws(layer, ()):
            return
        with writer.mounts() as mounts:
            if mounts.get(layer) is not None:
                raise LayersMounted([layer])
        staged = writer.driver.stage_again(layer, record.parent or None)
        try:
            if repair.context.sync:
                sync_filesystem(staged.tree)  # the only other copy is about to be deleted
            old = writer.driver.replace(staged, layer)
        except BaseException:
            staged.staging.remove()
            raise
    old.finish()


# ── mounts ──


def mounts(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to set the mount counts to the kernel's mounts."""
    del repair_view
    what = "set the mount counts to the actual mounts"
    subject = finding.subject.with_(kind="store", id="", path="mount counts")
    yield Step(Action.COUNT_MOUNTS, subject, what, finding.sentence, "the kernel's list of mounts", _recount)


def _recount(repair: RepairContext) -> None:
    context = repair.context
    path = context.layout.mountpoints
    with repair.locked() as writer, LockFile(context.layout.mountpoints_lock).exclusive(context.lock_policy) as lock:
        table = _sound_table(path)
        snapshot = StoreSnapshot(context)
        real = snapshot.inspector.mounts([mount.mount_point for mount in read_mounts()])
        for entry in list(table):
            if not writer.driver.is_mounted(entry.id, entry.path):
                table.drop(entry.id)
        for place, layer in real.items():
            if table.get(layer) is None and layer in writer.layers:
                table.set(layer, place, 1)
        table.arrange(layer.id for layer in writer.layers)
        lock.mark()
        table.save(sync=context.sync)


def _sound_table(path: str) -> MountTable:
    """Load the mount table. Remove a damaged one: a reboot empties the run root anyway, and it holds only counts."""
    with suppress(RecordsDamaged):
        return MountTable.load(path)
    try:
        within.unlink(path)
    except IsADirectoryError:
        remove_tree(path)
    except OSError as error:
        raise SystemFailure("remove", path, error) from None
    return MountTable(path)


# ── places ──


def lock(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to recreate a missing or wrong lock file."""
    del repair_view
    path = finding.subject.path
    what = f"create the lock file {path}"
    yield Step(Action.MAKE_LOCK, finding.subject, what, finding.sentence, "", partial(_make_lock, path))


def _make_lock(path: str, repair: RepairContext) -> None:
    """Create the lock file without holding a lock, because it is the lock. An empty lock file is valid."""
    with suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            return  # another process has created it by now, and may hold it
    repair.quarantine.keep(path, "it was not a lock file")
    with LockFile(path).exclusive(repair.context.lock_policy):
        pass


def thing(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to quarantine a path of the wrong type; later steps recreate what belongs there."""
    del repair_view
    path = finding.subject.path
    why = "it was not a file or directory of the store"
    act = partial(_aside, path, why, lambda now: (found.subject.path for found in thing_findings(now)))
    what = f"move {path} into quarantine"
    yield Step(Action.PUT_ASIDE, finding.subject, what, finding.sentence, "it is never followed", act)


def mode(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to restore the mode of a directory of the store."""
    del repair_view
    path, expected = finding.subject.path, str(finding.evidence["expected"])
    what, wanted = f"set the mode of {path} to {expected}", int(expected, 8)
    yield Step(
        Action.SET_MODE, finding.subject, what, finding.sentence, "", lambda _: set_mode(path, wanted),
    )  # fmt: skip


def owner(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to restore the owner of a directory of the store."""
    del repair_view
    path, expected = finding.subject.path, int(finding.evidence["expected"])
    act, what = partial(_set_owner, path, expected), f"give {path} to user {expected}"
    yield Step(Action.SET_OWNER, finding.subject, what, finding.sentence, "this user owns the store", act)


def _set_owner(path: str, wanted: int, repair: RepairContext) -> None:
    try:
        group = os.stat(repair.context.layout.graph_root).st_gid
    except OSError as error:
        raise SystemFailure("examine", repair.context.layout.graph_root, error) from None
    set_owner(path, wanted, group)


HEALERS = {
    "overlay-link": links,
    "overlay-short-link": links,
    "overlay-lower": parts,
    "overlay-work": parts,
    "overlay-stray-link": stray_link,
    "btrfs-subvolume": subvolume,
    "mount-table-damaged": mounts,
    "mount-gone": mounts,
    "mount-uncounted": mounts,
    "lock-missing": lock,
    "lock-wrong": lock,
    "thing-wrong": thing,
    "place-mode": mode,
    "place-owner": owner,
}
"""Functions that plan the repair of one finding, by kind of finding."""
