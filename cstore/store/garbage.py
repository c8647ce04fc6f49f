"""Leftovers: find and remove everything in the store that belongs to no record (semantics 17).

    staging     trees and files of a process that died while it created or removed them
    incomplete  layers whose record has the flag `incomplete`, and that nothing refers to
    layer       a driver's tree without a record
    link        a driver's short link to a missing layer
    tar-split   a tar-split file without a record
    data        a directory of data items without a record
    item        a data item that its owner's record does not list
    temporary   a file that was never renamed into place
    partial     parts of a blob whose download stopped over a week ago; with `partial`, of any blob
    quarantine  files that a repair or `rm --keep` quarantined long enough ago; only on request
    foreign     files with names that no tool creates; they stay or, on request, are moved into quarantine

A record file that cannot be trusted ends the collection before anything is removed, because its items are no leftovers.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from cstore import presence
from cstore.drivers.inspection import open_inspector
from cstore.errors import CstoreError, ForeignThing, InvalidDataName, SystemFailure, UnsafeID
from cstore.fs import within
from cstore.fs.atomic import TEMPORARY_PREFIX
from cstore.fs.lockfile import LockFile
from cstore.fs.staging import StagingRoot
from cstore.ids import belongs_to_records, flaw_of_part
from cstore.store.item_journal import aside_of, item_directory
from cstore.store.lookup import referenced, table_of, tree_names
from cstore.store.lost_records import TAR_SPLIT, transient_containers, transient_layers
from cstore.store.places import ItemKind, is_made
from cstore.store.session import Trusted, Writer, leave_to_its_user, writing
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from cstore.store.context import Context
    from cstore.store.lookup import Tables
    from cstore.store.quarantine import QuarantineWriter
    from cstore.store.quarantine.finishing import Promised

_ITEM_DIRECTORY = re.compile(r"[0-9a-f]{64}")
_FOREIGN = "foreign"


class Leftover(Value):
    """Something that belongs to no record: its path, its kind (see above), and the bytes that it takes on disk."""

    path: str
    kind: str
    bytes: int


def collect(
    context: Context,
    *,
    dry_run: bool = False,
    quarantine_age: float | None = None,
    foreign: bool = False,
    partial: bool = False,
) -> list[Leftover]:
    """Remove leftovers, or with `dry_run` only find them. Return the removed ones, or those that would be removed.

    With `quarantine_age`, include files that were quarantined at least that many seconds ago. With `foreign`, move
    files with names that no tool creates into quarantine. With `partial`, include parts of all incomplete blobs, not
    only those older than a week.

    Raises:
        RecordsDamaged: a record file cannot be trusted; nothing was removed.
        SystemFailure: a leftover could not be removed; all others were.
    """
    from cstore.store.quarantine import keeping
    from cstore.store.quarantine.finishing import Promised, unfinished_moves

    if not is_made(context.layout):
        return []
    if not dry_run:
        leave_to_its_user(context.layout)
    old = _purged(context, quarantine_age, dry_run=dry_run)
    half = _half_written(context, dry_run=dry_run, of_any_age=partial)
    if dry_run:
        awaited = unfinished_moves(context)
        # Others may be at work, so look twice: by the second look, a new item has its record.
        first = {leftover.path for leftover in _found_once(context)}
        found = [each for each in _found_once(context) if each.path in first] if first else []
        found = [each for each in found if foreign or each.kind != _FOREIGN or each.path in awaited]
        return [*_staged(context), *found, *half, *old]
    tables = Trusted(context)
    staged, unfinished = list(_staged(context)), list(_unfinished(context, tables))
    tables.layers.verify()
    tables.hand_on()
    with ExitStack() as stack:
        promised = Promised(context, stack)
        quarantine = stack.enter_context(keeping(context, "cstore gc --foreign")) if foreign else None
        writer = stack.enter_context(
            writing(context, ItemKind.LAYERS, ItemKind.IMAGES, ItemKind.CONTAINERS, freeing=True)
        )
        promised.forget_records(writer)
        swept = [each for layer, each in unfinished if layer not in writer.layers]  # any writer removes these first
        found = [
            each for each in _unrecorded(context, writer) if foreign or each.kind != _FOREIGN or each.path in promised
        ]
        failures = [failure for leftover in found if (failure := remove(writer, leftover, quarantine, promised))]
        failures += _resisting(writer)
    if failures:
        raise failures[0]
    return [*staged, *swept, *found, *half, *old]


def _resisting(writer: Writer) -> list[CstoreError]:
    """Return why unfinished operations remain, which every writer tries to complete and skips on failure."""
    from cstore.store.intents import conclude
    from cstore.store.recovery import unfinished
    from cstore.store.removal import take_out

    failures = conclude(writer)
    for layer in unfinished(writer):
        try:
            take_out(writer, layer)
            writer.save(ItemKind.LAYERS)
        except CstoreError as error:
            failures.append(error)
    return failures


def foreign(context: Context) -> list[Leftover]:
    """Find files among layers and records with names that no tool creates, which `collect` leaves alone.

    Raises:
        RecordsDamaged: a record file cannot be trusted, so its items cannot be told from leftovers.
        SystemFailure: a directory cannot be read.
    """
    if not is_made(context.layout):
        return []
    return [each for each in _unrecorded(context, Trusted(context)) if each.kind == _FOREIGN]


def _purged(context: Context, age: float | None, *, dry_run: bool) -> list[Leftover]:
    from cstore.store.quarantine import purge

    try:
        sizes = {case.id: case.bytes for case in purge(context, age, dry_run=True)}
        found = purge(context, age, dry_run=dry_run) if sizes or age is not None else []
    except CstoreError:
        if age is None:
            return []  # a damaged quarantine matters only if it was requested
        raise
    return [Leftover(case.directory, "quarantine", sizes.get(case.id, 0)) for case in found]


def _half_written(context: Context, *, dry_run: bool, of_any_age: bool) -> list[Leftover]:
    """Remove files that killed repairs were writing into the quarantine, and partial blobs; or find them."""
    from cstore.store.partial import WEEK, PartialBlobs
    from cstore.store.quarantine import broken_off, tidy

    kept = [each for path in broken_off(context) for each in _leftover(path, "temporary")]
    gone = set() if dry_run or not kept else set(tidy(context))
    fetched = PartialBlobs(context).collect(0.0 if of_any_age else WEEK, dry_run=dry_run)
    return [
        *(each for each in kept if dry_run or each.path in gone),
        *(Leftover(blob.path, "partial", blob.on_disk) for blob in fetched),
    ]


def _found_once(context: Context) -> Iterator[Leftover]:
    tables = Trusted(context)
    if not _layers_are_changing(context):  # otherwise an incomplete layer may be in creation
        yield from (each for _, each in _unfinished(context, tables))
    yield from _unrecorded(context, tables)
    tables.hand_on()


def _layers_are_changing(context: Context) -> bool:
    """Return whether a process holds the layer lock for writing."""
    from cstore.kernel.locks import conflicting_process

    try:
        fd = os.open(context.layout.layers_lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return conflicting_process(fd, exclusive=False) is not None
    except OSError:
        return True
    finally:
        os.close(fd)


def _unfinished(context: Context, tables: Tables) -> Iterator[tuple[str, Leftover]]:
    """Find the incomplete layers, by ID, which the next writer of any program removes first."""
    from cstore.store.recovery import unfinished

    for layer in unfinished(tables):
        with suppress(UnsafeID):
            found = list(_tree_leftover(context, layer)) or [Leftover(context.driver.path_of(layer), "layer", 0)]
            sizes = [found[0].bytes]
            for path in (context.layout.tar_split(layer), context.layout.layer_data(layer)):
                sizes += (each.bytes for each in _leftover(path, ""))
            yield layer, Leftover(found[0].path, "incomplete", sum(sizes))


def _staged(context: Context) -> Iterator[Leftover]:
    for path in [*context.driver.stale(), *StagingRoot(context.layout.layers_staging).stale()]:
        yield from _leftover(path, "staging")


def leftovers(context: Context, tables: Tables, promised: Container[str] = ()) -> Iterator[Leftover]:
    """Find leftovers that a tool created, and paths of any name that were promised to the quarantine.

    Raises:
        RecordsDamaged: a record file is damaged.
        SystemFailure: a directory cannot be read.
    """
    yield from (each for each in _unrecorded(context, tables) if each.kind != _FOREIGN or each.path in promised)


def _unrecorded(context: Context, tables: Tables) -> Iterator[Leftover]:
    layout = context.layout
    for table in (tables.layers, tables.images, tables.containers):
        table.verify()
    trees = context.driver.layers()
    layers = set(tables.layers.ids()) | transient_layers(layout)
    kept = layers | tree_names(tables.layers) | referenced(tables)
    inspector = open_inspector(context.driver, context.driver_place)
    for layer in trees:
        if layer not in kept:
            # A tool created it, unlike an administrator's backup beside the layers.
            ours = _ITEM_DIRECTORY.fullmatch(layer) or inspector.bears_marks(layer)
            yield from _tree_leftover(context, layer, kind="layer" if ours else _FOREIGN)
    for flaw in inspector.strays():
        if kept.isdisjoint(flaw.found.split("/")):
            yield from _leftover(flaw.path, "link")
    half = [os.path.join(top, name) for top in (layout.run_layers, layout.run_containers) for name in _names(top)]
    half = [path for path in half if os.path.basename(path).startswith(TEMPORARY_PREFIX)]
    for path in [*context.driver.debris(), *half]:
        yield from _leftover(path, "temporary")
    yield from _layer_files(context, kept, set(trees))
    images = set(tables.images.ids())
    containers = set(tables.containers.ids()) | transient_containers(layout)
    yield from _item_directories(layout.images, images)
    yield from _item_directories(layout.containers, containers)
    for item_kind in ItemKind:
        yield from _loose_items(context, tables, item_kind)


def _tree_leftover(context: Context, layer: str, kind: str = "layer") -> Iterator[Leftover]:
    path = context.driver.path_of(layer)
    if presence.is_there(path):
        yield from _leftover(path, kind)
    elif context.driver.exists(layer):
        yield Leftover(path, kind, 0)  # a tree that must be mounted to be seen is not measured


def _layer_files(context: Context, known: set[str], trees: set[str]) -> Iterator[Leftover]:
    """Find tar-split files, data directories and temporary files that no layer owns.

    The driver does not list the trees of a separate image store; such a tree keeps its files, too.
    """

    def owned(layer: str) -> bool:
        elsewhere = layer not in trees and not flaw_of_part(layer) and presence.is_there(context.driver.path_of(layer))
        return layer in known or elsewhere

    directory = context.layout.layers
    for name in _names(directory):
        path = os.path.join(directory, name)
        if name.startswith(TEMPORARY_PREFIX):
            yield from _leftover(path, "temporary")
        elif name.endswith(TAR_SPLIT):
            if not owned(name.removesuffix(TAR_SPLIT)):
                yield from _leftover(path, "tar-split")
        elif not belongs_to_records(name) and not owned(name):
            yield from _leftover(path, "data" if _ITEM_DIRECTORY.fullmatch(name) else _FOREIGN)


def _item_directories(directory: str, known: set[str]) -> Iterator[Leftover]:
    """Find data directories of images or containers without a record; only names in the form of an ID count."""
    for name in _names(directory):
        path = os.path.join(directory, name)
        if name.startswith(TEMPORARY_PREFIX):
            yield from _leftover(path, "temporary")
        elif name not in known and not belongs_to_records(name):
            yield from _leftover(path, "data" if _ITEM_DIRECTORY.fullmatch(name) else _FOREIGN)


def _loose_items(context: Context, tables: Tables, item_kind: ItemKind) -> Iterator[Leftover]:
    """Find files in the data directories of recorded items that the record does not list.

    A process that dies between writing an item and recording it leaves such files. Subdirectories belong to an engine.
    """
    from cstore.records.bigdata import file_name

    layout, table = context.layout, table_of(tables, item_kind)
    homes = {ItemKind.LAYERS: layout.layers, ItemKind.IMAGES: layout.images, ItemKind.CONTAINERS: layout.containers}
    aside = aside_of(layout, item_kind)  # the next writer of the item completes this
    there = set(_names(homes[item_kind]))
    for record in filter(None, (table.get(identifier) for identifier in table.ids() if identifier in there)):
        named: set[str] = set()
        for key in record.data_names:
            with suppress(InvalidDataName):
                named.add(file_name(key, item_kind.value))
        with suppress(UnsafeID):
            directory = item_directory(layout, item_kind, record.id)
            for name in _names(*os.path.split(directory)):
                path = os.path.join(directory, name)
                if name not in named and path != aside and not presence.is_directory(path):
                    yield from _leftover(path, "temporary" if name.startswith(TEMPORARY_PREFIX) else "item")


def _names(top: str, relative: str = "") -> list[str]:
    """List a directory of the store; a check reports anything else at its path or above it."""
    try:
        return sorted(within.list_directory(top, relative) if relative else os.listdir(top))
    except (FileNotFoundError, NotADirectoryError, ForeignThing):
        return []
    except OSError as error:
        raise SystemFailure("read", os.path.join(top, relative), error) from None


def _leftover(path: str, kind: str) -> Iterator[Leftover]:
    """Yield a leftover with its size; nothing if it was removed in the meantime."""
    from cstore.fs.tree import usage

    try:
        status = os.lstat(path)
        size = usage(path).bytes if stat.S_ISDIR(status.st_mode) else status.st_blocks * 512
    except FileNotFoundError:
        return
    except OSError as error:
        raise SystemFailure("examine", path, error) from None
    except SystemFailure:
        if presence.is_there(path):
            raise
        return
    yield Leftover(path, kind, size)


def remove(
    writer: Writer,
    leftover: Leftover,
    quarantine: QuarantineWriter | None = None,
    promised: Promised | None = None,
) -> CstoreError | None:
    """Remove a leftover under the locks of all kinds; return the error, if any.

    A foreign one, and one that was `promised`, is moved into quarantine.
    """
    from cstore.store.removal import discard

    try:
        if promised is not None and promised.keep(leftover.path):
            return None
        if leftover.kind == "layer":
            writer.afterwards(writer.driver.remove(os.path.basename(leftover.path)))
        elif leftover.kind == "link":
            within.unlink(leftover.path)  # the home may be a separate mount, out of which nothing can be renamed
        elif leftover.kind == _FOREIGN and quarantine is not None:
            quarantine.keep(leftover.path, "no tool creates this name")
        elif leftover.kind != _FOREIGN:
            with ExitStack() as stack:
                if os.path.dirname(leftover.path) == writer.layout.run_layers:  # a mount may be writing its count there
                    stack.enter_context(LockFile(writer.layout.mountpoints_lock).exclusive(writer.context.lock_policy))
                discard(writer, leftover.path)
    except CstoreError as error:
        return error
    except OSError as error:
        return SystemFailure("remove", leftover.path, error)
    return None
