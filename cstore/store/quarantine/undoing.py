"""Bringing back what was taken out, and records as they were; last things first, and never over something newer."""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING, Any

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
from cstore.store.session import writing
from cstore.store.way import require_way, way_to
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.store.context import Context
    from cstore.store.session import Writer


class Undone(Value):
    """The result of `undo`: sentences about what was restored, and about what could not be, with the reason."""

    case: str
    done: tuple[str, ...]
    left: tuple[str, ...]


def undo(context: Context, ref: str) -> Undone:
    """Undo a case, except where something newer prevents it. Skips steps that were undone before.

    Undoes the last step first, so that everything returns to the state it was taken from. The case goes when nothing is
    left.

    Raises:
        CaseUnknown: there is no such case.
        QuarantineDamaged: its journal cannot be read; the things lie in its directory.
        RecordsDamaged: damaged record files prevent the restoring of records.
    """
    with quarantine_lock(context):
        ended = [name for name in remove_broken_off(context) if ref and name.startswith(ref)]
        if len(ended) == 1:
            return Undone(ended[0], (), ())  # everything was back when this was broken off
        case = readable(find_case(context, ref))
        progress = _Progress(list(case.entries))
        for entry in reversed(case.entries):
            # An entry may restore a record file, so read the records again for each entry.
            with writing(context, *ItemKind, graph=True, recovering=False) as writer:
                if isinstance(entry, Kept):
                    progress.note(entry, f"{entry.path} was restored", partial(_bring_back, writer, case, entry))
                else:
                    what = f"the record of {entry.item_kind.value} {_id_of(entry)} was restored"
                    progress.note(entry, what, partial(_restore, writer, entry))
        others = _close(case, progress.remaining, sync=context.sync)
        if others:
            progress.left.append(f"{', '.join(others)} in {case.directory}: the journal does not say where it was")
        return Undone(case.id, tuple(progress.done), tuple(progress.left))


class _Progress:
    """The steps undone so far, those that could not be, and those that remain."""

    def __init__(self, entries: list[Kept | Recorded]) -> None:
        self.done: list[str] = []
        self.left: list[str] = []
        self._remaining = {id(entry): entry for entry in entries}

    @property
    def remaining(self) -> tuple[Kept | Recorded, ...]:
        """The steps that could not be undone, in the journal's order."""
        return tuple(self._remaining.values())

    def note(self, entry: Kept | Recorded, what: str, act: Callable[[], str]) -> None:
        """Do one thing; `act` returns why it cannot be done, or ""."""
        try:
            reason = act()
        except CstoreError as error:
            reason = error.message
        if reason:
            self.left.append(f"{entry.path if isinstance(entry, Kept) else what.partition(' is ')[0]}: {reason}")
            return
        del self._remaining[id(entry)]
        self.done.append(what)


def _bring_back(writer: Writer, case: Case, kept: Kept) -> str:
    context, source = writer.context, case.path_of(kept)
    if not _is_of_store(context, kept.path):
        return "it was not in this store"
    if not kept.name:
        return _take_away(kept)
    if not os.path.lexists(source):
        return ""  # it was never moved, or is back already
    if os.path.lexists(kept.path):
        if _was_never_replaced(source, kept):
            remove_tree(source)
            return ""
        if not _is_successor(kept):
            if not _is_exchanged(source, kept):
                return "another file is there now"
            remove_tree(source)
            return ""
        if kept.successor.startswith(FOLDER):
            return _give_way(kept.path) or _come_back(context, source, kept.path)
        if kept.successor.startswith(TREE) and (mounted := _mounted(writer)):
            return f"layer {mounted} is mounted; unmount it first"
        _exchange(context, source, kept.path)
        remove_tree(source)
        return ""
    return _come_back(context, source, kept.path)


def _come_back(context: Context, source: str, path: str) -> str:
    try:
        make_directories(os.path.dirname(path))
    except OSError as error:
        raise SystemFailure("make the directory", os.path.dirname(path), error) from None
    _move(context, source, path)
    return ""


def _give_way(folder: str) -> str:
    """Remove a directory that was made for other things; say why not, if it holds any."""
    try:
        within.rmdir(folder)
    except OSError as error:
        return "it has other files now" if error.errno == errno.ENOTEMPTY else os.strerror(error.errno or 0)
    return ""


def _take_away(kept: Kept) -> str:
    """Remove what was put where nothing had been."""
    if os.path.lexists(kept.path):
        if not _is_successor(kept):
            return "another file is there now"
        if kept.successor.startswith(FOLDER):
            return _give_way(kept.path)
        remove_tree(kept.path)
    return ""


def _is_of_store(context: Context, path: str) -> bool:
    """Whether a path is below a root of the store: a journal is a file, and may say anything."""
    if way_to(context.layout, path) is None:
        return False
    require_way(context.layout, path)  # a layer may have a link where the journal names a directory
    return True


def _was_never_replaced(source: str, kept: Kept) -> bool:
    """Whether the repair was killed between preparing to replace an item and replacing it.

    The file then has two names, or the new tree is in the case.
    """
    if kept.successor.startswith(TREE):
        return tree_mark(source) == kept.successor
    old, present = os.lstat(source), os.lstat(kept.path)
    if os.path.samestat(old, present):
        return True
    if old.st_size != present.st_size:
        return False  # so that a huge file delays nobody
    return bool(found := digest_of(source)) and found == digest_of(kept.path)  # or a copy, where no second name can be


def _mounted(writer: Writer) -> str:
    """Return a mounted layer that may show the exchanged files; "" if there is none."""
    with writer.mounts() as mounts:
        return next((entry.id for entry in mounts if writer.driver.is_mounted(entry.id, entry.path)), "")


def _is_successor(kept: Kept) -> bool:
    """Whether what is at the path is what was put there when the thing was taken out."""
    if kept.successor.startswith(FOLDER):
        return folder_mark(kept.path) == kept.successor
    return bool(kept.successor) and mark_of(kept.path) == kept.successor


def _is_exchanged(source: str, kept: Kept) -> bool:
    """Whether an undoing that was broken off had put the thing back already, and its successor into the case."""
    return bool(kept.successor) and mark_of(source) == kept.successor


def _exchange(context: Context, one: str, other: str) -> None:
    try:
        exchange_within(context.layout.graph_root, one, other)
        if context.sync:
            sync_directory(os.path.dirname(other))
    except OSError as error:
        raise SystemFailure("exchange", other, error) from None


def _move(context: Context, old: str, new: str) -> None:
    try:
        rename_within(context.layout.graph_root, old, new)
        if context.sync:
            sync_directory(os.path.dirname(new))
    except OSError as error:
        raise SystemFailure("move", old, error) from None


def _restore(writer: Writer, entry: Recorded) -> str:
    """Restore a record's earlier state, unless it has changed since."""
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
    """Leave out names that other items have by now: those keep them."""
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


def _close(case: Case, remaining: tuple[Kept | Recorded, ...], *, sync: bool) -> list[str]:
    """Note the remaining steps, or remove an empty case.

    Returns:
        Other files in the case: a truncated journal does not list everything.
    """
    told = {JOURNAL, *(entry.name for entry in remaining if isinstance(entry, Kept))}
    others = sorted(name for name in within.listdir(case.directory) if name not in told)
    if remaining or others:
        case.with_(entries=remaining).write(sync=sync)
    else:
        within.unlink(os.path.join(case.directory, JOURNAL))
        within.rmdir(case.directory)
    return others
