"""Complete what a killed command was about to quarantine.

A case lists everything to move before the first record is removed. After a crash, there may be things without a record,
which must be kept, and layers with a record that only the removed image or container needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cstore import presence
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
    """Things that cases list but do not contain yet, by path. Without the lock, another process may be moving them."""

    def __init__(self, context: Context, stack: ExitStack) -> None:
        """Take the lock of the quarantine, before all others, until `stack` is closed, if there is anything to do."""
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
        """Remove layers that were to be removed with an image or container that is gone, if nothing needs them."""
        for case in self._cases:
            removed = [each for each in case.entries if isinstance(each, Recorded) and not each.after]
            owners = [each for each in removed if each.item_kind is not ItemKind.LAYERS]
            if not owners or any(each.record(each.before).id in writer.table(each.item_kind) for each in owners):
                continue
            for each in removed:
                layer = each.record(each.before)
                if each.item_kind is not ItemKind.LAYERS or writer.layers.get(layer.id) != layer:
                    continue
                try:
                    check_unused(writer, layer.id)
                except CstoreError:
                    continue  # it is in use by now
                writer.layers.remove(layer.id)
                writer.save(ItemKind.LAYERS)

    def __contains__(self, path: object) -> bool:
        """Return whether a case lists the path."""
        return path in self._found

    def keep(self, path: str) -> bool:
        """Move a thing into the case that lists it; return False if none does."""
        if path not in self._found:
            return False
        if self._locked:
            move_aside(self._context, *self._found[path])
        return True


def unfinished_moves(context: Context) -> dict[str, tuple[Case, Kept]]:
    """Return things that a case lists but that are still at their old paths, by path."""
    try:
        found = cases(context)
    except CstoreError:
        return {}  # a check reports a damaged quarantine
    return {
        entry.path: (case, entry)
        for case in found
        for entry in case.entries
        if isinstance(entry, Kept) and entry.name and not entry.successor
        if presence.is_there(entry.path) and not presence.is_there(case.path_of(entry))
    }
