"""Repair data items of images, layers and containers from copies with the recorded digest, or from sources."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from cstore.check.repair.image_files import ImageFiles, has_layers, is_config
from cstore.check.repair.plan import Action, Step, Unrepairable, unrepairable
from cstore.digests import digest_of
from cstore.errors import CstoreError
from cstore.oci.chain import layer_ids
from cstore.oci.media_types import made_up_manifest
from cstore.records import bigdata
from cstore.records.images import MANIFEST
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.check.findings import Finding
    from cstore.check.repair.repair_context import RepairContext
    from cstore.check.repair.repair_view import RepairView
    from cstore.records.model import Image


def image_item(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to restore a missing or changed item of an image from a copy with the recorded digest."""
    image, key = finding.subject.id, str(finding.evidence["key"])
    record = repair_view.snapshot.images.get(image)
    files = repair_view.survivors.image_files.get(image)
    digest = record.data_digests.get(key, "") if record else ""
    named = key.removeprefix(f"{MANIFEST}-") if key.startswith((f"{MANIFEST}-sha256:", "sha256:")) else ""
    present = files.read(key) if files else None
    if present is not None and named == digest_of(present) and digest != named:
        what = f"record the size and digest that item {key!r} has"
        evidence, act = "the item has the digest that its key names", partial(_correct, ItemKind.IMAGES, image, key)
        yield Step(Action.RECORD_ITEM, finding.subject, what, finding.sentence, evidence, act, (key,))
        return
    data, evidence = _bytes_of(repair_view, files, digest or named)
    if named and digest_of(data or b"") != named:
        data = None  # the key has the right digest, so the record is wrong
    if data is None:
        lost = digest or named
        yield unrepairable(finding, f"no copy with the digest {lost} exists" if lost else "no digest is recorded")
        return
    what = f"restore data item {key!r} of image {image}"
    writing = _writer_of(record, files, key, data)
    yield Step(Action.WRITE_ITEM, finding.subject, what, finding.sentence, evidence, writing, (key,))


def _bytes_of(repair_view: RepairView, files: ImageFiles | None, digest: str) -> tuple[bytes | None, str]:
    """Find bytes by digest: under another key of the image, in another image, or in a source."""
    if not digest:
        return None, ""
    others = [files] if files else []
    others += [other for other in repair_view.survivors.image_files.values() if other is not files]
    for other in others:
        for key in other.keys:
            data = other.read(key)
            if data is not None and digest_of(data) == digest:
                return data, f"item {key!r} of image {other.id} has the recorded digest"
    data = repair_view.sources.blob(digest)
    if data is not None:
        return data, "a source has it"
    if files is None or files.config is None:
        return None, ""
    known = repair_view.snapshot.all_layers
    layers = list(zip(layer_ids(files.diff_ids), files.diff_ids, strict=True))
    if all(layer in known for layer, _ in layers):
        made = made_up_manifest(files.config.raw, [(diff_id, known[layer][0].diff_size) for layer, diff_id in layers])
        if digest_of(made) == digest:
            return made, "it is the manifest that skopeo and Podman create for such an image"
    return None, ""


def _writer_of(
    record: Image | None, files: ImageFiles | None, key: str, data: bytes
) -> Callable[[RepairContext], None]:
    """Return a function that writes an item, unless the item has changed since the plan was made."""
    image = record.id if record else ""
    recorded = record.data_digests.get(key, "") if record else ""
    present = files.read(key) if files else None
    return partial(_write_image_item, image, key, data, (recorded, present))


def _write_image_item(image: str, key: str, data: bytes, seen: tuple[str, bytes | None], repair: RepairContext) -> None:
    with repair.locked() as writer:
        record = writer.images.get(image)
        directory = writer.layout.image_data(image)
        if record is None or seen != (record.data_digests.get(key, ""), ImageFiles(directory, image).read(key)):
            return
        repair.item(directory, key, data, "image")
        after = _with_item(record, key, data)
        if after != record:
            repair.quarantine.changed(ItemKind.IMAGES, writer.images.location(image), record, after, "an item was lost")
            writer.images.replace(after)
            writer.save(ItemKind.IMAGES)


def _with_item(record: Any, key: str, data: bytes) -> Any:
    names = record.data_names if key in record.data_names else (*record.data_names, key)
    return record.with_(
        data_names=names,
        data_sizes={**record.data_sizes, key: len(data)},
        data_digests={**record.data_digests, key: digest_of(data)},
    )


def _correct(item_kind: ItemKind, identifier: str, key: str, repair: RepairContext) -> None:
    """Record the size and digest that an item of an image or a container has."""

    def change(record: Any) -> Any:
        layout = repair.context.layout
        place = layout.image_data if item_kind is ItemKind.IMAGES else layout.container_data
        return _with_item(record, key, bigdata.read_item(place(identifier), key, noun=item_kind.value))

    repair.change(item_kind, identifier, "size or digest of an item were wrong", change)


