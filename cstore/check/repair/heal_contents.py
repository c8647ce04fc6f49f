"""Repair layers with damaged files or tar-splits: restore attributes, or rebuild the layer from its archive."""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import TYPE_CHECKING

from cstore import presence
from cstore.archive.composefs import contents_of
from cstore.archive.names import split_name
from cstore.archive.override import ATTRIBUTE, Override, override_of
from cstore.check.compare import is_content
from cstore.check.expected import Node, stacked
from cstore.check.repair.heal_images import is_image_layer, plan_in_place
from cstore.check.repair.owners import owners_shifted_to, read_headers
from cstore.check.repair.plan import Action, Step, Unrepairable, counted, unrepairable
from cstore.check.repair.remake import plan_remake
from cstore.check.snapshot import StoreSnapshot
from cstore.errors import SystemFailure
from cstore.fs import within
from cstore.fs.scoped import open_beneath
from cstore.fs.xattr import drop, entry, names_of, put_all
from cstore.kernel.namespaces import in_user_namespace
from cstore.layout import is_blob

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.check.findings import Finding
    from cstore.check.repair.repair_context import RepairContext
    from cstore.check.repair.repair_view import RepairView
    from cstore.idmap import IDMap
    from cstore.records.model import Layer

_FIXABLE = frozenset({"mode", "uid", "gid", "time", "xattr"})
"""Attributes that can be restored without creating a file."""
_DEVICES = frozenset({"3", "4"})
"""The tar types of devices, as in findings."""


def attributes(repair_view: RepairView, findings: Sequence[Finding]) -> Iterator[Step | Unrepairable]:
    """Plan to restore mode, owner, time or extended attributes of a layer's files from their headers, in one step."""
    differing = [{name.partition(" ")[0] for name in finding.evidence.get("differs", {})} for finding in findings]
    if is_blob(repair_view.snapshot.inspector.own_roots(findings[0].subject.id)[0]):
        yield from anew(repair_view, findings[0])
        return
    other = next((one for one, names in zip(findings, differing, strict=True) if not names <= _FIXABLE), None)
    if other is not None:
        yield from anew(repair_view, other)
        return
    first = findings[0]
    layer = first.subject.id
    doubt = _doubt(repair_view, layer)
    if doubt:
        yield unrepairable(first, doubt, _all_of(findings))
        return
    record = repair_view.snapshot.layers.get(layer)
    owners = any({"uid", "gid"} & names for names in differing)
    if record is not None and not record.uid_map and owners and owners_shifted_to(repair_view.survivors, layer):
        reason = "every file's owner is shifted, and no data is damaged: run inside cstore unshare"
        yield unrepairable(first, reason, _all_of(findings))
        return
    paths = _paths(findings)
    names = dict.fromkeys(name for finding in findings for name in finding.evidence.get("differs", {}))
    what = f"set {', '.join(names)} of {counted(paths)} in layer {layer} again"
    act = partial(_restore, layer, tuple(map(os.fsencode, paths)))
    evidence = "its header in the tar-split" if len(paths) == 1 else "their headers in the tar-split"
    yield Step(Action.SET_ATTRIBUTES, first.subject, what, _all_of(findings), evidence, act, paths)


def _paths(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(finding.evidence["path"]) for finding in findings))


def _all_of(findings: Sequence[Finding]) -> str:
    """Return the sentence of the first finding with the number of similar ones."""
    more = len(findings) - 1
    return findings[0].sentence + (f"; {more} more of its files have the same problem" if more else "")


