"""Finishes the work of a killed command that was moving items into quarantine.

A case lists all items before the first record is removed. After a crash, there may be items without a record, which
must still be kept, and recorded layers that only the removed image or container needed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.errors import CstoreError, LockTimeout
from cstore.fs.lock_policy import LockPolicy
from cstore.store.places import ItemKind
from cstore.store.quarantine.case import Case, Kept, Recorded, cases
from cstore.store.quarantine.keeping import move_aside, quarantine_lock
from cstore.store.removal import check_unused

if TYPE_CHECKING:
    from contextlib import ExitStack

    from cstore.store.context import Context
    from cstore.store.session import Writer


class Promised:
    """The items to keep, by path. Without the lock, the process that claimed them may be about to move them."""

    def __init__(self, context: Context, stack: ExitStack) -> None:
        """Take the lock of the quarantine, before all others, until `stack` ends; if there is anything to do."""
        self._context = context
        self._found: dict[str, tuple[Case, Kept]] = {}
        self._cases: list[Case] = []
        self._locked = False
        if not unfinished_moves(context):
            return
        try:
            stack.enter_context(quarantine_lock(context, LockPolicy(timeout=0)))
        except LockTimeout:
            self._found = unfinished_moves(context)
            return
        self._locked, self._found = True, unfinished_moves(context)
        self._cases = list({case.id: case for case, _ in self._found.values()}.values())

    def forget_records(self, writer: Writer) -> None:
        """Remove the layers that were to go with an image or container, if that is gone and nothing needs them."""
        for case in self._cases:
            removed = [each for each in case.entries if isinstance(each, Recorded) and not each.after]
            owners = [each for each in removed if each.item_kind is not ItemKind.LAYERS]
            if not owners or any(each.record(each.before).id in writer.table(each.item_kind) for each in owners):
                continue
            for each in removed:
                layer = each.record(each.before)
                if each.item_kind is ItemKind.LAYERS and writer.layers.get(layer.id) == layer:
                    _forget(writer, layer.id)

    def __contains__(self, path: object) -> bool:
        """Whether it was promised."""
        return path in self._found

    def keep(self, path: str) -> bool:
        """Move something into the case that it was promised to; False if it was not promised to any."""
        if path not in self._found:
            return False
        if self._locked:
            move_aside(self._context, *self._found[path])
        return True


def _forget(writer: Writer, layer: str) -> None:
    try:
        check_unused(writer, layer)
    except CstoreError:
        return  # something needs it by now
    writer.layers.remove(layer)
    writer.save(ItemKind.LAYERS)


def unfinished_moves(context: Context) -> dict[str, tuple[Case, Kept]]:
    """Find the things that are where they were, by their paths, though an entry says that they are in a case."""
    try:
        found = cases(context)
    except CstoreError:
        return {}  # another file in the place of the quarantine is a separate finding
    return {
        entry.path: (case, entry)
        for case in found
        for entry in case.entries
        if isinstance(entry, Kept) and entry.name and not entry.successor
        if os.path.lexists(entry.path) and not os.path.lexists(case.path_of(entry))
    }
