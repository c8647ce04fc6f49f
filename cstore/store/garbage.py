"""Leftovers: what lies in the store and belongs to no record, found, named and removed (semantics 17).

    staging     trees and files of a process that died while making or removing them
    incomplete  layers whose record says that they were never finished, and that nothing refers to
    layer       a driver's tree without a record
    link        a driver's short link to a layer that is not there
    tar-split   a tar-split file without a record
    data        a directory of data items without a record
    item        a data item that the record of its owner does not name
    temporary   a file that was never renamed into place
    partial     what has come of a blob that nobody went on with for a week, or with `partial` of any blob
    quarantine  what a repair took out of the store long enough ago; only if that is asked for, as `rm --keep` does
    foreign     what has a name that no tool gives; it is left alone, or put into quarantine if that is asked for

A record file that cannot be trusted ends the collection before anything is removed: what it described is no garbage.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

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

    from cstore.drivers.inspection import Inspector
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
    """Remove leftovers, or with `dry_run` only find them. Returns what was, or would be, removed.

    With `quarantine_age` those are leftovers too that a repair took out of the store at least so many seconds ago. With
    `foreign`, what has a name that no tool gives goes into quarantine; with `partial`, all that has come of blobs that
    are not whole yet goes, and not only what is a week old.

    Raises:
        RecordsDamaged: a record file cannot be trusted; nothing was removed.
        SystemFailure: the first thing that could not be removed; all others are gone.
    """
    from cstore.store.quarantine import keeping
    from cstore.store.quarantine.finishing import Promised, unfinished_moves

    if not is_made(context.layout):
        return []
    if not dry_run:
        leave_to_its_user(context.layout)
    old = _purged(context, quarantine_age, dry_run=dry_run)
    half = [*_half_kept(context, dry_run=dry_run), *_half_fetched(context, dry_run=dry_run, of_any_age=partial)]
    if dry_run:
        awaited = unfinished_moves(context)
        found = [each for each in _found_twice(context) if foreign or each.kind != _FOREIGN or each.path in awaited]
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
        swept = [each for layer, each in unfinished if layer not in writer.layers]  # by any writer, before it begins
        found = [
            each for each in _unrecorded(context, writer) if foreign or each.kind != _FOREIGN or each.path in promised
        ]
        failures = [failure for leftover in found if (failure := remove(writer, leftover, quarantine, promised))]
    if failures:
        raise failures[0]
    return [*staged, *swept, *found, *half, *old]


def foreign(context: Context) -> list[Leftover]:
    """Find what has a name that no tool gives, where the store keeps layers and records: `collect` leaves it alone.

    Raises:
        RecordsDamaged: a record file cannot be trusted, so nobody can tell.
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
            return []  # what stands in the place of the quarantine is for those who asked for it
        raise
    return [Leftover(case.directory, "quarantine", sizes.get(case.id, 0)) for case in found]


def _half_kept(context: Context, *, dry_run: bool) -> list[Leftover]:
    """Remove from the quarantine what killed repairs were still writing; or find it."""
    from cstore.store.quarantine import broken_off, tidy

    found = [each for path in broken_off(context) for each in _leftover(path, "temporary")]
    gone = set() if dry_run or not found else set(tidy(context))
    return [each for each in found if dry_run or each.path in gone]


def _half_fetched(context: Context, *, dry_run: bool, of_any_age: bool) -> list[Leftover]:
    from cstore.store.partial import WEEK, PartialBlobs

    found = PartialBlobs(context).collect(0.0 if of_any_age else WEEK, dry_run=dry_run)
    return [Leftover(blob.path, "partial", blob.on_disk) for blob in found]


def _found_twice(context: Context) -> list[Leftover]:
    """Look twice, as others may be at work: what is being made is no leftover the second time."""
    first = {leftover.path for leftover in _found_once(context)}
    return [leftover for leftover in _found_once(context) if leftover.path in first] if first else []


def _found_once(context: Context) -> Iterator[Leftover]:
    tables = Trusted(context)
    if not _layers_are_changing(context):  # else somebody may be about to finish an unfinished one
        yield from (each for _, each in _unfinished(context, tables))
    yield from _unrecorded(context, tables)
    tables.hand_on()


