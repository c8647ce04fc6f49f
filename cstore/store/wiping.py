"""Remove everything: containers, images, layers, and the driver's leftovers (semantics 12.6)."""

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
    """Remove all containers, images and layers of the store, and leftovers.

    Additional stores are unchanged, and files with names that no tool creates stay. The quarantine stays; files that a
    killed `rm --keep` was moving there are moved, because their records are gone.

    Raises:
        ContainerOccupied: a process runs in a container, or another mount namespace uses it; nothing was removed.
        RecordsDamaged: a record file cannot be trusted; nothing was removed.
        SystemFailure: a layer could not be removed; all others were, except its ancestors. The next writer tries again.
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
    """Flag all layers in one save, so that a crash leaves none partly removed; then remove them, newest first."""
    layers = list(writer.layers)
    with writer.mounts() as mounts:
        for entry in list(mounts):
            writer.driver.unmount(entry.id)
            mounts.drop(entry.id)
    for layer in layers:
        writer.layers.replace(layer.with_(flags={**layer.flags, "incomplete": True}))
    writer.save(ItemKind.LAYERS)
    first: CstoreError | None = None
    needed: set[str] = set()  # a record without its parent's would be damage
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
    for leftover in leftovers(writer.context, writer, promised):  # otherwise links of removed layers would stay
        failure = remove(writer, leftover, promised=promised)
        first = first or failure
    if first is not None:
        raise first
