"""Check references between items: parents, layers of images, layers and images of containers; find unused layers."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime

from cstore import presence
from cstore.check.findings import REPAIR_FROM, Finding, Remedy, of_container, of_image, of_layer
from cstore.ids import flaw_of_part
from cstore.records.model import ZERO_TIME
from cstore.store.lookup import referenced, tree_names
from cstore.store.places import ItemKind
from cstore.store.recovery import unfinished

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.check.snapshot import StoreSnapshot
    from cstore.records.model import Image


def reference_findings(snapshot: StoreSnapshot, max_age: float) -> Iterator[Finding]:
    """Yield a finding for each broken reference, and for each layer unused for `max_age` seconds."""
    yield from _parents(snapshot)
    going = set(unfinished(snapshot)) - snapshot.needed_elsewhere
    for layer in snapshot.layers:
        if layer.incomplete and layer.id not in going:
            sentence = "it is marked incomplete, but something uses it; the Go tools would remove it"
            yield of_layer("layer-unfinished-in-use", layer.id, sentence, tree=snapshot.has_tree(layer.id))
        elif layer.incomplete:
            yield of_layer("layer-unfinished", layer.id, "it was never completed; the next change removes it")
    for image, read_only in snapshot.all_images.values():
        yield from _layers_of_image(snapshot, image, read_only=read_only)
    yield from _containers(snapshot)
    if not snapshot.suspect:
        yield from _unreferenced(snapshot, max_age)


_ELSEWHERE = Remedy(
    "if an additional image store has it, name that store in additionalimagestores, or copy from it", REPAIR_FROM
)


def _advice(snapshot: StoreSnapshot, layer: str) -> dict[str, Remedy]:
    """Return advice for a missing layer that has no directory here."""
    return {} if snapshot.has_tree(layer) else {"advice": _ELSEWHERE}


def _parents(snapshot: StoreSnapshot) -> Iterator[Finding]:
    # This needs the layers of all stores: the parent of a layer may be in an additional one.
    for layer, read_only in snapshot.all_layers.values():
        if not layer.parent:
            continue
        if layer.parent not in snapshot.all_layers:
            yield of_layer(
                "parent-missing",
                layer.id,
                f"its parent {layer.parent} has no record",
                part=layer.parent,
                parent=layer.parent,
                tree=snapshot.has_tree(layer.parent),
                read_only=read_only,
                **_advice(snapshot, layer.parent),
                go_text=f"layer {layer.parent}: layer is missing",
            )
            continue
        chain = snapshot.chain(layer.id)
        last, _ = snapshot.all_layers.get(chain[-1], (None, False))
        if last is not None and last.parent == layer.id:
            cycle = [*chain, layer.id]
            sentence = f"it is its own ancestor: {' → '.join(cycle)}"
            yield of_layer("layer-cycle", layer.id, sentence, cycle=cycle, read_only=read_only)


def _layers_of_image(snapshot: StoreSnapshot, image: Image, *, read_only: bool) -> Iterator[Finding]:
    missing: dict[str, None] = {}
    for top in filter(None, (image.layer, *image.mapped_layers)):
        missing.update(dict.fromkeys(layer for layer in snapshot.chain(top) if layer not in snapshot.all_layers))
    for layer in missing:
        yield of_image(
            "image-layer-missing",
            image.id,
            f"its layer {layer} has no record",
            part=layer,
            layer=layer,
            tree=snapshot.has_tree(layer),
            read_only=read_only,
            **_advice(snapshot, layer),
            go_text=f"{'read-only ' if read_only else ''}image {image.id}: layer {layer}: image layer is missing",
        )


def _containers(snapshot: StoreSnapshot) -> Iterator[Finding]:
    for container in snapshot.containers:
        layer = container.layer
        if layer not in snapshot.all_layers:
            tree = bool(layer) and snapshot.has_tree(layer)
            sentence = f"its own layer {layer} has no record" if layer else "its record names no layer"
            yield of_container("container-layer-missing", container.id, sentence, layer=layer, tree=tree)
        image = container.image
        if image and image not in snapshot.all_images:
            has_data = flaw_of_part(image) or presence.is_there(snapshot.layout.image_data(image))
            yield of_container(
                "container-image-missing",
                container.id,
                f"its image {image} has no record",
                image=image,
                go_text=f"image {image}: image missing",
                **({} if has_data else {"advice": _ELSEWHERE}),
            )


def _unreferenced(snapshot: StoreSnapshot, max_age: float) -> Iterator[Finding]:
    used = set(snapshot.needed_elsewhere)
    tops = {top for image, _ in snapshot.all_images.values() for top in (image.layer, *image.mapped_layers)}
    tops |= {container.layer for container in snapshot.containers} | snapshot.needed_elsewhere
    for top in tops:
        used.update(snapshot.chain(top))
    now = time.time()
    for layer in snapshot.layers:
        if layer.id in used or layer.incomplete:
            continue
        created = 0.0  # unless it is known
        if layer.created not in {"", ZERO_TIME}:
            with suppress(ValueError, OverflowError):
                created = datetime.fromisoformat(layer.created).timestamp()
        if now - created >= max_age:
            go_text = f"layer {layer.id}: layer not referenced by any images or containers"
            sentence = "no image and no container uses it"
            yield of_layer("layer-unreferenced", layer.id, sentence, created=layer.created, go_text=go_text)


def lost_records(snapshot: StoreSnapshot) -> Iterator[Finding]:
    """Yield layers without a record that something refers to, or whose record was in a damaged file."""
    known = {*snapshot.all_layers, *snapshot.transient, *tree_names(snapshot.layers)}
    needed = referenced(snapshot) | snapshot.needed_elsewhere
    suspect = ItemKind.LAYERS in snapshot.suspect
    for layer in sorted(snapshot.trees - known):
        if layer in needed or suspect:
            why = "the record file is damaged" if suspect else "other records name it"
            go_text = f"layer {layer}: layer in lower level storage driver not accounted for"
            path = snapshot.context.driver.path_of(layer)
            yield of_layer(
                "layer-record-lost", layer, f"it has a directory but no record; {why}", path=path, go_text=go_text
            )
