"""Rebuild damaged, empty and missing record files from their readable records and from other evidence."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cstore.check.findings import Subject
from cstore.check.repair.container_records import ContainerRecords, layers_of_lost
from cstore.check.repair.hints import KINDS
from cstore.check.repair.image_records import ImageRecords
from cstore.check.repair.layer_records import LayerRecords, Rebuilt
from cstore.check.repair.plan import Action, Step, Unrepairable, how_to_name
from cstore.check.repair.rows import sound_records
from cstore.check.repair.survivors import Survivors
from cstore.check.snapshot import StoreSnapshot
from cstore.records import codec
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cstore.check.repair.repair_context import RepairContext
    from cstore.records.model import Container, Layer
    from cstore.records.table import Location


class Rebuilding:
    """All records that can be rebuilt; each kind relies on the kinds before it."""

    def __init__(self, survivors: Survivors, names: Mapping[str, Sequence[str]]) -> None:
        snapshot = survivors.snapshot
        self.survivors = survivors
        owners = layers_of_lost(survivors)
        recorded: dict[str, Container | None] = {container.layer: container for container in snapshot.containers}
        layers = LayerRecords(survivors, {**dict.fromkeys(owners), **recorded})
        self.made: dict[ItemKind, list[Rebuilt]] = {ItemKind.LAYERS: layers.rebuild()}
        known: dict[str, Layer] = {identifier: layer for identifier, (layer, _) in snapshot.all_layers.items()}
        known |= {one.record.id: one.record for one in self.made[ItemKind.LAYERS]}
        images = ImageRecords(survivors, known, names)
        self.made[ItemKind.IMAGES] = images.rebuild()
        tops = {image.layer: image.id for image in snapshot.images}
        tops |= {one.record.layer: one.record.id for one in self.made[ItemKind.IMAGES]}
        containers = ContainerRecords(survivors, owners, known)
        self.made[ItemKind.CONTAINERS] = containers.rebuild(tops)
        self.lost = {ItemKind.LAYERS: layers.lost, ItemKind.IMAGES: images.lost, ItemKind.CONTAINERS: containers.lost}

    def of(self, item_kind: ItemKind, location: Location) -> list[Rebuilt]:
        """Return the rebuilt records that belong into one file."""
        return [one for one in self.made[item_kind] if one.location is location]


def heal_record_files(
    survivors: Survivors, whys: Mapping[tuple[ItemKind, str], str], names: Mapping[str, Sequence[str]]
) -> Iterator[Step | Unrepairable]:
    """Plan to rebuild damaged record files; `whys` has the problem of each. Also report records that stay lost."""
    rebuilding = Rebuilding(survivors, names)
    for item_kind in ItemKind:
        files = survivors.snapshot.context.places[item_kind].files
        for location, path in files.items():
            why = whys.get((item_kind, path))
            if why is None:
                continue
            kept = {record.id for record, _ in sound_records(path, KINDS[item_kind])}
            made = [one for one in rebuilding.of(item_kind, location) if one.record.id not in kept]
            what = f"rebuild {path}: {len(kept)} readable records, {len(made)} recovered"
            evidence = "; ".join(f"{one.record.id}: {one.evidence}" for one in made)
            act = partial(_write_again, item_kind, location, names)
            nameless = [one.record.id for one in made if item_kind is ItemKind.IMAGES and not one.record.names]
            advice = "; ".join(map(how_to_name, nameless))
            subject = Subject("store", path=path)
            yield Step(Action.WRITE_RECORD_FILE, subject, what, why, evidence, act, advice=advice)
        if any(damaged is item_kind for damaged, _ in whys):
            for identifier, reason in rebuilding.lost[item_kind]:
                yield Unrepairable(Subject(item_kind.value, identifier), "its record was lost", reason, last_seen=True)


def _write_again(
    item_kind: ItemKind, location: Location, names: Mapping[str, Sequence[str]], repair_context: RepairContext
) -> None:
    """Check again under the locks, and rewrite the file if it is still damaged."""
    with repair_context.locked() as writer:
        snapshot = StoreSnapshot(repair_context.context)
        path = repair_context.context.places[item_kind].files[location]
        if not any(flaw.path == path for _, flaw, read_only in snapshot.flaws if not read_only):
            return
        made = Rebuilding(Survivors(snapshot), names).of(item_kind, location)
        firsts = {record.id: (record, data) for record, data in reversed(sound_records(path, KINDS[item_kind]))}
        sound = list(firsts.values())[::-1]
        known = set(firsts)
        raw = [data for _, data in sound] + [codec.encode(one.record) for one in made if one.record.id not in known]
        writer.mark(item_kind)
        repair_context.rewrite(item_kind, location, raw, "it was damaged")
