"""Record files that are damaged, empty or gone: written again from what can be read of them and what survives."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cstore.check.census import Census
from cstore.check.findings import Subject
from cstore.check.repair.container_records import ContainerRecords, layers_of_lost
from cstore.check.repair.hints import KINDS
from cstore.check.repair.image_records import ImageRecords
from cstore.check.repair.layer_records import LayerRecords, Rebuilt
from cstore.check.repair.plan import Action, Hopeless, Step, how_to_name
from cstore.check.repair.rows import sound_records
from cstore.check.repair.survivors import Survivors
from cstore.records import codec
from cstore.store.places import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cstore.check.repair.workshop import Workshop
    from cstore.records.model import Container, Layer
    from cstore.records.table import Location


class Rebuilding:
    """All records that can be made again, each kind on the ground of those before."""

    def __init__(self, survivors: Survivors, names: Mapping[str, Sequence[str]]) -> None:
        census = survivors.census
        self.survivors = survivors
        owners = layers_of_lost(survivors)
        recorded: dict[str, Container | None] = {container.layer: container for container in census.containers}
        layers = LayerRecords(survivors, {**dict.fromkeys(owners), **recorded})
        self.made: dict[Shelf, list[Rebuilt]] = {Shelf.LAYERS: layers.rebuild()}
        known: dict[str, Layer] = {identifier: layer for identifier, (layer, _) in census.all_layers.items()}
        known |= {one.record.id: one.record for one in self.made[Shelf.LAYERS]}
        images = ImageRecords(survivors, known, names)
        self.made[Shelf.IMAGES] = images.rebuild()
        tops = {image.layer: image.id for image in census.images}
        tops |= {one.record.layer: one.record.id for one in self.made[Shelf.IMAGES]}
        containers = ContainerRecords(survivors, owners, known)
        self.made[Shelf.CONTAINERS] = containers.rebuild(tops)
        self.lost = {Shelf.LAYERS: layers.lost, Shelf.IMAGES: images.lost, Shelf.CONTAINERS: containers.lost}

    def of(self, shelf: Shelf, location: Location) -> list[Rebuilt]:
        """The records that belong into one file."""
        return [one for one in self.made[shelf] if one.location is location]


def heal_record_files(
    survivors: Survivors, whys: Mapping[tuple[Shelf, str], str], names: Mapping[str, Sequence[str]]
) -> Iterator[Step | Hopeless]:
    """Plan for every damaged file, given what is wrong by kind and path; and for what was recorded in them."""
    rebuilding = Rebuilding(survivors, names)
    for shelf in Shelf:
        files = survivors.census.context.places[shelf].files
        for location, path in files.items():
            why = whys.get((shelf, path))
            if why is None:
                continue
            kept = {record.id for record, _ in sound_records(path, KINDS[shelf])}
            made = [one for one in rebuilding.of(shelf, location) if one.record.id not in kept]
            what = f"rebuild {path}: {len(kept)} readable records, {len(made)} recovered"
            evidence = "; ".join(f"{one.record.id}: {one.evidence}" for one in made)
            act = partial(_write_again, shelf, location, names)
            nameless = [one.record.id for one in made if shelf is Shelf.IMAGES and not one.record.names]
            advice = "; ".join(map(how_to_name, nameless))
            subject = Subject("store", path=path)
            yield Step(Action.WRITE_RECORD_FILE, subject, what, why, evidence, act, advice=advice)
        if any(damaged is shelf for damaged, _ in whys):
            for identifier, reason in rebuilding.lost[shelf]:
                yield Hopeless(Subject(shelf.value, identifier), "it has lost its record", reason, last_seen=True)


def _write_again(shelf: Shelf, location: Location, names: Mapping[str, Sequence[str]], workshop: Workshop) -> None:
    """Look again under the locks, and write the file if it still is damaged."""
    with workshop.locked() as writer:
        census = Census(workshop.context)
        path = workshop.context.places[shelf].files[location]
        if not any(flaw.path == path for _, flaw, read_only in census.flaws if not read_only):
            return
        made = Rebuilding(Survivors(census), names).of(shelf, location)
        firsts = {record.id: (record, data) for record, data in reversed(sound_records(path, KINDS[shelf]))}
        sound = list(firsts.values())[::-1]
        known = set(firsts)
        raw = [data for _, data in sound] + [codec.encode(one.record) for one in made if one.record.id not in known]
        writer.mark(shelf)
        workshop.rewrite(shelf, location, raw, "it was damaged")