def _layers_are_changing(context: Context) -> bool:
    """Whether somebody holds the lock of the layers for writing."""
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
    """Find the layers, by their IDs, that every program's next writer removes before it does anything else."""
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
    """Find what belongs to no record and was made by a tool, or was promised to the quarantine, whatever its name.

    Raises:
        RecordsDamaged: a record file cannot be trusted.
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
            yield from _tree_leftover(context, layer, kind="layer" if _is_ours(layer, inspector) else _FOREIGN)
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


def _is_ours(layer: str, inspector: Inspector) -> bool:
    """Whether a tree without a record was made by a tool: an administrator's backup beside the layers is no garbage."""
    return bool(_ITEM_DIRECTORY.fullmatch(layer)) or inspector.bears_marks(layer)


def _tree_leftover(context: Context, layer: str, kind: str = "layer") -> Iterator[Leftover]:
    path = context.driver.path_of(layer)
    if os.path.lexists(path):
        yield from _leftover(path, kind)
    elif context.driver.exists(layer):
        yield Leftover(path, kind, 0)  # where trees are seen only while they are mounted, nobody mounts to measure


def _layer_files(context: Context, known: set[str], trees: set[str]) -> Iterator[Leftover]:
    """Find tar-split files, data directories and temporary files that no layer owns.

    The driver lists no trees of a separate image store. One that is there keeps its files.
    """

    def owned(layer: str) -> bool:
        elsewhere = layer not in trees and not flaw_of_part(layer) and os.path.lexists(context.driver.path_of(layer))
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
    """Find data directories of images or containers; only what has the form of an ID is taken for one."""
    for name in _names(directory):
        path = os.path.join(directory, name)
        if name.startswith(TEMPORARY_PREFIX):
            yield from _leftover(path, "temporary")
        elif name not in known and not belongs_to_records(name):
            yield from _leftover(path, "data" if _ITEM_DIRECTORY.fullmatch(name) else _FOREIGN)


def _loose_items(context: Context, tables: Tables, item_kind: ItemKind) -> Iterator[Leftover]:
    """Find what lies in the data directories of recorded items and that the record does not name.

    That is what a process left that died between writing an item and recording it. Directories are an engine's own.
    """
    from cstore.records.bigdata import file_name

    layout, table = context.layout, table_of(tables, item_kind)
    homes = {ItemKind.LAYERS: layout.layers, ItemKind.IMAGES: layout.images, ItemKind.CONTAINERS: layout.containers}
    aside = aside_of(layout, item_kind)  # which the next writer of that item concludes
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
                if name not in named and path != aside and not os.path.isdir(path):
                    yield from _leftover(path, "temporary" if name.startswith(TEMPORARY_PREFIX) else "item")


def _names(top: str, relative: str = "") -> list[str]:
    """List a directory of the store; what stands in its place, or above it, is a finding of its own."""
    try:
        return sorted(within.list_directory(top, relative) if relative else os.listdir(top))
    except (FileNotFoundError, NotADirectoryError, ForeignThing):
        return []
    except OSError as error:
        raise SystemFailure("read", os.path.join(top, relative), error) from None


def _leftover(path: str, kind: str) -> Iterator[Leftover]:
    """Measure a leftover; nothing, if somebody removed it just now."""
    from cstore.fs.tree import usage

    try:
        status = os.lstat(path)
        size = usage(path).bytes if stat.S_ISDIR(status.st_mode) else status.st_blocks * 512
    except FileNotFoundError:
        return
    except OSError as error:
        raise SystemFailure("examine", path, error) from None
    except SystemFailure:
        if os.path.lexists(path):
            raise
        return
    yield Leftover(path, kind, size)


def remove(
    writer: Writer,
    leftover: Leftover,
    quarantine: QuarantineWriter | None = None,
    promised: Promised | None = None,
) -> CstoreError | None:
    """Remove a leftover under the locks of all kinds; return what went wrong.

    One that is foreign goes into quarantine, and so does one that was `promised` to it.
    """
    from cstore.store.removal import discard

    try:
        if promised is not None and promised.keep(leftover.path):
            return None
        if leftover.kind == "layer":
            writer.afterwards(writer.driver.remove(os.path.basename(leftover.path)))
        elif leftover.kind == "link":
            within.unlink(leftover.path)  # the driver's home may be a mount of its own, which nothing is renamed out of
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
