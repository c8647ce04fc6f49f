"""Move what cannot be repaired into quarantine, from which it can be restored. Only on request.

Anything still in use stays: a layer below a sound container, or below another layer.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from cstore.check.repair.plan import Action, Step
from cstore.errors import CstoreError, ImageUsedByContainer, InUse, SystemFailure, UnsafeID
from cstore.store.occupants import refuse_occupied
from cstore.store.places import ItemKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cstore.check.findings import Finding
    from cstore.check.repair.repair_context import RepairContext
    from cstore.check.repair.repair_view import RepairView
    from cstore.store.quarantine import Kept
    from cstore.store.session import Writer

_WHY = "it could not be healed"
_LEFTOVERS = frozenset({"leftover-temporary", "leftover-tar-split", "leftover-data"})
_NOT_WORTH_IT = frozenset(
    {
        "file-time", "file-changed", "file-missing", "file-attributes", "file-unexpected", "files-more",
        "image-without-data", "layer-unreferenced", "leftover-staging", "layer-unfinished", "tar-split-missing",
        "tar-split-damaged", "container-image-missing", "container-data-missing", "container-data-unreadable",
        "layer-data-missing", "layer-data-unreadable",
    }
)  # fmt: skip
"""Findings for which nothing is moved: either more would be lost (a layer for one file, a container for one item), or
moving would repair nothing, and gc or delete is the right command."""


def put_aside(repair_view: RepairView, finding: Finding) -> Iterator[Step]:
    """Plan to move the subject of a finding into quarantine."""
    del repair_view
    if finding.kind in _NOT_WORTH_IT or finding.read_only:
        return
    subject = finding.subject
    if finding.kind in _LEFTOVERS:
        what, why = f"move {subject.path} into quarantine", "nothing owned it"
        yield Step(
            Action.TAKE_OUT, subject, what, finding.sentence, "nothing owns it",
            lambda repair: repair.aside(subject.path, why),
        )  # fmt: skip
    elif finding.kind == "layer-unaccounted":
        what = f"move the directory of layer {subject.id} into quarantine"
        act = partial(layer_aside, subject.id)
        yield Step(Action.TAKE_OUT, subject, what, finding.sentence, "no record owns it", act)
    elif subject.kind in _TAKERS:
        what = f"move {subject.kind} {subject.id} and everything it owns into quarantine"
        act = partial(_TAKERS[subject.kind], subject.id)
        yield Step(Action.TAKE_OUT, subject, what, finding.sentence, "it cannot be healed", act)


def layer_aside(layer: str, repair: RepairContext, why: str = _WHY) -> None:
    """Move a layer into quarantine, unless it is in use.

    Raises:
        LayerHasChildren, LayerUsedByImage, LayerUsedByContainer: it is in use.
    """
    with repair.locked() as writer:
        promised = _promise_layer(layer, repair, writer, why)
        writer.save(ItemKind.LAYERS)
        _fulfil(repair, promised)


def _promise_layer(layer: str, repair: RepairContext, writer: Writer, why: str) -> list[Kept]:
    """Journal all paths of an unused layer, and remove its record from the table, which the caller saves.

    Raises:
        LayerHasChildren, LayerUsedByImage, LayerUsedByContainer: the layer is in use.
    """
    from cstore.store.removal import check_unused

    check_unused(writer, layer)
    record = writer.layers.get(layer)
    with writer.mounts() as mounts:
        if mounts.get(layer) is not None:
            writer.driver.unmount(layer)
            mounts.drop(layer)
    try:
        paths = repair.driver_repair.belongings(layer)
    except SystemFailure:
        raise  # a retry may succeed; paths that are not journaled now would be deleted
    except CstoreError:
        paths = []
    try:
        paths = [*paths, writer.layout.tar_split(layer), writer.layout.layer_data(layer)]
    except UnsafeID:
        paths = []  # an item with an unsafe ID owns no path
    promised = [repair.quarantine.promise(path, why) for path in paths]
    if record is not None:
        repair.quarantine.changed(ItemKind.LAYERS, writer.layers.location(layer), record, None, why)
        writer.layers.remove(layer)
    return [kept for kept in promised if kept is not None]


def _fulfil(repair: RepairContext, promised: Iterable[Kept]) -> None:
    for kept in promised:
        repair.quarantine.fulfil(kept)


def image_aside(image: str, repair: RepairContext, why: str = _WHY, *, unused: bool = False) -> None:
    """Move an image into quarantine, with the layers that only it uses. A container keeps its image's layers.

    Raises:
        ImageUsedByContainer: with `unused`, if a container was created from it.
    """
    with repair.locked() as writer:
        record = writer.images.get(image)
        if record is None:
            return
        user = next((each.id for each in writer.containers if each.image == image), "")
        if unused and user:
            raise ImageUsedByContainer(image, user)
        repair.quarantine.changed(ItemKind.IMAGES, writer.images.location(image), record, None, why)
        writer.images.remove(image)
        promised = []
        with suppress(UnsafeID):
            promised.append(repair.quarantine.promise(writer.layout.image_data(image), why))
        for layer in (*record.mapped_layers, record.layer):
            promised += _promise_ancestors(layer, repair, writer, why)
        writer.save(ItemKind.IMAGES, ItemKind.LAYERS)
        _fulfil(repair, filter(None, promised))


def _promise_ancestors(layer: str, repair: RepairContext, writer: Writer, why: str) -> Iterator[Kept]:
    """Journal and remove a layer and its ancestors, up to the first that is still in use."""
    while layer:
        record = writer.layers.get(layer)
        try:
            yield from _promise_layer(layer, repair, writer, why)
        except InUse:
            return
        layer = record.parent if record else ""


def container_aside(container: str, repair: RepairContext, why: str = _WHY, *, unused: bool = False) -> None:
    """Move a container into quarantine, with its own layer and the engine's files.

    Raises:
        ContainerOccupied: with `unused`, if a process runs in it.
    """
    with repair.locked() as writer:
        record = writer.containers.get(container)
        if record is None:
            return
        if unused:
            refuse_occupied(repair.context, record)
        repair.quarantine.changed(ItemKind.CONTAINERS, writer.containers.location(container), record, None, why)
        writer.containers.remove(container)
        promised = []
        with suppress(UnsafeID):
            promised.append(repair.quarantine.promise(writer.layout.container_data(container), why))
        try:
            promised += _promise_layer(record.layer, repair, writer, why) if record.layer else []
        finally:  # even if the layer is in use, the container is removed
            writer.save(ItemKind.CONTAINERS, ItemKind.LAYERS)
            _fulfil(repair, filter(None, promised))


_TAKERS: dict[str, Callable[[str, RepairContext], None]] = {
    "layer": layer_aside,
    "image": image_aside,
    "container": container_aside,
}
