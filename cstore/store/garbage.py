"""Leftovers: what lies in the store and belongs to no record, found, named and removed (semantics 17).

    staging     trees and files of a process that died while making or removing them
    incomplete  layers whose record says that they were never finished, and that nothing refers to
    layer       a driver's tree without a record
    tar-split   a tar-split file without a record
    data        a directory of data items without a record
    temporary   a record file, or a data item, that was never renamed into place
    link        what the driver has beside its trees, and that belongs to none of them
    quarantine  what a repair took out of the store long enough ago; only if that is asked for

A record file that cannot be trusted ends the collection before anything is removed: what it described is no garbage.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from cstore.errors import CstoreError, SystemFailure, UnsafeID
from cstore.fs.atomic import TEMPORARY_PREFIX
from cstore.fs.staging import StagingRoot
from cstore.ids import flaw_of_id, flaw_of_part
from cstore.store.evidence import TAR_SPLIT, transient_containers, transient_layers
from cstore.store.item_journal import aside_of, item_directory
from cstore.store.lookup import referenced, tree_names
from cstore.store.places import Shelf
from cstore.store.session import Trusted, Writer, is_made, writing
from cstore.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.layout import Layout
    from cstore.store.context import Context
    from cstore.store.lookup import Tables

_ITEM_DIRECTORY = re.compile(r"[0-9a-f]{64}")


class Leftover(Value):
    """Something that belongs to no record: its path, its kind (see above), and the bytes that it takes on disk."""

    path: str
    kind: str
    bytes: int


def collect(context: Context, *, dry_run: bool = False, quarantine_age: float | None = None) -> list[Leftover]:
    """Remove leftovers, or with `dry_run` only find them. Returns what was, or would be, removed.

    With `quarantine_age` those are leftovers too that a repair took out of the store at least so many seconds ago.

    Raises:
        RecordsDamaged: a record file cannot be trusted; nothing was removed.
        SystemFailure: the first thing that could not be removed; all others are gone.
    """
    if not is_made(context.layout):
        return []
    old = [] if quarantine_age is None else _purged(context, quarantine_age, dry_run=dry_run)
    if dry_run:
        return [*_staged(context), *_found_twice(context), *old]
    staged = list(_staged(context))
    with writing(context, Shelf.LAYERS, Shelf.IMAGES, Shelf.CONTAINERS, freeing=True) as writer:
        found = list(_unrecorded(context, writer))
        failures = [failure for leftover in found if (failure := _remove(writer, leftover))]
    if failures:
        raise failures[0]
    return [*staged, *found, *old]


def _purged(context: Context, age: float, *, dry_run: bool) -> list[Leftover]:
    from cstore.store.quarantine import cases, purge

    sizes = {case.id: case.bytes for case in cases(context)}
    found = purge(context, age, dry_run=dry_run)
    return [Leftover(case.directory, "quarantine", sizes.get(case.id, 0)) for case in found]


def _found_twice(context: Context) -> list[Leftover]:
    """Look twice, as others may be at work: what is being made is no leftover the second time."""
    first = {leftover.path for leftover in _unrecorded(context, Trusted(context))}
    if not first:
        return []
    return [leftover for leftover in _unrecorded(context, Trusted(context)) if leftover.path in first]


def _staged(context: Context) -> Iterator[Leftover]:
    for path in [*context.driver.stale(), *StagingRoot(context.layout.layers_staging).stale()]:
        yield from _leftover(path, "staging")


def _unrecorded(context: Context, tables: Tables) -> Iterator[Leftover]:
    layout = context.layout
    for table in (tables.layers, tables.images, tables.containers):
        table.verify()
    trees = context.driver.layers()
    layers = set(tables.layers.ids()) | transient_layers(layout)
    kept = layers | tree_names(tables.layers) | referenced(tables)
    for layer in trees:
        if layer not in kept:
            yield from _tree_leftover(context, layer)
    for path in context.driver.debris():
        yield from _leftover(path, "link")
    yield from _layer_files(context, kept, set(trees))
    images = set(tables.images.ids())
    containers = set(tables.containers.ids()) | transient_containers(layout)
    yield from _item_directories(layout.images, images)
    yield from _item_directories(layout.containers, containers)
    yield from _unfinished_items(layout, {Shelf.LAYERS: layers, Shelf.IMAGES: images, Shelf.CONTAINERS: containers})
    if layout.run_layers != layout.layers:
        yield from _temporary_files(layout.run_layers)


def _tree_leftover(context: Context, layer: str) -> Iterator[Leftover]:
    path = context.driver.path_of(layer)
    if os.path.lexists(path):
        yield from _leftover(path, "layer")
    elif context.driver.exists(layer):
        yield Leftover(path, "layer", 0)  # where trees are seen only while they are mounted, nobody mounts to measure


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
        if name.startswith(".tmp-"):
            yield from _leftover(path, "temporary")
        elif name.endswith(TAR_SPLIT):
            if not owned(name.removesuffix(TAR_SPLIT)):
                yield from _leftover(path, "tar-split")
        elif (name in trees or _ITEM_DIRECTORY.fullmatch(name)) and not flaw_of_id(name) and not owned(name):
            yield from _leftover(path, "data")


def _item_directories(directory: str, known: set[str]) -> Iterator[Leftover]:
    """Find data directories of images or containers; only what has the form of an ID is taken for one."""
    for name in _names(directory):
        path = os.path.join(directory, name)
        if name.startswith(".tmp-"):
            yield from _leftover(path, "temporary")
        elif _ITEM_DIRECTORY.fullmatch(name) and name not in known:
            yield from _leftover(path, "data")


def _unfinished_items(layout: Layout, owners: dict[Shelf, set[str]]) -> Iterator[Leftover]:
    """Find data items that were never renamed into place, but for one that the next writer will conclude."""
    for shelf, identifiers in owners.items():
        for owner in sorted(identifiers):
            with suppress(UnsafeID):
                yield from _temporary_files(item_directory(layout, shelf, owner), aside_of(layout, shelf, owner))


def _temporary_files(directory: str, but: str = "") -> Iterator[Leftover]:
    for name in _names(directory) if os.path.isdir(directory) else ():
        path = os.path.join(directory, name)
        if name.startswith(TEMPORARY_PREFIX) and path != but and os.path.isfile(path):
            yield from _leftover(path, "temporary")


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SystemFailure("read", directory, error) from None


def _leftover(path: str, kind: str) -> Iterator[Leftover]:
    """Measure a leftover; nothing, if somebody removed it just now."""
    from cstore.fs.tree import usage

    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise SystemFailure("examine", path, error) from None
    yield Leftover(path, kind, usage(path).bytes if stat.S_ISDIR(status.st_mode) else status.st_blocks * 512)


def _remove(writer: Writer, leftover: Leftover) -> CstoreError | None:
    from cstore.store.removal import discard

    try:
        if leftover.kind == "layer":
            writer.afterwards(writer.driver.remove(os.path.basename(leftover.path)))
        else:
            discard(writer, leftover.path)
    except CstoreError as error:
        return error
    return None
