"""Restore things and records from a case, in reverse order, without replacing anything newer."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from cstore import presence
from cstore.errors import CstoreError, SystemFailure
from cstore.fs import within
from cstore.fs.atomic import sync_directory
from cstore.fs.lockfile import make_directories
from cstore.fs.rename import exchange_within, rename_within
from cstore.fs.tree import remove_tree
from cstore.records.codec import encode
from cstore.records.table import Location
from cstore.store.places import ItemKind
from cstore.store.quarantine.case import JOURNAL, Case, Kept, Recorded, find_case, readable, remove_broken_off
from cstore.store.quarantine.keeping import FOLDER, TREE, digest_of, folder_mark, mark_of, quarantine_lock, tree_mark
from cstore.store.session import leave_to_its_user, writing
from cstore.store.way import require_way, way_to
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cstore.store.context import Context
    from cstore.store.session import Writer


class Undone(Value):
    """The result of `undo`: sentences about what was restored, and about what was not, with the reason."""

    case: str
    done: tuple[str, ...]
    left: tuple[str, ...]


def undo(context: Context, ref: str) -> Undone:
    """Undo a case, except where something newer is in the way. Entries that were undone before are skipped.

    The last operation is undone first, so that each thing is restored into the state from which it was removed; but the
    things that a record describes are restored before the record. The case is removed when nothing is left in it.

    Raises:
        CaseUnknown: there is no such case.
        QuarantineDamaged: its journal cannot be read; its things are in its directory.
        RecordsDamaged: damaged record files prevent records from being restored.
        Unsupported: root is about to write into another user's store.
    """
    leave_to_its_user(context.layout)
    if not presence.is_there(context.layout.quarantine):
        find_case(context, ref)  # raises CaseUnknown, before the lock would create the directory
    with quarantine_lock(context):
        ended = [name for name in remove_broken_off(context) if ref and name.startswith(ref)]
        if len(ended) == 1:
            return Undone(ended[0], (), ())  # everything was restored when this undo was interrupted
        case = readable(find_case(context, ref))
        progress = _Progress(list(case.entries))
        for entry in _in_order(context, case.entries):
            # A restored thing may be a record file, so read the records again for each entry.
            with writing(context, *ItemKind, graph=True, recovering=False) as writer:
                if isinstance(entry, Kept):
                    progress.note(entry, entry.path, partial(_bring_back, writer, case, entry))
                else:
                    subject = f"the record of {entry.item_kind.value} {_id_of(entry)}"
                    progress.note(entry, subject, partial(_restore, writer, entry))
        told = {JOURNAL, *(entry.name for entry in progress.remaining if isinstance(entry, Kept))}
        others = sorted(name for name in within.listdir(case.directory) if name not in told)
        if progress.remaining or others:
            case.with_(entries=progress.remaining).write(sync=context.sync)
        else:
            within.unlink(os.path.join(case.directory, JOURNAL))
            within.rmdir(case.directory)
        if others:
            progress.left.append(f"{', '.join(others)} in {case.directory}: the journal does not say where it was")
        return Undone(case.id, tuple(progress.done), tuple(progress.left))


def _in_order(context: Context, entries: Sequence[Kept | Recorded]) -> Iterator[Kept | Recorded]:
    """Yield the entries from last to first, except that a restored record follows the things noted before it.

    An undo that is killed in between then leaves things without a record, which `gc` puts into the case again; a record
    without its things would be damage. A record does not wait for a record file that is restored and may contain it.
    """
    files = {path for item_kind in ItemKind for path in context.places[item_kind].files.values()}
    waiting: list[Recorded] = []
    for entry in reversed(entries):
        if isinstance(entry, Recorded) or entry.path in files:
            yield from waiting
            waiting.clear()
        if isinstance(entry, Recorded) and entry.before and not entry.after:
            waiting.append(entry)
        else:
            yield entry
    yield from waiting


class _Progress:
    """What has been undone so far, what could not be undone, and what remains."""

    def __init__(self, entries: list[Kept | Recorded]) -> None:
        self.done: list[str] = []
        self.left: list[str] = []
        self._failed = self._recorded = False
        self._lost: set[str] = set()
        self._remaining = {id(entry): entry for entry in entries}

    @property
    def remaining(self) -> tuple[Kept | Recorded, ...]:
        """The entries that were not undone, in the journal's order."""
        return tuple(self._remaining.values())

    def note(self, entry: Kept | Recorded, subject: str, act: Callable[[], str]) -> None:
        """Undo one entry, which restores `subject`; `act` returns why it cannot be undone, or "".

        A record is not restored if restoring what it describes, which was tried just before, or the record of the layer
        below failed.
        """
        if self._recorded and isinstance(entry, Kept):
            self._failed = False
        self._recorded = isinstance(entry, Recorded)
        try:
            reason = self._hindrance(entry) or act()
        except CstoreError as error:
            reason = error.message
            self._failed |= isinstance(entry, Kept)
        if reason and isinstance(entry, Recorded) and entry.item_kind is ItemKind.LAYERS:
            self._lost.add(_id_of(entry))
        if reason:
            self.left.append(f"{subject}: {reason}")
            return
        del self._remaining[id(entry)]
        self.done.append(f"{subject} was restored")

    def _hindrance(self, entry: Kept | Recorded) -> str:
        if isinstance(entry, Kept) or entry.after:
            return ""
        if self._failed:
            return "what it describes was not restored"
        with suppress(ValueError):  # a sentence of its own
            record = entry.record(entry.before)
            below = record.parent if entry.item_kind is ItemKind.LAYERS else record.layer
            return f"layer {below} was not restored" if below in self._lost else ""
        return ""


