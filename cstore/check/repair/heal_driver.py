"""What a driver keeps beside the contents of layers; mounts; and the places of the store itself."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from cstore.check.census import Census
from cstore.check.repair.from_stores import can_be_made
from cstore.check.repair.plan import Action, Hopeless, Step
from cstore.check.repair.survivors import Survivors
from cstore.check.repair.workshop import set_mode, set_owner
from cstore.check.things import thing_findings
from cstore.errors import LayersMounted, LayerUnknown, RecordsDamaged, SystemFailure
from cstore.fs import within
from cstore.fs.atomic import sync_filesystem
from cstore.fs.lockfile import LockFile
from cstore.fs.tree import remove_tree
from cstore.kernel.mountinfo import read_mounts
from cstore.records.mounts import MountTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.findings import Finding
    from cstore.check.repair.patient import Patient
    from cstore.check.repair.workshop import Workshop


_WHY = "it was wrong, or missing"
_PARTS = ("lower", "work")
"""What `Mender.mend_parts` makes again."""


def links(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A layer's short link, or the file that names it: made again; children go on to find it."""
    del patient
    act = partial(_mend_links, finding.subject.id)
    what = f"restore the short link of layer {finding.subject.id}"
    evidence = "the link that still points to it, or a new one"
    yield Step(Action.MAKE_LINKS, finding.subject, what, finding.sentence, evidence, act)


def _mend_links(layer: str, shop: Workshop) -> None:
    with shop.locked():
        _make_links(layer, shop)


def _make_links(layer: str, shop: Workshop) -> None:
    for path in shop.mender.wrong_links(layer):
        shop.keeper.keep(path, _WHY)
    for path in shop.mender.mend_links(layer):
        if os.path.isdir(path) and not os.path.islink(path):
            shop.keeper.made_folder(path, _WHY)  # that of all short links
        else:
            shop.keeper.succeed(path, _WHY)


