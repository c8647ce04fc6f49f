"""What a driver keeps beside the contents of layers; mounts; and the places of the store itself."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from cstore.check.census import Census
from cstore.check.repair.plan import Hopeless, Phase, Step
from cstore.check.repair.workshop import set_mode, set_owner
from cstore.errors import RecordsDamaged
from cstore.fs.lockfile import LockFile
from cstore.kernel.mountinfo import read_mounts
from cstore.records.mounts import MountTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.findings import Finding
    from cstore.check.repair.patient import Patient
    from cstore.check.repair.workshop import Workshop


def links(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A layer's short link, or the file that names it: made again; children go on to find it."""
    del patient
    act = partial(_mend_links, finding.subject.id)
    what = f"make the short link of layer {finding.subject.id} again"
    evidence = "the link that still leads to it, or a new one"
    yield Step(Phase.DRIVER, finding.subject, what, finding.sentence, evidence, act)


def _mend_links(layer: str, shop: Workshop) -> None:
    with shop.locked():
        for path in shop.mender.wrong_links(layer):
            shop.keeper.keep(path, "it was wrong")
        shop.mender.mend_links(layer)


def parts(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """The list of a layer's ancestors, and its work directory: made again from the records."""
    layer = finding.subject.id
    ancestors = patient.census.chain(layer)[1:]
    missing = [ancestor for ancestor in ancestors if not patient.census.has_tree(ancestor)]
    if missing:
        yield Hopeless(finding.subject, finding.sentence, f"its ancestor {missing[0]} has no directory")
        return
    act = partial(_mend_parts, layer, str(finding.evidence["path"]))
    what = f"write {finding.evidence['path']} again"
    evidence = f"the records name {len(ancestors)} layers beneath it"
    yield Step(Phase.DRIVER, finding.subject, what, finding.sentence, evidence, act)


def _mend_parts(layer: str, path: str, shop: Workshop) -> None:
    with shop.locked():
        ancestors = Census(shop.context).chain(layer)[1:]
        for each in (layer, *ancestors):
            shop.mender.mend_links(each)
        shop.keeper.keep(path, "it was wrong")
        shop.mender.mend_parts(layer, ancestors)


def stray_link(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A short link of nobody: out of the way."""
    del patient
    path = finding.subject.path
    act = partial(_aside, path, "it belonged to no layer")
    yield Step(Phase.ASIDE, finding.subject, f"take out {path}", finding.sentence, "no layer has that link", act)


def _aside(path: str, why: str, shop: Workshop) -> None:
    shop.aside(path, why)


# ── mounts ──


def mounts(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """Mount counts: what the kernel says is true."""
    del patient
    what = "count as mounted what is mounted, and nothing else"
    subject = finding.subject.with_(kind="store", id="", path="mount counts")
    yield Step(Phase.MOUNTS, subject, what, finding.sentence, "the system's list of mounts", _recount)


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
        os.unlink(path)  # it is in the run root, which no reboot keeps; nothing but counts is in it
        return MountTable(path)


# ── places ──


def lock(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A lock file that is missing, or something else: made again."""
    del patient
    path = finding.subject.path
    what = f"make the lock file {path}"
    yield Step(Phase.PLACES, finding.subject, what, finding.sentence, "", partial(_make_lock, path))


def _make_lock(path: str, shop: Workshop) -> None:
    """Locks protect everything, so none is held here; whoever opens the file next finds it empty, which is allowed."""
    shop.keeper.keep(path, "it was no lock file")
    with LockFile(path).exclusive(shop.context.patience):
        pass


def mode(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A directory of the store that has another mode than it should."""
    del patient
    path, expected = finding.subject.path, str(finding.evidence["expected"])
    act = partial(_set_mode, path, int(expected, 8))
    yield Step(Phase.PLACES, finding.subject, f"set the mode of {path} to {expected}", finding.sentence, "", act)


def _set_mode(path: str, wanted: int, shop: Workshop) -> None:
    del shop
    set_mode(path, wanted)


def owner(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A directory of the store that belongs to somebody else."""
    del patient
    path, expected = finding.subject.path, int(finding.evidence["expected"])
    act, what = partial(_set_owner, path, expected), f"give {path} to user {expected}"
    yield Step(Phase.PLACES, finding.subject, what, finding.sentence, "the store is theirs", act)


def _set_owner(path: str, wanted: int, shop: Workshop) -> None:
    del shop
    set_owner(path, wanted)


HEALERS = {
    "overlay-link": links,
    "overlay-short-link": links,
    "overlay-lower": parts,
    "overlay-work": parts,
    "overlay-stray-link": stray_link,
    "mount-table-damaged": mounts,
    "mount-gone": mounts,
    "mount-uncounted": mounts,
    "lock-missing": lock,
    "lock-wrong": lock,
    "place-mode": mode,
    "place-writable": mode,
    "place-owner": owner,
}
"""By kind of finding."""
