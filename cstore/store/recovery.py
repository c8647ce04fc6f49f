"""Recover from dead writers: staged trees, incomplete layers, unfinished replacements and data items."""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.contexts import suppress
from cstore.records.layers import incomplete
from cstore.store.lookup import referenced
from cstore.store.places import REPLACING, ItemKind, item_journal
from cstore.traces import trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.store.context import Context
    from cstore.store.lookup import Tables
    from cstore.store.session import Writer


def sweep(context: Context) -> list[str]:
    """Remove what dead processes staged; return the paths. Needs no lock, because living owners hold their own."""
    from cstore.drivers.registry import may_have_staged

    removed: list[str] = []
    if may_have_staged(context.layout.driver, context.driver_place):
        removed += context.driver.sweep()
    if _holds_anything(context.layout.layers_staging, ""):
        from cstore.fs.staging import StagingRoot

        removed += StagingRoot(context.layout.layers_staging).sweep().removed
    for path in removed:
        trace("swept %s, which a dead process had staged", path)
    return removed


def recover(writer: Writer) -> None:
    """Restore a consistent state of the layers. The caller holds the layer lock, so no other process changes them."""
    if presence.is_there(writer.layout.container_journal):
        from cstore.store.container_journal import conclude

        conclude(writer)
    if _holds_anything(writer.layout.layers, REPLACING):
        from cstore.store.replacing import finish_replacements

        finish_replacements(writer)
    flagged = [layer.id for layer in incomplete(writer.layers)]
    if flagged:
        _drop_unfinished(writer, flagged)
    if writer.layers.repair_names():
        writer.save(ItemKind.LAYERS)


def _holds_anything(directory: str, word: str) -> bool:
    """Return whether a name in a directory contains `word`; true if it cannot be read: the next step reports that."""
    try:
        return any(word in name for name in os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def finish_items(writer: Writer, item_kinds: Sequence[ItemKind]) -> None:
    """Complete or revert changes of data items by dead processes, for the kinds whose locks are held."""
    begun = [item_kind for item_kind in item_kinds if presence.is_there(item_journal(writer.layout, item_kind))]
    if not begun:
        return
    from cstore.store.item_journal import conclude

    for item_kind in begun:
        with suppress(errors.CstoreError):  # it must not block all writers
            if conclude(writer, item_kind):
                trace("settled a data item of one of the %ss, which a dead process was setting", item_kind.value)


def unfinished(tables: Tables) -> list[str]:
    """Return the layers that `recover` removes, children before parents, unless a removal fails.

    Raises:
        RecordsDamaged: damaged records do not show what is referenced.
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
    """Remove layers whose creation or removal was not completed, children before parents.

    A layer that is still referenced stays, whatever its flag; the Go tool would remove it from its users. If references
    are unknown, all stay. A layer that cannot be removed, because it is mounted for example, is left to the next
    writer, so that it does not block this one.
    """
    try:
        needed = referenced(writer)
    except errors.RecordsDamaged:
        return
    from cstore.store.removal import take_out

    progress = True
    while progress:
        progress = False
        for layer in [id_ for id_ in flagged if id_ not in needed]:
            flagged.remove(layer)
            try:
                take_out(writer, layer)
            except errors.CstoreError as error:
                trace("layer %s was never finished, and stays for now: %s", layer, error)
                continue
            trace("removed layer %s, which was never finished", layer)
            progress = True
        needed = referenced(writer)
    writer.save(ItemKind.LAYERS)
