"""Recreate layers whose record and files are both lost, from a source."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cstore.check.repair.from_stores import layers_from_store
from cstore.check.repair.heal_records import lost_record, wrong_parent
from cstore.check.repair.plan import Action, Step, Unrepairable, unrepairable
from cstore.errors import ContentDamaged
from cstore.store.creation import NewLayer, put_layer
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.apply import Applied
    from cstore.check.findings import Finding
    from cstore.check.repair.repair_context import RepairContext
    from cstore.check.repair.repair_view import RepairView
    from cstore.check.repair.survivors import ExpectedLayer


def missing_layer(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to restore a layer that an image or another layer needs: rebuild its record, or copy it from a source."""
    layer = str(finding.evidence.get("layer") or finding.evidence.get("parent"))
    if any(one.record.id == layer for one in repair_view.rebuilding.made[ItemKind.LAYERS]):
        yield from lost_record(repair_view, finding)
        return
    expected_layer = repair_view.survivors.expected_layers.get(layer)
    if expected_layer is None or not repair_view.sources.has_layer(expected_layer.diff_id):
        from_store = list(layers_from_store(repair_view, finding, layer))
        if from_store:
            yield from from_store
            return
        wanted = f"it needs the archive {expected_layer.diff_id}" if expected_layer else "its contents are unknown"
        yield unrepairable(finding, wanted)
        return
    act = partial(_put, layer, expected_layer)
    what = f"restore layer {layer}"
    subject = finding.subject.with_(kind="layer", id=layer, path="")
    yield Step(
        Action.ADD_LAYER, subject, what, finding.sentence, f"a source has the archive {expected_layer.diff_id}", act
    )


def _put(layer: str, expected_layer: ExpectedLayer, repair: RepairContext) -> None:
    def accept(applied: Applied) -> Applied:
        if applied.diff_digest != expected_layer.diff_id:
            raise ContentDamaged(layer, "the archive", f"has the digest {applied.diff_digest}")
        return applied

    with repair.sources.layer(expected_layer.diff_id) as fd:
        if fd is not None:
            put_layer(repair.context, NewLayer(id=layer, parent=expected_layer.parent), fd, accept=accept)


def missing_parent(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to restore a missing parent: rebuild its record, name the right parent, or copy it from a source."""
    found = list(wrong_parent(repair_view, finding))
    if any(isinstance(one, Unrepairable) for one in found):
        found = list(missing_layer(repair_view, finding))
    yield from found


HEALERS = {"image-layer-missing": missing_layer, "parent-missing": missing_parent}
"""Functions that plan the repair of one finding, by kind of finding."""