def parts(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """The list of a layer's ancestors, and its work directory: made again from the records."""
    layer = finding.subject.id
    ancestors = patient.survivors.driver_chain(layer)[1:]
    missing = [ancestor for ancestor in ancestors if not patient.census.has_tree(ancestor)]
    lost = next((ancestor for ancestor in missing if not can_be_made(patient, ancestor)), "")
    if lost:
        yield Hopeless(finding.subject, finding.sentence, f"its ancestor {lost} has no directory")
        return
    action = Action.MAKE_PARTS_ABOVE if missing else Action.MAKE_PARTS
    path = str(finding.evidence["path"])
    act = partial(_mend_parts, layer, path)
    what = f"rewrite {path}"
    evidence = f"the records name {len(ancestors)} layers beneath it"
    yield Step(action, finding.subject, what, finding.sentence, evidence, act, (path,))


def _mend_parts(layer: str, path: str, shop: Workshop) -> None:
    """Look again under the lock; make what the part refers to, and only then the part.

    Raises:
        DriverError: an ancestor is not there. Nothing was changed.
    """
    with shop.locked() as writer:
        census = Census(shop.context)
        if layer not in writer.layers:
            return
        flaws = census.inspector.flaws(layer, census.chain(layer)[1:])
        wrong = [flaw.path for flaw in flaws if flaw.part in _PARTS]
        if path not in wrong:
            return
        ancestors = Survivors(census).driver_chain(layer)[1:]
        lost = [each for each in ancestors if not census.has_tree(each)]
        if lost:
            raise LayerUnknown(lost[0])
        for each in (layer, *(ancestor for ancestor in ancestors if ancestor in writer.layers)):
            _make_links(each, shop)
        for each in wrong:
            shop.keeper.keep(each, _WHY)
        for each in shop.mender.mend_parts(layer, ancestors):
            shop.keeper.succeed(each, _WHY)


def stray_link(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A short link of nobody: out of the way. One of a layer whose directory is gone may be needed again."""
    path = finding.subject.path
    if any(part in patient.census.all_layers for part in str(finding.evidence.get("found", "")).split("/")):
        return
    act = partial(_aside, path)
    what = f"move {path} into quarantine"
    yield Step(Action.TAKE_OUT, finding.subject, what, finding.sentence, "no layer has that link", act)


def _aside(path: str, shop: Workshop) -> None:
    with shop.locked():
        if any(flaw.path == path for flaw in Census(shop.context).inspector.strays()):
            shop.keeper.keep(path, "it belonged to no layer")


def subvolume(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """An ordinary directory where a subvolume belongs: the same files in a subvolume."""
    del patient
    layer = finding.subject.id
    what = f"convert the directory of layer {layer} to a subvolume"
    act = partial(_make_subvolume, layer)
    yield Step(Action.MAKE_SUBVOLUME, finding.subject, what, finding.sentence, "its own files", act)


def _make_subvolume(layer: str, shop: Workshop) -> None:
    """Copy the files, sharing their blocks, and exchange the directories. Nobody changes the layer under the lock.

    Raises:
        LayersMounted: somebody uses the layer, and would go on with the directory that goes.
    """
    with shop.locked() as writer:
        record = writer.layers.get(layer)
        if record is None or not Census(shop.context).inspector.flaws(layer, ()):
            return
        with writer.mounts() as mounts:
            if mounts.get(layer) is not None:
                raise LayersMounted([layer])
        staged = writer.driver.stage_again(layer, record.parent or None)
        try:
            if shop.context.sync:
                sync_filesystem(staged.tree)  # nothing has the files but the directory that is going to be deleted
            old = writer.driver.replace(staged, layer)
        except BaseException:
            staged.staging.remove()
            raise
    old.finish()


# ── mounts ──


def mounts(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """Mount counts: what the kernel says is true."""
    del patient
    what = "count as mounted what is mounted, and nothing else"
    subject = finding.subject.with_(kind="store", id="", path="mount counts")
    yield Step(Action.COUNT_MOUNTS, subject, what, finding.sentence, "the system's list of mounts", _recount)


def _recount(shop: Workshop) -> None:
    context = shop.context
    path = context.layout.mountpoints
    with shop.locked() as writer, LockFile(context.layout.mountpoints_lock).exclusive(context.patience) as lock:
        table = _sound_table(path)
        census = Census(context)
        real = census.inspector.mounts([mount.mount_point for mount in read_mounts()])
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
    try:
        return MountTable.load(path)
    except RecordsDamaged:
        _remove(path)  # it is in the run root, which no reboot keeps; nothing but counts is in it
        return MountTable(path)


def _remove(path: str) -> None:
    try:
        within.unlink(path)
    except IsADirectoryError:
        remove_tree(path)
    except OSError as error:
        raise SystemFailure("remove", path, error) from None


# ── places ──


def lock(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A lock file that is missing, or something else: made again."""
    del patient
    path = finding.subject.path
    what = f"create the lock file {path}"
    yield Step(Action.MAKE_LOCK, finding.subject, what, finding.sentence, "", partial(_make_lock, path))


def _make_lock(path: str, shop: Workshop) -> None:
    """Locks protect everything, so none is held here; whoever opens the file next finds it empty, which is allowed."""
    with suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            return  # somebody has made it meanwhile, and may hold it
    shop.keeper.keep(path, "it was no lock file")
    with LockFile(path).exclusive(shop.context.patience):
        pass


def thing(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """Something of another type than it must be: out of the way; what belongs there is made again after that."""
    del patient
    path = finding.subject.path
    act = partial(_put_thing_aside, path)
    what = f"move {path} into quarantine"
    yield Step(Action.PUT_ASIDE, finding.subject, what, finding.sentence, "it is never followed", act)


def _put_thing_aside(path: str, shop: Workshop) -> None:
    with shop.locked():
        if any(found.subject.path == path for found in thing_findings(Census(shop.context))):
            shop.keeper.keep(path, "it was no file or directory of the store")


def mode(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A directory of the store that has another mode than it should."""
    del patient
    path, expected = finding.subject.path, str(finding.evidence["expected"])
    act = partial(_set_mode, path, int(expected, 8))
    yield Step(Action.SET_MODE, finding.subject, f"set the mode of {path} to {expected}", finding.sentence, "", act)


def _set_mode(path: str, wanted: int, shop: Workshop) -> None:
    del shop
    set_mode(path, wanted)


def owner(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A directory of the store that belongs to somebody else."""
    del patient
    path, expected = finding.subject.path, int(finding.evidence["expected"])
    act, what = partial(_set_owner, path, expected), f"give {path} to user {expected}"
    yield Step(Action.SET_OWNER, finding.subject, what, finding.sentence, "the store is theirs", act)


def _set_owner(path: str, wanted: int, shop: Workshop) -> None:
    try:
        group = os.stat(shop.context.layout.graph_root).st_gid
    except OSError as error:
        raise SystemFailure("look at", shop.context.layout.graph_root, error) from None
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
    "place-writable": mode,
    "place-owner": owner,
}
"""By kind of finding."""
