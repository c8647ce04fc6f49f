"""Deletes everything: containers, images, layers, and the driver's other files (semantics 12.6)."""

from __future__ import annotations

from contextlib import ExitStack

from cstore.errors import CstoreError
from cstore.store.garbage import leftovers, remove
from cstore.store.occupants import refuse_occupied
from cstore.store.places import ItemKind, is_made
from cstore.store.removal import discard_container_data, discard_image_data, take_out
from cstore.store.session import writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.store.context import Context
    from cstore.store.quarantine.finishing import Promised
    from cstore.store.session import Writer


def wipe(context: Context) -> None:
    """Remove every container, image and layer of the store, and what belongs to none of them.

    Does not touch additional stores, or files with names that no tool uses. The quarantine stays, and gets what a
    killed `rm --keep` had promised to it and not moved: its records were gone before.

    Raises:
        ContainerOccupied: a process lives in a container, or another mount namespace holds it; nothing was removed.
        RecordsDamaged: a record file cannot be trusted; nothing was removed.
        SystemFailure: the first layer that could not be removed; all others are gone, except its ancestors. The next
            writer tries it again.
    """
    from cstore.store.quarantine.finishing import Promised

    if not is_made(context.layout):
        return
    with ExitStack() as stack:
        promised = Promised(context, stack)
        item_kinds = (ItemKind.LAYERS, ItemKind.IMAGES, ItemKind.CONTAINERS)
        writer = stack.enter_context(writing(context, *item_kinds, graph=True, freeing=True))
        for item_kind in ItemKind:
            writer.table(item_kind).verify()
        for container in writer.containers:
            refuse_occupied(context, container)
        promised.forget_records(writer)
        _wipe_items(writer, ItemKind.CONTAINERS, discard_container_data)
        _wipe_items(writer, ItemKind.IMAGES, discard_image_data)
        _wipe_layers(writer, promised)


def _wipe_items(writer: Writer, item_kind: ItemKind, discard_data: Callable[[Writer, str], None]) -> None:
    table = writer.table(item_kind)
    gone = list(table.ids())
    for item in gone:
        table.remove(item)
    writer.save(item_kind)
    for item in gone:
        discard_data(writer, item)


def _wipe_layers(writer: Writer, promised: Promised) -> None:
    """Flag all layers in one save, so that a crash leaves none of them half; then newest first, out of sight."""
    layers = list(writer.layers)
    with writer.mounts() as mounts:
        for entry in list(mounts):
            writer.driver.unmount(entry.id)
            mounts.drop(entry.id)
    for layer in layers:
        writer.layers.replace(layer.with_(flags={**layer.flags, "incomplete": True}))
    writer.save(ItemKind.LAYERS)
    first: CstoreError | None = None
    needed: set[str] = set()  # a record without that of its parent would be damage
    for layer in reversed(layers):
        if layer.id in needed:
            needed.add(layer.parent)
            continue
        try:
            take_out(writer, layer.id)
        except CstoreError as error:
            first = first or error
            needed.add(layer.parent)
    writer.save(ItemKind.LAYERS)
    for leftover in leftovers(writer.context, writer, promised):  # else links of layers that are gone would stay
        failure = remove(writer, leftover, promised=promised)
        first = first or failure
    if first is not None:
        raise first