def anew(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to rebuild the whole layer, if its archive is available."""
    layer = finding.subject.id
    record = repair_view.snapshot.layers.get(layer)
    container = next((one.id for one in repair_view.snapshot.containers if one.layer == layer), "")
    if container and repair_view.snapshot.has_tree(layer):
        reason = f"it is container {container}'s own layer, whose files have no other copy"
        yield unrepairable(finding, reason)
        return
    if misplaced := _misplaced(repair_view, layer):
        yield unrepairable(finding, misplaced)
        return
    if finding.evidence.get("type") in _DEVICES and in_user_namespace():
        reason = "it is a device, which only the host's root can create; a rebuilt layer would lack it too"
        yield unrepairable(finding, reason)
        return
    expected = record.diff_digest if record else ""
    expected_layer = repair_view.survivors.expected_layers.get(layer)
    if layer not in repair_view.remakes:
        expected = expected or (expected_layer.diff_id if expected_layer else "")
        composed = is_image_layer(repair_view, finding)
        planned: Step | str | None = plan_in_place(repair_view, finding) if composed else None
        planned = planned or plan_remake(repair_view, finding, expected)
        if composed and isinstance(planned, Step) and planned.action is Action.REMAKE_LAYER:
            plain = "as a plain layer, because no source has the missing parts of the composefs layer"
            planned = planned.with_(what=f"{planned.what} ({plain})")
        repair_view.remakes[layer] = planned
    outcome = repair_view.remakes[layer]
    yield outcome if isinstance(outcome, Step) else unrepairable(finding, outcome)


def unexpected(repair_view: RepairView, findings: Sequence[Finding]) -> Iterator[Step | Unrepairable]:
    """Plan to move unexpected files into quarantine, in one step; a directory goes with its contents."""
    first = findings[0]
    layer = first.subject.id
    doubt = _doubt(repair_view, layer)
    if doubt:
        yield unrepairable(first, doubt, _all_of(findings))
        return
    strange = set(_paths(findings))
    paths = tuple(path for path in sorted(strange) if not _is_below(path, strange))
    what = f"move {counted(paths)} of layer {layer} into quarantine"
    root = repair_view.snapshot.inspector.own_roots(layer)[0]
    root = contents_of(root) if is_blob(root) else root
    act = partial(_aside, layer, root, paths)
    evidence = "the layer's archive does not have " + ("it" if len(paths) == 1 else "them")
    yield Step(Action.TAKE_OUT_FILES, first.subject, what, _all_of(findings), evidence, act, paths)


def _is_below(path: str, others: set[str]) -> bool:
    while path := path.rpartition("/")[0]:
        if path in others:
            return True
    return False


def _doubt(repair_view: RepairView, layer: str) -> str:
    """Return why a layer's tar-split does not prove which files belong into the layer; "" if it does.

    It does if the rebuilt archive has the recorded digest. If the layer's directory also holds the files of its
    ancestors, this must be true for all of them: files that a wrong tar-split lacks may be sound.
    """
    if any(container.layer == layer for container in repair_view.snapshot.containers):
        return "it is a container's own layer, whose files have no other copy"
    if misplaced := _misplaced(repair_view, layer):
        return misplaced
    chain = repair_view.snapshot.chain(layer) if repair_view.snapshot.inspector.whole else [layer]
    for each in chain:
        record, read_only = repair_view.snapshot.all_layers.get(each, (None, False))
        if read_only:
            continue
        facts = repair_view.survivors.facts(each)
        if record is None or facts is None or facts.digest != record.diff_digest:
            which = "the original archive" if each == layer else f"the archive of layer {each}, below it,"
            return f"{which} cannot be rebuilt, so the correct value is unknown"
    return ""


def _misplaced(repair_view: RepairView, layer: str) -> str:
    """Return the problem if a layer or an ancestor has a record with the wrong parent; "" if none does.

    If directories also hold the files of their ancestors, a wrong parent makes sound files look damaged.
    """
    if not repair_view.snapshot.inspector.whole:
        return ""
    for each in repair_view.snapshot.chain(layer):
        record, _ = repair_view.snapshot.all_layers.get(each, (None, False))
        told, _ = repair_view.snapshot.all_layers.get(repair_view.true_parent(each) or "", (None, False))
        named, _ = repair_view.snapshot.all_layers.get(record.parent if record else "", (None, False))
        if record and told and told.id != record.parent and (not named or named.diff_digest != told.diff_digest):
            who = record.parent or "nothing"
            return f"the record of layer {each} names {who} as its parent, but everything else points to {told.id}"
    return ""


def _aside(layer: str, root: str, paths: Sequence[str], repair: RepairContext) -> None:
    """Quarantine files, unless a link now redirects their path; then restore the times of their directories."""
    with repair.locked() as writer:
        record = writer.layers.get(layer)
        if record is None:
            return
        for path in paths:
            full = os.path.join(root, path)
            real = os.path.normpath(os.path.join(os.path.realpath(root), os.path.dirname(path)))
            if os.path.realpath(os.path.dirname(full)) == real:
                repair.quarantine.keep(full, "the layer's archive does not have it")
        folders = {os.path.dirname(os.fsencode(path)) for path in paths}
        _set_all(repair, record, sorted(folders - {b""}, reverse=True))


def _restore(layer: str, paths: Sequence[bytes], repair: RepairContext) -> None:
    """Restore attributes of files from their headers.

    Raises:
        SystemFailure: the system refused.
    """
    with repair.locked() as writer:
        record = writer.layers.get(layer)
        if record is not None:
            _set_all(repair, record, paths)


def _set_all(repair: RepairContext, record: Layer, paths: Sequence[bytes]) -> None:
    """Read the headers once and restore attributes from them. Links on the way are never followed."""
    if not paths:
        return
    snapshot = StoreSnapshot(repair.context)
    tree = read_headers(snapshot.layout.tar_split(record.id))
    if snapshot.inspector.whole:
        chain = snapshot.chain(record.id)[:0:-1]
        splits = [snapshot.layout_of(layer).tar_split(layer) for layer in chain]
        tree = stacked([*(read_headers(path) for path in splits if presence.exists(path)), tree])
    root = snapshot.inspector.own_roots(record.id)[0]
    if is_blob(root):
        return  # times of content directories do not count
    for path in paths:
        node = tree.nodes.get(path)
        if node is None:
            continue
        try:
            _set(root, path, node, record.id_map)
        except FileNotFoundError:
            continue  # it is gone by now; the next check reports it
        except OSError as error:
            raise SystemFailure("set the attributes of", os.path.join(root, os.fsdecode(path)), error) from None


def _set(root: str, path: bytes, node: Node, id_map: IDMap) -> None:
    mode, uid, gid, mtime = node.looks[-1]
    folder, base = split_name(path)
    root_fd = within.open_folder(root)
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
            return  # another file has replaced it by now
        owner = id_map.to_host(uid, gid)
        if (status.st_uid, status.st_gid) != owner:
            os.chown(base, *owner, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):  # after the owner, because chown(2) clears privileges
            name, wanted = entry(fd, os.fsdecode(base)), {os.fsdecode(key): value for key, value in node.xattrs}
            os.chmod(base, mode, dir_fd=fd)
            for key in [key for key in names_of(name) if key not in wanted and is_content(os.fsencode(key))]:
                drop(name, key)
            put_all(name, wanted)
        os.utime(base, (mtime, mtime), dir_fd=fd, follow_symlinks=False)
    finally:
        os.close(fd)


def _set_override(fd: int, base: bytes, node: Node, id_map: IDMap) -> bool:
    """If a file's owner and mode are in an override attribute, set that; return whether they are."""
    name = entry(fd, os.fsdecode(base))
    meant = override_of(name)
    if meant is None:
        return False
    mode, uid, gid, _ = node.looks[-1]
    owner = id_map.to_host(uid, gid)
    put_all(name, {os.fsdecode(ATTRIBUTE): Override(*owner, mode, meant.kind or node.format, meant.device).text()})
    put_all(name, {os.fsdecode(key): value for key, value in node.xattrs})
    return True


GROUP_HEALERS = {"file-attributes": attributes, "file-time": attributes, "file-unexpected": unexpected}
"""Functions that plan the repair of all findings of a layer together, by kind of finding."""

HEALERS = {
    "file-missing": anew,
    "file-changed": anew,
    "files-more": anew,
    "tar-split-missing": anew,
    "tar-split-damaged": anew,
    "layer-tree-missing": anew,
    "layer-unreadable": anew,
    "overlay-diff": anew,
}
"""Functions that plan the repair of one finding, by kind of finding."""
