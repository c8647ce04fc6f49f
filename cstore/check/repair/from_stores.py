"""Copy missing layers and images from a source store that has them under the same ID.

This repairs a store whose additional store is no longer configured or has lost parent layers. A layer is trusted by
its digest, if the source store recorded one, and by its ID, which is never reused.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from cstore.check.findings import Subject
from cstore.check.repair.plan import Action, Step
from cstore.errors import ContentDamaged, SourceUnusable
from cstore.records.model import ZERO_TIME
from cstore.store.creation import NewLayer, put_layer
from cstore.store.image_creation import NewImage, create_image
from cstore.store.reading import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.apply import Applied
    from cstore.check.findings import Finding
    from cstore.check.repair.repair_context import RepairContext
    from cstore.check.repair.repair_view import RepairView
    from cstore.check.repair.sources import StoredImage, StoredLayer


def layers_from_store(repair_view: RepairView, finding: Finding, layer: str) -> Iterator[Step]:
    """Plan to copy a layer and its missing ancestors, lowest first; plan nothing if the sources lack one of them."""
    for stored in _chain(repair_view, layer):
        subject, what = Subject("layer", stored.record.id), f"restore layer {stored.record.id}"
        evidence = f"the store {stored.given} has a layer with that ID"
        yield Step(Action.ADD_LAYER, subject, what, finding.sentence, evidence, partial(_put, stored))


def can_be_made(repair_view: RepairView, layer: str) -> bool:
    """Return whether a missing layer can be recreated, from a store that has it or from its archive."""
    if _chain(repair_view, layer):
        return True
    expected_layer = repair_view.survivors.expected_layers.get(layer)
    return expected_layer is not None and repair_view.sources.has_layer(expected_layer.diff_id)


def _chain(repair_view: RepairView, layer: str) -> Sequence[StoredLayer]:
    found: dict[str, StoredLayer] = {}
    while layer and layer not in repair_view.snapshot.all_layers:
        stored = repair_view.sources.stored_layer(layer)
        if stored is None or layer in found:
            return ()
        found[layer] = stored
        layer = stored.record.parent
    return tuple(reversed(found.values()))


def _put(stored: StoredLayer, repair: RepairContext) -> None:
    record = stored.record

    def accept(applied: Applied) -> Applied:
        if record.diff_digest and applied.diff_digest != record.diff_digest:
            raise ContentDamaged(record.id, "the archive", f"has the digest {applied.diff_digest}")
        return applied

    tables = Reader(repair.context)
    if record.id in tables.layers:
        return
    request = NewLayer(
        id=record.id,
        parent=record.parent,
        names=tuple(name for name in record.names if tables.layers.named(name) is None),
        mount_label=record.mount_label,
        metadata=record.metadata,
        id_map=record.id_map or None,
        data={key: stored.store.layers.get_data(record.id, key) for key in record.data_names},
    )
    with repair.sources.spooled(stored.store, record.id) as fd:
        put_layer(repair.context, request, fd, accept=accept)


def image_from_store(repair_view: RepairView, finding: Finding, image: str) -> Iterator[Step]:
    """Plan to copy an image with its missing layers; plan nothing if the sources lack part of it."""
    stored = repair_view.sources.stored_image(image)
    if stored is None:
        return
    top = stored.record.layer
    layers = list(layers_from_store(repair_view, finding, top))
    if top and top not in repair_view.snapshot.all_layers and not layers:
        return
    yield from layers
    evidence = f"the store {stored.given} has an image with that ID"
    subject, what = Subject("image", image), f"restore image {image}"
    yield Step(Action.ADD_IMAGE, subject, what, finding.sentence, evidence, partial(_make_image, stored))


def _make_image(stored: StoredImage, repair: RepairContext) -> None:
    record, tables = stored.record, Reader(repair.context)
    if record.id in tables.images:
        return
    data = {key: stored.store.images.get_data(record.id, key) for key in record.data_names}
    for key, digest in record.data_digests.items():
        if key in data and digest.startswith("sha256:") and f"sha256:{hashlib.sha256(data[key]).hexdigest()}" != digest:
            raise SourceUnusable(stored.given, f"data item {key!r} of its image {record.id} has another digest")
    create_image(
        repair.context,
        NewImage(
            id=record.id,
            names=tuple(name for name in record.names if tables.images.named(name) is None),
            layer=record.layer,
            metadata=record.metadata,
            digest=record.digest,
            created="" if record.created == ZERO_TIME else record.created,
            names_history=record.names_history,
            flags=record.flags,
            data=data,
            data_digests={key: digest for key, digest in record.data_digests.items() if key in data},
        ),
    )
