"""Layers whose files or tar-split are damaged: attributes set again, or the layer made anew from its archive."""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import TYPE_CHECKING

from cstore.archive.names import split_name
from cstore.archive.override import ATTRIBUTE, Override, override_of
from cstore.check.census import Census
from cstore.check.compare import is_content
from cstore.check.expected import ExpectedTree, Node, stacked
from cstore.check.repair.owners import owners_shifted_to, read_headers
from cstore.check.repair.plan import Hopeless, Phase, Step
from cstore.check.repair.remake import plan_remake
from cstore.errors import SystemFailure
from cstore.fs.scoped import open_beneath
from cstore.fs.xattr import drop, entry, names_of, put_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.findings import Finding
    from cstore.check.repair.patient import Patient
    from cstore.check.repair.workshop import Workshop
    from cstore.idmap import IDMap
    from cstore.records.model import Layer

_FIXABLE = frozenset({"mode", "uid", "gid", "time", "xattr"})
"""What can be set again without making anything."""


def attributes(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """Mode, owner, time or attributes of a file: as its header says."""
    differs = finding.evidence.get("differs", {})
    if not {name.partition(" ")[0] for name in differs} <= _FIXABLE:
        yield from anew(patient, finding)
        return
    doubt = _doubt(patient, finding.subject.id)
    if doubt:
        yield Hopeless(finding.subject, finding.sentence, doubt, finding.remedy.sentence)
        return
    record = patient.census.layers.get(finding.subject.id)
    unmapped = record is not None and not record.uid_map and {"uid", "gid"} & set(differs)
    if unmapped and owners_shifted_to(patient.survivors, finding.subject.id):
        reason = "all of its files have other owners: it has an ID map that is not recorded, and no file is damaged"
        yield Hopeless(finding.subject, finding.sentence, reason, finding.remedy.sentence)
        return
    path = str(finding.evidence["path"])
    what = f"set {', '.join(differs)} of {path!r} in layer {finding.subject.id} again"
    act = partial(_restore, finding.subject.id, os.fsencode(path))
    yield Step(Phase.CONTENTS, finding.subject, what, finding.sentence, "its header in the tar-split", act)


def anew(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """Anything else: the whole layer again, if its archive can be had."""
    layer = finding.subject.id
    record = patient.census.layers.get(layer)
    container = next((one.id for one in patient.census.containers if one.layer == layer), "")
    if container and patient.census.has_tree(layer):
        reason = f"it is the own layer of container {container}, and what is in it is that container's work"
        yield Hopeless(finding.subject, finding.sentence, reason, finding.remedy.sentence)
        return
    expected = record.diff_digest if record else ""
    standing = patient.survivors.standings.get(layer)
    planned = plan_remake(patient, finding, expected or (standing.diff_id if standing else ""))
    if isinstance(planned, Step):
        yield planned
    else:
        yield Hopeless(finding.subject, finding.sentence, planned, finding.remedy.sentence)


def unexpected(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A file that nobody imported: out of the way."""
    layer, path = finding.subject.id, str(finding.evidence["path"])
    doubt = _doubt(patient, layer)
    if doubt:
        yield Hopeless(finding.subject, finding.sentence, doubt, finding.remedy.sentence)
        return
    root = patient.census.inspector.own_roots(layer)[0]
    what = f"take {path!r} out of layer {layer}"
    act = partial(_aside, layer, root, path)
    yield Step(Phase.CONTENTS, finding.subject, what, finding.sentence, "the layer's archive does not have it", act)


def _doubt(patient: Patient, layer: str) -> str:
    """Say why a layer's tar-split is no witness of what belongs into it; "" if it is one.

    It is if the archive that it gives is the recorded one. Where a directory holds all that is beneath, too, the same
    must be true of all ancestors: what a wrong tar-split does not have may well be sound.
    """
    if any(container.layer == layer for container in patient.census.containers):
        return "it is a container's own layer, and what is in it is that container's work"
    chain = patient.census.chain(layer) if patient.census.inspector.whole else [layer]
    for each in chain:
        record, read_only = patient.census.all_layers.get(each, (None, False))
        if read_only:
            continue
        facts = patient.survivors.facts(each)
        if record is None or facts is None or facts.digest != record.diff_digest:
            who = "its own archive" if each == layer else f"the archive of layer {each}, beneath it,"
            return f"{who} cannot be put together, so nobody can tell what should be there"
    return ""


def _aside(layer: str, root: str, path: str, shop: Workshop) -> None:
    """Take a file out, unless a link on the way leads elsewhere by now."""
    full = os.path.join(root, path)
    with shop.locked() as writer:
        if writer.layers.get(layer) is None or os.path.realpath(os.path.dirname(full)) != os.path.normpath(
            os.path.join(os.path.realpath(root), os.path.dirname(path))
        ):
            return
        shop.keeper.keep(full, "the layer's archive does not have it")


def _restore(layer: str, path: bytes, shop: Workshop) -> None:
    """Set what a header says of one file. The kernel tells of each link on the way, and none is followed.

    Raises:
        SystemFailure: the system refused.
    """
    with shop.locked() as writer:
        record = writer.layers.get(layer)
        if record is None:
            return
        census = Census(shop.context)
        node = _expected(census, record).nodes.get(path)
        root = census.inspector.own_roots(layer)[0]
        if node is None:
            return
        try:
            _set(root, path, node, record.id_map)
        except OSError as error:
            raise SystemFailure("set the attributes of", os.path.join(root, os.fsdecode(path)), error) from None


def _expected(census: Census, record: Layer) -> ExpectedTree:
    own = read_headers(census.layout.tar_split(record.id))
    if not census.inspector.whole:
        return own
    chain = census.chain(record.id)[:0:-1]
    below = [read_headers(path) for layer in chain if os.path.exists(path := census.layout_of(layer).tar_split(layer))]
    return stacked([*below, own])


def _set(root: str, path: bytes, node: Node, id_map: IDMap) -> None:
    _, uid, gid, mtime = node.looks[-1]
    folder, base = split_name(path)
    root_fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_beneath(root_fd, folder or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(root_fd)
    try:
        status = os.stat(base, dir_fd=fd, follow_symlinks=False)
        if _set_override(fd, base, node, id_map):
            os.utime(base, (mtime, mtime), dir_fd=fd, follow_symlinks=False)
            return
        if node.format and stat.S_IFMT(status.st_mode) != node.format:
            return  # something else is there by now
        owner = id_map.to_host(uid, gid)
        if (status.st_uid, status.st_gid) != owner:
            os.chown(base, *owner, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            _set_rest(fd, base, node)
        os.utime(base, (mtime, mtime), dir_fd=fd, follow_symlinks=False)
    finally:
        os.close(fd)


def _set_override(fd: int, base: bytes, node: Node, id_map: IDMap) -> bool:
    """Set what is in an attribute, if a file's owner and mode are in one; say whether they are."""
    name = entry(fd, os.fsdecode(base))
    meant = override_of(name)
    if meant is None:
        return False
    mode, uid, gid, _ = node.looks[-1]
    owner = id_map.to_host(uid, gid)
    put_all(name, {os.fsdecode(ATTRIBUTE): Override(*owner, mode, meant.kind or node.format, meant.device).text()})
    put_all(name, {os.fsdecode(key): value for key, value in node.xattrs})
    return True


def _set_rest(fd: int, base: bytes, node: Node) -> None:
    """Set what no link has. The owner is set before: a change of it takes privileges away."""
    mode = node.looks[-1][0]
    name = entry(fd, os.fsdecode(base))
    os.chmod(base, mode, dir_fd=fd)
    wanted = {os.fsdecode(key): value for key, value in node.xattrs}
    for key in names_of(name):
        if key not in wanted and is_content(os.fsencode(key)):
            drop(name, key)
    put_all(name, wanted)


HEALERS = {
    "file-attributes": attributes,
    "file-time": attributes,
    "file-missing": anew,
    "file-changed": anew,
    "file-unexpected": unexpected,
    "files-more": anew,
    "tar-split-missing": anew,
    "tar-split-damaged": anew,
    "layer-tree-missing": anew,
    "layer-unreadable": anew,
    "overlay-diff": anew,
}
"""By kind of finding."""
