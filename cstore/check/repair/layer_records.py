"""Rebuild lost layer records from the remaining evidence."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cstore.archive.compression import Compression
from cstore.check.repair.family import find_parent
from cstore.check.repair.image_files import keys_in
from cstore.check.repair.owners import owners_shifted_to
from cstore.errors import CstoreError
from cstore.idmap import IDENTITY, IDMap, parse_ranges
from cstore.records.model import Container, Layer, to_entries
from cstore.records.table import Location
from cstore.store.places import ItemKind
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cstore.check.repair.survivors import Survivors


class Rebuilt(Value):
    """A rebuilt record, the record file that it belongs into, and the evidence."""

    record: Any
    location: Location
    evidence: str


class LayerRecords:
    """The builder of lost layers' records.

    `containers` has the containers by their layers: recorded ones, and None for lost ones whose files name a layer.

    Attributes:
        lost: layers whose record cannot be rebuilt, each with the reason.
    """

    def __init__(self, survivors: Survivors, containers: Mapping[str, Container | None]) -> None:
        self._survivors = survivors
        self._snapshot = survivors.snapshot
        self._containers = containers
        self._told: dict[str, str] = {}
        self.lost: list[tuple[str, str]] = []

    def rebuild(self) -> list[Rebuilt]:
        """Rebuild the record of each lost layer that was complete, parents before children."""
        survivors, lost = self._survivors, set(self._survivors.lost_layers)
        parents: dict[str, str | None] = {}
        for layer in lost:
            hint = survivors.hint(ItemKind.LAYERS, layer)
            parents[layer] = str(hint.get("parent", "")) if hint else find_parent(survivors, layer, self._containers)
        wanted = self._wanted(lost, parents)
        orphans = [layer for layer in wanted if parents[layer] is None] if self._snapshot.inspector.whole else []
        for layer in sorted(filter(survivors.has_tar_split, orphans)):
            wanted.remove(layer)  # a wrong parent would make its sound files look unexpected
            self.lost.append((layer, "nothing says what its parent was"))
        self._told = self._told_by_configs(parents)
        given_up = {layer for layer, _ in self.lost}
        for layer in sorted(lost - wanted - given_up):
            self.lost.append((layer, "nothing shows that it was completed, and nothing uses it"))
        made = [self._record(layer, parents[layer]) for layer in _parents_first(sorted(wanted), parents)]
        for one in made:
            facts = self._survivors.facts(one.record.id)
            if facts is not None and facts.problems and not one.record.diff_digest:
                why = f"{len(facts.problems)} of its files have changed, and the digest of its archive is unknown"
                self.lost.append((one.record.id, why))
        return made

    # ── selection ──

    def _wanted(self, lost: set[str], parents: Mapping[str, str | None]) -> set[str]:
        """Choose the trees that were complete layers: imported, named by other evidence, or ancestors of these."""
        snapshot, survivors = self._snapshot, self._survivors
        wanted = {layer for image in snapshot.images for layer in (image.layer, *image.mapped_layers)}
        wanted |= {layer.parent for layer in snapshot.layers} | set(survivors.expected_layers) | set(self._containers)
        wanted &= lost
        for layer in lost - wanted:
            hint = survivors.hint(ItemKind.LAYERS, layer)
            unfinished = hint.get("flags", {}).get("incomplete") is True
            if not unfinished and (hint or survivors.has_tar_split(layer)):
                wanted.add(layer)
        pending = list(wanted)
        while pending:
            parent = parents.get(pending.pop())
            if parent and parent in lost and parent not in wanted:
                wanted.add(parent)
                pending.append(parent)
        return wanted

    def _told_by_configs(self, parents: Mapping[str, str | None]) -> dict[str, str]:
        """Match the chain of each image with its config, and return the DiffIDs of the layers."""
        snapshot = self._snapshot
        known: dict[str, str | None] = {name: layer.parent for name, (layer, _) in snapshot.all_layers.items()}
        known |= parents
        told: dict[str, str] = {}
        for image, _ in snapshot.all_images.values():
            files = self._survivors.image_files.get(image.id)
            chain: list[str] = []
            layer: str | None = image.layer
            while layer and layer not in chain:
                chain.append(layer)
                layer = known.get(layer)
            if files is not None and len(chain) == len(files.diff_ids):
                told.update(zip(reversed(chain), files.diff_ids, strict=True))
        return told

    # ── contents ──

    def _record(self, layer: str, parent: str | None) -> Rebuilt:
        survivors = self._survivors
        hint = survivors.hint(ItemKind.LAYERS, layer)
        expected_layer = survivors.expected_layers.get(layer)
        witnesses = [
            "the remains of its record" if hint else "",
            f"the config of image {expected_layer.image}" if expected_layer else "",
            "its tar-split" if survivors.facts(layer) else "",
            "the files of the driver",
        ]
        fields = {
            "parent": parent or "",
            "created": self._created(layer),
            **self.contents_of(layer),
            **self._mapping(layer),
            **{key: value for key, value in hint.items() if key not in {"parent", "flags"}},
            "data_names": tuple(keys_in(self._snapshot.layout.layer_data(layer), "layer")),
            "flags": {key: value for key, value in hint.get("flags", {}).items() if key != "incomplete"},
        }
        image_store, path = self._snapshot.layout.image_store, self._snapshot.context.driver.path_of(layer)
        in_image_store = image_store and path.startswith(image_store.rstrip("/") + "/")
        location = Location.IMAGE_STORE if in_image_store else Location.STABLE
        return Rebuilt(Layer(id=layer, **fields), location, ", ".join(filter(None, witnesses)))

    def contents_of(self, layer: str) -> dict[str, Any]:
        """Return the record fields that describe a layer's archive. If files have changed, use a config's DiffID."""
        expected_layer = self._survivors.expected_layers.get(layer)
        named = expected_layer.diff_id if expected_layer else self._told.get(layer, "")
        facts = self._survivors.facts(layer)
        if facts is None:
            return {"diff_digest": named} if named else {}
        digest = facts.digest or named
        fields = {"diff_digest": digest, "diff_size": facts.size, "uids": facts.uids, "gids": facts.gids}
        blob = expected_layer.blob if expected_layer else self._survivors.blob_of(digest)
        return {**fields, **_delivery(blob)} if blob else fields

    def _mapping(self, layer: str) -> dict[str, Any]:
        """Return the ID map: that of its container, or else one that explains the owners of its files."""
        container = self._containers.get(layer)
        if container is None and self._survivors.template_of(layer):  # a mapped layer has the ID map of those above it
            parent_of = self._survivors.driver_repair.parent_of
            container = next((above for own, above in self._containers.items() if parent_of(own) == layer), None)
        if container is not None:
            can_shift = self._snapshot.context.driver.can_shift(container.id_map)
            return {} if can_shift else _entries(container.id_map)
        first = owners_shifted_to(self._survivors, layer)
        if first is None:
            return {}
        for one in self._snapshot.containers:
            with suppress(CstoreError):  # not every map has root
                if one.id_map != IDENTITY and one.id_map.to_host(0, 0) == first:
                    return _entries(one.id_map)
        uids, gids = (parse_ranges(f"0:{start}:65536") for start in first)
        return _entries(IDMap(uids, gids))

    def _created(self, layer: str) -> str:
        """Return when the layer was created, by the file that was written last."""
        try:
            seconds = os.stat(self._snapshot.layout.tar_split(layer)).st_mtime
        except OSError:
            seconds = self._survivors.driver_repair.age_of(layer)
            with suppress(OSError):
                seconds = seconds or os.lstat(self._snapshot.context.driver.path_of(layer)).st_ctime
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _entries(id_map: IDMap) -> dict[str, Any]:
    if id_map == IDENTITY:
        return {}
    return {"uid_map": to_entries(id_map.uids), "gid_map": to_entries(id_map.gids)}


def _delivery(blob: Mapping[str, Any]) -> dict[str, Any]:
    digest, size, kind = blob.get("digest"), blob.get("size"), blob.get("mediaType", "")
    if not isinstance(digest, str) or not isinstance(size, int) or not isinstance(kind, str):
        return {}
    compression = next((each.value for each in Compression if kind.endswith(each.label)), 0)  # (store-format 4.1)
    return {"compressed_digest": digest, "compressed_size": size, "compression": compression}


def _parents_first(layers: Iterable[str], parents: Mapping[str, str | None]) -> list[str]:
    """Order layers such that parents precede children; a cycle stays in the order of IDs."""
    waiting, ordered = list(layers), []
    while waiting:
        ready = [layer for layer in waiting if parents.get(layer) not in waiting] or waiting[:1]
        ordered += ready
        waiting = [layer for layer in waiting if layer not in ready]
    return ordered