def _bring_back(writer: Writer, case: Case, kept: Kept) -> str:
    context, source = writer.context, case.path_of(kept)
    if way_to(context.layout, kept.path) is None:  # the journal is not trusted
        return "it was not in this store"
    require_way(context.layout, kept.path)  # a layer may have a link at the path of a directory
    if not kept.name:
        return _take_away(kept)
    if not presence.is_there(source):
        return ""  # it was never moved, or is restored already
    if presence.is_there(kept.path):
        if _was_never_replaced(source, kept):
            remove_tree(source)
            return ""
        if not _is_successor(kept):
            # An interrupted undo may have restored the thing, and moved its successor into the case.
            if not kept.successor or mark_of(source) != kept.successor:
                return "another file is there now"
            remove_tree(source)
            return ""
        if kept.successor.startswith(FOLDER):
            return _give_way(kept.path) or _come_back(context, source, kept.path)
        if kept.successor.startswith(TREE):
            with writer.mounts() as mounts:  # a mounted layer may show files that are being exchanged
                mounted = next((each.id for each in mounts if writer.driver.is_mounted(each.id, each.path)), "")
            if mounted:
                return f"layer {mounted} is mounted; unmount it first"
        _exchange(context, source, kept.path)
        remove_tree(source)
        return ""
    return _come_back(context, source, kept.path)


def _come_back(context: Context, source: str, path: str) -> str:
    try:
        make_directories(os.path.dirname(path))
    except OSError as error:
        raise SystemFailure("create the directory", os.path.dirname(path), error) from None
    try:
        rename_within(context.layout.graph_root, source, path)
        if context.sync:
            sync_directory(os.path.dirname(path))
    except OSError as error:
        raise SystemFailure("move", source, error) from None
    return ""


def _give_way(folder: str) -> str:
    """Remove a directory that was created for other files; return why it cannot be removed, or ""."""
    try:
        within.rmdir(folder)
    except OSError as error:
        return "it has other files now" if error.errno == errno.ENOTEMPTY else os.strerror(error.errno or 0)
    return ""


def _take_away(kept: Kept) -> str:
    """Remove what was created where nothing had been."""
    if presence.is_there(kept.path):
        if not _is_successor(kept):
            return "another file is there now"
        if kept.successor.startswith(FOLDER):
            return _give_way(kept.path)
        remove_tree(kept.path)
    return ""


def _was_never_replaced(source: str, kept: Kept) -> bool:
    """Return whether the repair was killed after it prepared to replace a thing, but before it did.

    A file then has two links, and a tree's intended successor is in the case.
    """
    if kept.successor.startswith(TREE):
        return tree_mark(source) == kept.successor
    old, present = os.lstat(source), os.lstat(kept.path)
    if os.path.samestat(old, present):
        return True
    if old.st_size != present.st_size:
        return False  # avoid reading a huge file
    return bool(found := digest_of(source)) and found == digest_of(kept.path)  # or a copy, if links are impossible


def _is_successor(kept: Kept) -> bool:
    """Return whether the path has what replaced the thing when it was removed."""
    if kept.successor.startswith(FOLDER):
        return folder_mark(kept.path) == kept.successor
    return bool(kept.successor) and mark_of(kept.path) == kept.successor


def _exchange(context: Context, one: str, other: str) -> None:
    try:
        exchange_within(context.layout.graph_root, one, other)
        if context.sync:
            sync_directory(os.path.dirname(other))
    except OSError as error:
        raise SystemFailure("exchange", other, error) from None


def _restore(writer: Writer, entry: Recorded) -> str:
    """Restore a record's old state, if it has the state that the repair gave it."""
    try:
        before = entry.record(entry.before) if entry.before else None
        after = entry.record(entry.after) if entry.after else None
    except ValueError as error:
        return f"its journal entry is not a record ({error})"
    table = writer.table(entry.item_kind)
    present = table.get(_id_of(entry))
    if _same(present, before) or (before is not None and _same(present, _without_taken_names(table, before))):
        return ""
    if not _same(present, after):
        return "it was changed since then" if present is not None else "it was deleted since then"
    if before is None:
        table.remove(_id_of(entry))
    elif present is None:
        table.add(_without_taken_names(table, before), Location(entry.location))
    else:
        table.replace(_without_taken_names(table, before))
    writer.save(entry.item_kind)
    return ""


def _without_taken_names(table: Any, record: Any) -> Any:
    """Leave out names that other items have by now; these keep them."""
    holders = {name: table.named(name) for name in record.names}
    return record.with_(names=tuple(name for name, other in holders.items() if other is None or other.id == record.id))


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return one is other
    return encode(one) == encode(other)


def _id_of(entry: Recorded) -> str:
    try:
        return str(entry.record(entry.before or entry.after).id)
    except ValueError:
        return "?"
