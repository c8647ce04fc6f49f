"""Repair records that contradict each other or the disk: parents, duplicate IDs and names, flags, digests."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cstore import presence
from cstore.check.findings import Subject
from cstore.check.items import fit
from cstore.check.repair.container_records import writable_layers
from cstore.check.repair.from_stores import image_from_store
from cstore.check.repair.heal_contents import anew
from cstore.check.repair.hints import KINDS
from cstore.check.repair.image_records import top_layer
from cstore.check.repair.plan import Action, Step, Unrepairable, how_to_name, unrepairable
from cstore.check.repair.rows import sound_records
from cstore.oci.chain import next_layer_id
from cstore.records.codec import encode
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cstore.check.findings import Finding
    from cstore.check.repair.repair_context import RepairContext
    from cstore.check.repair.repair_view import RepairView
    from cstore.records.model import Container, Image, Layer

_KINDS = {item_kind.value: item_kind for item_kind in ItemKind}


def _step(finding: Finding, action: Action, what: str, evidence: str, act: Callable[[RepairContext], None]) -> Step:
    return Step(action, finding.subject, what, finding.sentence, evidence, act)


def lost_record(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to rebuild the record of a layer, image or container that still has data."""
    wanted = finding.evidence.get("layer") or finding.evidence.get("parent") or finding.evidence.get("image")
    identifier = wanted or finding.subject.id
    rebuilding = repair_view.rebuilding
    for item_kind, made in rebuilding.made.items():
        for one in made:
            if one.record.id == identifier:
                what = f"rebuild the record of {item_kind.value} {identifier}"
                act = partial(_add, item_kind, one)
                subject = finding.subject.with_(kind=item_kind.value, id=identifier, path="")
                advice = how_to_name(identifier) if item_kind is ItemKind.IMAGES and not one.record.names else ""
                yield Step(Action.ADD_RECORD, subject, what, finding.sentence, one.evidence, act, advice=advice)
                return
    reasons = {lost: reason for rows in rebuilding.lost.values() for lost, reason in rows}
    yield unrepairable(finding, reasons.get(identifier, "nothing of it remains in the store"))


def _add(item_kind: ItemKind, made: Any, repair_context: RepairContext) -> None:
    """Add a record if its data still exists."""
    with repair_context.locked() as writer:
        record, layout = made.record, repair_context.context.layout
        if item_kind is ItemKind.LAYERS:
            there = writer.driver.exists(record.id)
        else:
            place = layout.image_data if item_kind is ItemKind.IMAGES else layout.container_data
            there = presence.is_directory(place(record.id))
        if there:
            repair_context.add(writer, item_kind, record, made.location, "its record was lost")


