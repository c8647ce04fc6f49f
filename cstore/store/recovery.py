"""What the next writer does about a writer that died: staged trees, unfinished layers, half-applied diffs."""

from __future__ import annotations

from contextlib import suppress

from cstore.errors import CstoreError, RecordsDamaged
from cstore.fs.staging import StagingRoot
from cstore.records.layers import incomplete
from cstore.store.lookup import referenced
from cstore.store.places import Shelf
from cstore.traces import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.store.context import Context
    from cstore.store.lookup import Tables
    from cstore.store.session import Writer


def sweep(context: Context) -> list[str]:
    """Remove what dead processes staged; return the paths. Needs no lock: what is alive is locked by its owner."""
    removed = context.driver.sweep()
    removed += StagingRoot(context.layout.layers_staging).sweep().removed
    for path in removed:
        trace("swept %s, which a dead process had staged", path)
    return removed


def recover(writer: Writer) -> None:
    """Bring the layers into a whole state. Under the layer lock, so that nobody can still be at work on them."""
    from cstore.store.container_journal import conclude
    from cstore.store.replacing import finish_replacements

    conclude(writer)
    finish_replacements(writer)
    flagged = [layer.id for layer in incomplete(writer.layers)]
    if flagged:
        _drop_unfinished(writer, flagged)
    if writer.layers.repair_names():
        writer.save(Shelf.LAYERS)


def finish_items(writer: Writer, shelves: Sequence[Shelf]) -> None:
    """Finish or take back data items that a dead process was setting, of the kinds whose locks are held."""
    from cstore.store.item_journal import conclude

    for shelf in shelves:
        with suppress(CstoreError):  # it shall not keep all from everything
            if conclude(writer, shelf):
                trace("settled a data item of one of the %ss, which a dead process was setting", shelf.value)


def unfinished(tables: Tables) -> list[str]:
    """List the layers that `recover` removes, as far as nothing resists: children before parents.

    Raises:
        RecordsDamaged: nobody can tell what is referenced.
    """
    waiting, going = [layer.id for layer in incomplete(tables.layers)], list[str]()
    while waiting:
        needed = referenced(tables, without=going)
        free = [layer for layer in waiting if layer not in needed]
        if not free:
            break
        going += free
        waiting = [layer for layer in waiting if layer in needed]
    return going


def _drop_unfinished(writer: Writer, flagged: list[str]) -> None:
    """Remove layers that were never finished or whose removal was not, children before parents.

    Something that is still referenced stays, whatever its flag says: the peer would take it from under its users. All
    stay if nobody can tell what is referenced. What resists (it is mounted, say) is left to the next writer, so that
    its trouble does not keep everybody from everything.
    """
    try:
        needed = referenced(writer)
    except RecordsDamaged:
        return
    progress = True
    while progress:
        progress = False
        for layer in [id_ for id_ in flagged if id_ not in needed]:
            flagged.remove(layer)
            progress |= _drop(writer, layer)
        needed = referenced(writer)
    writer.save(Shelf.LAYERS)


def _drop(writer: Writer, layer: str) -> bool:
    from cstore.store.removal import take_out

    try:
        take_out(writer, layer)
    except CstoreError as error:
        trace("layer %s was never finished, and stays for now: %s", layer, error)
        return False
    trace("removed layer %s, which was never finished", layer)
    return True
