"""Layers of an image of which neither record nor files are left: made again from a source."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cstore.check.repair.from_stores import layers_from_store
from cstore.check.repair.heal_records import lost_record, wrong_parent
from cstore.check.repair.plan import Action, Hopeless, Step
from cstore.errors import ContentDamaged
from cstore.store.creation import NewLayer, put_layer
from cstore.store.places import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.archive.apply import Applied
    from cstore.check.findings import Finding
    from cstore.check.repair.patient import Patient
    from cstore.check.repair.survivors import Standing
    from cstore.check.repair.workshop import Workshop


def missing_layer(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A layer that an image or another layer needs: its record again, or all of it from a source."""
    layer = str(finding.evidence.get("layer") or finding.evidence.get("parent"))
    if any(one.record.id == layer for one in patient.rebuilding.made[Shelf.LAYERS]):
        yield from lost_record(patient, finding)
        return
    standing = patient.survivors.standings.get(layer)
    if standing is None or not patient.sources.has_layer(standing.diff_id):
        from_store = list(layers_from_store(patient, finding, layer))
        if from_store:
            yield from from_store
            return
        wanted = f"it takes the archive {standing.diff_id}" if standing else "nobody knows what was in it"
        yield Hopeless(finding.subject, finding.sentence, wanted, finding.remedy.sentence)
        return
    act = partial(_put, layer, standing)
    what = f"restore layer {layer}"
    subject = finding.subject.with_(kind="layer", id=layer, path="")
    yield Step(Action.ADD_LAYER, subject, what, finding.sentence, f"a source has the archive {standing.diff_id}", act)


def _put(layer: str, standing: Standing, shop: Workshop) -> None:
    def accept(applied: Applied) -> Applied:
        if applied.diff_digest != standing.diff_id:
            raise ContentDamaged(layer, "the archive", f"has the digest {applied.diff_digest}")
        return applied

    with shop.sources.layer(standing.diff_id) as fd:
        if fd is not None:
            put_layer(shop.context, NewLayer(id=layer, parent=standing.parent), fd, accept=accept)


def missing_parent(patient: Patient, finding: Finding) -> Iterator[Step | Hopeless]:
    """A parent without a record: its record again, the parent that is the right one, or the parent from a source."""
    found = list(wrong_parent(patient, finding))
    if any(isinstance(one, Hopeless) for one in found):
        found = list(missing_layer(patient, finding))
    yield from found


HEALERS = {"image-layer-missing": missing_layer, "parent-missing": missing_parent}
"""By kind of finding."""