def manifest(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to restore a missing or invalid manifest from the copy that is stored under its digest."""
    image = finding.subject.id
    files = repair_view.survivors.image_files.get(image)
    record = repair_view.snapshot.images.get(image)
    sound = files.manifest if files else {}
    data, evidence = _true_manifest(repair_view, record, files)
    if data is None and files is not None and sound:
        data = next((raw for raw in files.manifests.values() if has_layers(raw)), None)
        evidence = "it is another manifest of the image"
    if data is None:
        yield unrepairable(finding, "no copy of it is left")
        return
    what = f"rebuild the manifest of image {image}"
    act = _writer_of(record, files, MANIFEST, data)
    yield Step(Action.WRITE_ITEM, finding.subject, what, finding.sentence, evidence, act, (MANIFEST,))


def _true_manifest(repair_view: RepairView, record: Image | None, files: ImageFiles | None) -> tuple[bytes | None, str]:
    """Find a valid manifest with a digest from the record."""
    for digest in (record.data_digests.get(MANIFEST, ""), record.digest) if record else ():
        data, evidence = _bytes_of(repair_view, files, digest)
        if data is not None and has_layers(data):
            return data, evidence
    return None, ""


def config(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to restore the config that an image's manifest names."""
    image, digest = finding.subject.id, str(finding.evidence["part"])
    files = repair_view.survivors.image_files.get(image)
    data, evidence = _bytes_of(repair_view, files, digest)
    if data is not None and not is_config(data):
        data = None  # the manifest names something that is not a config
    record = repair_view.snapshot.images.get(image)
    if data is None and record and files:
        manifest, evidence = _true_manifest(repair_view, record, files)
        if manifest is not None and manifest != files.read(MANIFEST):
            what, act = f"rebuild the manifest of image {image}", _writer_of(record, files, MANIFEST, manifest)
            yield Step(Action.WRITE_ITEM, finding.subject, what, finding.sentence, evidence, act, (MANIFEST,))
            return
    if data is None:
        yield unrepairable(finding, "no copy of it is left")
        return
    what = f"rebuild the config {digest} of image {image}"
    act = _writer_of(record, files, digest, data)
    yield Step(Action.WRITE_ITEM, finding.subject, what, finding.sentence, evidence, act, (digest,))


def layer_item(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to restore a data item of a layer from a source."""
    layer, key = finding.subject.id, str(finding.evidence["key"])
    record = repair_view.snapshot.layers.get(layer)
    data = repair_view.sources.layer_item(layer, record.diff_digest, key) if record else None
    if data is None:
        yield unrepairable(finding, "it has no recorded digest, and no source has a layer with it")
        return
    what = f"restore data item {key!r} of layer {layer}"
    act, evidence = partial(_write_layer_item, layer, key, data), "a source has the layer with this ID"
    yield Step(Action.WRITE_ITEM, finding.subject, what, finding.sentence, evidence, act, (key,))


def _write_layer_item(layer: str, key: str, data: bytes, repair: RepairContext) -> None:
    with repair.locked() as writer:
        record = writer.layers.get(layer)
        directory = writer.layout.layer_data(layer)
        if record is None or key not in record.data_names:
            return
        with suppress(CstoreError):
            bigdata.read_item(directory, key)
            return  # another process has written it by now
        repair.item(directory, key, data, "layer")


def container_item(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to record the actual size and digest of a container's item, because the item is the only copy."""
    container, key = finding.subject.id, str(finding.evidence["key"])
    if finding.kind in {"container-data-missing", "container-data-unreadable"}:
        yield unrepairable(finding, "there is no other copy of it")
        return
    del repair_view
    what = f"record the size and digest that item {key!r} has"
    evidence = "the item is the only copy; the journal keeps the old record"
    act = partial(_correct, ItemKind.CONTAINERS, container, key)
    yield Step(Action.RECORD_ITEM, finding.subject, what, finding.sentence, evidence, act, (key,))


HEALERS = {
    "image-data-missing": image_item,
    "image-data-size": image_item,
    "image-data-digest": image_item,
    "image-data-unreadable": image_item,
    "image-manifest-missing": manifest,
    "image-manifest-broken": manifest,
    "image-config-missing": config,
    "image-config-broken": config,
    "layer-data-missing": layer_item,
    "layer-data-unreadable": layer_item,
    "container-data-missing": container_item,
    "container-data-size": container_item,
    "container-data-digest": container_item,
    "container-data-unreadable": container_item,
}
"""Functions that plan the repair of one finding, by kind of finding."""