def container_layer(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to rebuild the record of a container's layer, or to name the only layer that can be the container's own."""
    layer = str(finding.evidence["layer"])
    if any(one.record.id == layer for one in repair_view.rebuilding.made[ItemKind.LAYERS]):
        yield from lost_record(repair_view, finding)
        return
    container = repair_view.snapshot.containers.get(finding.subject.id)
    image, _ = repair_view.snapshot.all_images.get(container.image if container else "", (None, False))
    top = image.layer if image else ""
    free = [found for found in writable_layers(repair_view.survivors) if repair_view.snapshot.all_layers.get(found)]
    fitting = [found for found in free if repair_view.snapshot.all_layers[found][0].parent == top]
    if len(fitting) != 1:
        yield unrepairable(finding, "its files are gone, or several layers could be its own")
        return
    own = fitting[0]

    def set_layer(found: Container) -> Container:
        return found.with_(layer=own) if found.layer == layer else found

    act = partial(_change, ItemKind.CONTAINERS, finding.subject.id, set_layer)
    yield _step(
        finding, Action.SET_LAYER, f"name {own} as its layer", "it is the only writable layer without a container", act,
    )  # fmt: skip


def container_image(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to restore the record of a container's image, or to name the image whose top layer its layer is built on."""
    image = str(finding.evidence["image"])
    if any(one.record.id == image for one in repair_view.rebuilding.made[ItemKind.IMAGES]):
        yield from lost_record(repair_view, finding)
        return
    from_store = list(image_from_store(repair_view, finding, image))
    if from_store:
        yield from from_store
        return
    container = repair_view.snapshot.containers.get(finding.subject.id)
    layer = repair_view.snapshot.layers.get(container.layer) if container else None
    tops = {found.layer: found.id for found in repair_view.snapshot.images if found.layer}
    other = tops.get(layer.parent, "") if layer else ""
    if not other:
        yield unrepairable(finding, "the image is missing; the container has all its files and works without it")
        return

    def name_other(found: Container) -> Container:
        return found.with_(image=other) if found.image == image else found

    act = partial(_change, ItemKind.CONTAINERS, finding.subject.id, name_other)
    yield _step(
        finding, Action.SET_IMAGE, f"name {other} as its image", "its own layer's parent belongs to that image", act,
    )  # fmt: skip


def _change(item_kind: ItemKind, identifier: str, change: Callable[[Any], Any], repair_context: RepairContext) -> None:
    repair_context.change(item_kind, identifier, "it contradicted the contents of the store", change)


def duplicate_id(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to drop duplicate records of an ID; the record that all programs use stays."""
    del repair_view
    item_kind = _KINDS[finding.subject.kind]
    act = partial(_drop_doubles, item_kind, finding.subject.id)
    yield _step(
        finding, Action.DROP_DUPLICATES, "keep the valid record and remove the others",
        "all programs use this record", act,
    )  # fmt: skip


def _drop_doubles(item_kind: ItemKind, identifier: str, repair_context: RepairContext) -> None:
    with repair_context.locked() as writer:
        table = writer.table(item_kind)
        record = table.get(identifier)
        if record is None:
            return
        place = table.location(identifier)
        files = repair_context.context.places[item_kind].files
        rows = {location: sound_records(path, KINDS[item_kind]) for location, path in files.items()}
        doubles = [found for each in rows.values() for found, _ in each if found.id == identifier]
        names = dict.fromkeys(name for found in (record, *doubles) for name in found.names)
        free = tuple(name for name in names if (holder := table.named(name)) is None or holder.id == identifier)
        for location, found in rows.items():
            raw = [data for one, data in found if one.id != identifier]
            if len(raw) == len(found):
                continue
            if location is place:
                position = next(number for number, (one, _) in enumerate(found) if one.id == identifier)
                raw.insert(position, encode(record.with_(names=free)))
            writer.mark(item_kind)
            repair_context.rewrite(
                item_kind, location, raw, f"it held several records of {item_kind.value} {identifier}"
            )


def duplicate_name(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to settle a name that several items have: the later item keeps it, as for all programs."""
    del repair_view
    item_kind = _KINDS[finding.subject.kind]
    act = partial(_settle_names, item_kind)
    yield _step(
        finding, Action.SETTLE_NAMES, "keep the name with the later item",
        "programs already find this item by the name", act,
    )  # fmt: skip


def _settle_names(item_kind: ItemKind, repair_context: RepairContext) -> None:
    with repair_context.locked() as writer:
        table = writer.table(item_kind)
        for conflict in table.names_in_conflict():
            before = table.get(conflict.loser)
            if before is None:
                continue
            after = before.with_(names=tuple(name for name in before.names if name != conflict.name))
            repair_context.quarantine.changed(
                item_kind, table.location(before.id), before, after, "another item has the name"
            )
        table.repair_names()
        writer.save(item_kind)


def wrong_parent(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to replace a parent without a record, or one in a cycle, by the parent that other evidence names."""
    layer = finding.subject.id
    parent = finding.evidence.get("parent")
    if parent and any(one.record.id == parent for one in repair_view.rebuilding.made[ItemKind.LAYERS]):
        yield from lost_record(repair_view, finding)
        return
    told = repair_view.true_parent(layer)
    if told is None or told == parent or (told and told not in repair_view.snapshot.all_layers):
        reason = "its parent is missing" if told else "nothing in the store says what its parent was"
        yield unrepairable(finding, reason)
        return
    yield _parent_again(repair_view, finding, layer, told)


def _parent_again(repair_view: RepairView, finding: Finding, layer: str, told: str) -> Step:
    record = repair_view.snapshot.layers.get(layer)

    def set_parent(found: Layer) -> Layer:
        return found.with_(parent=told) if record and found.parent == record.parent else found

    act = partial(_change, ItemKind.LAYERS, layer, set_parent)
    what = f"name {told or 'nothing'} as the parent of layer {layer}"
    evidence = "a config, the driver or the ID says so"
    return Step(Action.SET_PARENT, Subject("layer", layer), what, finding.sentence, evidence, act)


def unfinished_in_use(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to remove the flag `incomplete` from a used layer, if the layer is whole."""
    layer = finding.subject.id
    record = repair_view.snapshot.layers.get(layer)
    if record is None or not finding.evidence.get("tree"):
        yield unrepairable(finding, "it has no directory")
        return
    fields = repair_view.contents(layer)
    facts = repair_view.survivors.facts(layer)
    expected = record.diff_digest or fields.get("diff_digest", "")
    if expected and (facts is None or facts.digest != expected):
        yield from anew(repair_view, finding)  # rebuilding the layer also removes the flag
        return

    def unmark(found: Layer) -> Layer:
        if (found.created, found.diff_digest) != (record.created, record.diff_digest):
            return found  # another layer has replaced it, and may be incomplete
        flags = {key: value for key, value in found.flags.items() if key != "incomplete"}
        missing = {key: value for key, value in fields.items() if not getattr(found, key)}
        return found.with_(flags=flags, **missing)

    evidence = "its files rebuild its archive" if expected else "it is a writable layer with a directory"
    act = partial(_change, ItemKind.LAYERS, layer, unmark)
    yield _step(finding, Action.MARK_COMPLETE, "remove the flag incomplete", evidence, act)


def wrong_digest(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to correct a recorded digest or size that differs from the archive's, although all file checksums match.

    The right one is that which other evidence supports: a config that names the digest, or a layer ID computed from it.
    If that is the recorded one, the tar-split belongs to another archive, and the layer must be rebuilt.
    """
    layer = finding.subject.id
    facts, record = repair_view.survivors.facts(layer), repair_view.snapshot.layers.get(layer)
    if facts is None or record is None:
        yield from anew(repair_view, finding)
        return
    found, recorded = (
        _witness(repair_view, layer, record.parent, digest) for digest in (facts.digest, record.diff_digest)
    )
    if record.diff_digest == facts.digest:
        found, recorded = "its archive has the recorded digest", ""
    if recorded or not facts.digest:
        yield from anew(repair_view, finding)
        return
    if not found:
        yield unrepairable(finding, "nothing shows whether the record or the tar-split is correct")
        return
    fields = repair_view.contents(layer)

    def correct(old: Layer) -> Layer:
        if (old.created, old.diff_digest, old.diff_size) != (record.created, record.diff_digest, record.diff_size):
            return old
        return old.with_(**{key: value for key, value in fields.items() if value})

    act = partial(_change, ItemKind.LAYERS, layer, correct)
    yield _step(finding, Action.SET_DIGEST, f"record {facts.digest} and {facts.size} bytes", found, act)


def _witness(repair_view: RepairView, layer: str, parent: str, digest: str) -> str:
    """Return the evidence that a layer has this digest; "" if there is none."""
    if not digest:
        return ""
    if next_layer_id(parent, digest) == layer:
        return "the layer's ID was computed from this digest"
    return "the config of an image names this digest" if repair_view.survivors.names_digest(digest) else ""


def image_layers(repair_view: RepairView, finding: Finding) -> Iterator[Step | Unrepairable]:
    """Plan to name the layer that fits the image's config, if its record names another."""
    image = finding.subject.id
    files = repair_view.survivors.image_files.get(image)
    layers = {identifier: layer for identifier, (layer, _) in repair_view.snapshot.all_layers.items()}
    top = top_layer(files.diff_ids, layers) if files else ""
    if not top:
        steps = list(_parents_again(repair_view, finding))
        yield from steps
        if not steps:
            yield unrepairable(finding, "no layer in the store fits the config")
        return

    record = repair_view.snapshot.images.get(image)

    def set_layer(found: Image) -> Image:
        if record is None or found.layer != record.layer:
            return found
        mapped_layers = tuple(one for one in found.mapped_layers if one != finding.evidence["part"])
        return found.with_(layer=top, mapped_layers=mapped_layers)

    act = partial(_change, ItemKind.IMAGES, image, set_layer)
    yield _step(
        finding, Action.SET_LAYER, f"name {top} as its top layer",
        "its layers have the digests that the config names", act,
    )  # fmt: skip


def _parents_again(repair_view: RepairView, finding: Finding) -> Iterator[Step]:
    """Plan to correct parents in the chain by other evidence, if the layers then match the config."""
    layer, known = str(finding.evidence["layer"]), repair_view.snapshot.all_layers
    wrong: list[tuple[str, str]] = []
    chain: dict[str, str] = {}
    while layer in known and layer not in chain:
        record, read_only = known[layer]
        chain[layer], parent = record.diff_digest, repair_view.true_parent(layer)
        if parent is None or parent == record.parent or read_only:
            parent = record.parent
        else:
            wrong.append((layer, parent))
        layer = parent
    if not layer and fit(list(finding.evidence["config"]), list(chain.values())[::-1]):
        yield from (_parent_again(repair_view, finding, *one) for one in wrong)


HEALERS = {
    "layer-record-lost": lost_record,
    "image-record-lost": lost_record,
    "container-record-lost": lost_record,
    "container-layer-missing": container_layer,
    "container-image-missing": container_image,
    "duplicate-id": duplicate_id,
    "duplicate-name": duplicate_name,
    "layer-cycle": wrong_parent,
    "layer-unfinished-in-use": unfinished_in_use,
    "digest-invalid": wrong_digest,
    "layer-digest": wrong_digest,
    "layer-size": wrong_digest,
    "image-layers-differ": image_layers,
}
"""Functions that plan the repair of one finding, by kind of finding."""
