"""Repair composefs layers in place: restore content files, and the image, from identical copies.

The name of a content file is its digest, which identifies it. The image of another layer is trusted if that layer has
the same DiffID and a check finds no problem. Without either, the layer is rebuilt as a plain one.
"""

from __future__ import annotations

import hashlib
import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from cstore import presence
from cstore.archive.composefs import contents_of
from cstore.check.contents import examine
from cstore.check.image_contents import contents_named, image_flaw
from cstore.check.layer_jobs import layer_job
from cstore.check.repair.plan import Action, Step, counted
from cstore.check.snapshot import StoreSnapshot
from cstore.errors import ContentDamaged, CstoreError, LayerUnknown, SystemFailure
from cstore.fs import within
from cstore.fs.atomic import write_file
from cstore.layout import COMPOSEFS_IMAGE, is_blob
from cstore.store.quarantine.keeping import digest_of
from cstore.store.way import require_way

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cstore.check.findings import Finding
    from cstore.check.repair.repair_context import RepairContext
    from cstore.check.repair.repair_view import RepairView
    from cstore.records.model import Layer

_WHY = "it was damaged"
_BLOCK = 1 << 20
_OF_IMAGE = frozenset({"file-attributes", "file-time", "layer-digest"})
"""Findings that an image with the wrong tree causes."""
_NOT_HEALED = frozenset({"tar-split-missing", "tar-split-damaged"})


class Wanted(NamedTuple):
    """The missing parts of a composefs layer.

    Attributes:
        image: the path of another store's image to copy; "" to keep the layer's own.
        contents: missing content files, by name below the directory of contents: the path of a copy, or "" to use a
            source's archive.
    """

    image: str
    contents: Mapping[str, str]


def is_image_layer(repair_view: RepairView, finding: Finding) -> bool:
    """Return whether a finding is about a layer that is, or was, a composefs layer."""
    layer = finding.subject.id
    if finding.evidence.get("path") == _image_of(repair_view, layer):
        return True
    try:
        return is_blob(repair_view.snapshot.inspector.own_roots(layer)[0])
    except CstoreError:
        return False


def _is_file(path: str) -> bool:
    return within.is_file(*os.path.split(path))


def _image_of(repair_view: RepairView, layer: str) -> str:
    return os.path.join(repair_view.context.driver.path_of(layer), COMPOSEFS_IMAGE)


def plan_in_place(repair_view: RepairView, finding: Finding) -> Step | None:
    """Plan to restore the missing parts of a composefs layer; None if one of them is not available."""
    layer = finding.subject.id
    record = repair_view.snapshot.layers.get(layer)
    if record is None or not (record.diff_digest or record.toc_digest) or finding.kind in _NOT_HEALED:
        return None
    try:
        wanted = _wanted(repair_view, record, finding)
    except CstoreError:
        return None
    if wanted is None:
        return None
    parts = ["its image"] * bool(wanted.image)
    parts += [counted([f"diff/{name}" for name in wanted.contents])] * bool(wanted.contents)
    what = f"put {' and '.join(parts)} back into composefs layer {layer}"
    evidence = "the names are the digests" if not wanted.image else f"{wanted.image} shows the same archive"
    return Step(
        Action.RESTORE_FILES, finding.subject, what, finding.sentence, evidence, partial(_restore, record, wanted)
    )


def _wanted(repair_view: RepairView, record: Layer, finding: Finding) -> Wanted | None:
    """Return what a layer lacks with its own image, or with a sound copy if its own is missing or damaged."""
    own = _image_of(repair_view, record.id)
    keeps = finding.kind not in _OF_IMAGE and _is_file(own) and not image_flaw(own)
    contents = _lacking(repair_view, record, own, own) if keeps else None
    if contents:
        return Wanted("", contents)
    for stored in repair_view.sources.like(record):
        context = stored.store.context
        image = os.path.join(context.driver.path_of(stored.record.id), COMPOSEFS_IMAGE)
        job = layer_job(StoreSnapshot(context), stored.record, compare=True) if _is_file(image) else None
        if job is None or any(problem[0] != "file-unexpected" for problem in examine(job)):
            continue  # image and contents do not match its tar-split
        contents = _lacking(repair_view, record, own, image)
        if contents is not None:
            return Wanted(image, contents)
    return None


def _lacking(repair_view: RepairView, record: Layer, own: str, image: str) -> dict[str, str] | None:
    """Return the content files that `image` names and the layer with the image `own` lacks, each with a copy or "".

    None if one of them is not available.
    """
    folder, found = contents_of(own), {}
    for name in contents_named(image):
        if not _is_sound(folder, name):
            place = _sound_copy(repair_view, record.id, name, contents_of(image) if image != own else "")
            if place is None and not repair_view.sources.has_content(_digest(name), record.diff_digest):
                return None
            found[name] = place or ""
    return found


def _digest(name: str) -> str:
    return f"sha256:{name.replace('/', '')}"


def _sound_copy(repair_view: RepairView, layer: str, name: str, beside: str) -> str | None:
    """Return a copy of a content file, beside an image of another store or in another layer; None if there is none."""
    folders = [beside] if beside else []
    for other in repair_view.snapshot.all_layers:
        path = repair_view.context.driver.path_of(other)
        if other != layer and _is_file(os.path.join(path, COMPOSEFS_IMAGE)):
            folders.append(os.path.join(path, "diff"))
    for folder in folders:
        if _is_sound(folder, name):
            return os.path.join(folder, name)
    return None


def _is_sound(folder: str, name: str) -> bool:
    """Return whether a directory of contents has a file with that name and matching contents."""
    path = os.path.join(folder, name)
    return not presence.is_link(os.path.dirname(path)) and digest_of(path) == name.replace("/", "")


def _restore(record: Layer, wanted: Wanted, repair: RepairContext) -> None:
    """Restore the parts that are still missing: contents first, then the image that names them.

    Raises:
        ContentDamaged: a copy has changed since the plan was made.
    """
    with repair.locked() as writer:
        current = writer.layers.get(record.id)
        if current is None or current.diff_digest != record.diff_digest:
            raise LayerUnknown(record.id)
        image = os.path.join(writer.driver.path_of(record.id), COMPOSEFS_IMAGE)
        for name, place in wanted.contents.items():
            folder = contents_of(image)
            if not _is_sound(folder, name):
                path = os.path.join(folder, name)
                with repair.sources.content(place, _digest(name), record.diff_digest) as data:
                    _put(repair, record.id, path, name.replace("/", ""), data, mode=0)
        if wanted.image:
            digest = digest_of(wanted.image)
            with repair.sources.content(wanted.image, f"sha256:{digest}", "") as data:
                _put(repair, record.id, image, digest, data, mode=0o644)


def _put(repair: RepairContext, layer: str, path: str, digest: str, data: Iterator[bytes], *, mode: int) -> None:
    """Write a file and quarantine the one that it replaces. The caller holds the locks."""
    folder = os.path.dirname(path)
    require_way(repair.context.layout, folder)
    if not within.is_directory(*os.path.split(folder)):
        repair.quarantine.keep(folder, _WHY)
        try:
            within.mkdir(folder, 0o755 if mode == 0 else 0o700)
            repair.quarantine.made_folder(folder, "it was missing")
        except OSError as error:
            raise SystemFailure("create the directory", folder, error) from None
    repair.quarantine.keep_old(path, _WHY, digest)
    write_file(path, _checked(data, layer, path, digest), mode=mode, sync=repair.context.sync)


def _checked(data: Iterator[bytes], layer: str, path: str, digest: str) -> Iterator[bytes]:
    """Yield the data, and compare its digest at the end, before the file gets its name."""
    found = hashlib.sha256(usedforsecurity=False)
    for part in data:
        found.update(part)
        yield part
    if found.hexdigest() != digest:
        raise ContentDamaged(layer, os.path.basename(path), "has changed in the source")
