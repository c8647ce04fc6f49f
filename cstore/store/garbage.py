"""Leftovers: what lies in the store and belongs to no record, found, named and removed (semantics 17).

    staging     trees and files of a process that died while making or removing them
    incomplete  layers whose record says that they were never finished, and that nothing refers to
    layer       a driver's tree without a record
    tar-split   a tar-split file without a record
    data        a directory of data items without a record
    temporary   a record file that was never renamed into place

A record file that cannot be trusted ends the collection before anything is removed: what it described is no garbage.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import msgspec

from cstore.errors import RecordsDamaged
from cstore.fs.staging import StagingRoot
from cstore.records.containers import CONTAINERS
from cstore.records.table import Location, Table
from cstore.store.places import Shelf
from cstore.store.session import Writer, load_table, writing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cstore.layout import Layout
    from cstore.store.context import Context
    from cstore.store.extra_stores import ExtraStore
    from cstore.store.lookup import Tables

_ITEM_DIRECTORY = re.compile(r"[0-9a-f]{64}")
_TAR_SPLIT = ".tar-split.gz"


class Leftover(msgspec.Struct, frozen=True):
    """Something that belongs to no record: its path, its kind (see above), and the bytes that it takes on disk."""

    path: str
    kind: str
    bytes: int


def collect(context: Context, *, dry_run: bool = False) -> list[Leftover]:
    """Remove leftovers, or with `dry_run` only find them. Returns what was, or would be, removed.

    Raises:
        RecordsDamaged: a record file cannot be trusted; nothing was removed.
    """
    if dry_run:
        return [*_staged(context), *_found_twice(context)]
    staged = list(_staged(context))
    with writing(context, Shelf.LAYERS, Shelf.IMAGES, Shelf.CONTAINERS) as writer:
        found = list(_unrecorded(context, writer))
        for leftover in found:
            _remove(writer, leftover)
    return [*staged, *found]


def _found_twice(context: Context) -> list[Leftover]:
    """Look twice, as others may be at work: what is being made is no leftover the second time."""
    first = {leftover.path for leftover in _unrecorded(context, _Snapshot(context))}
    if not first:
        return []
    return [leftover for leftover in _unrecorded(context, _Snapshot(context)) if leftover.path in first]


class _Snapshot:
    """The tables as of now, trusted or not read at all."""

    def __init__(self, context: Context) -> None:
        self.layers = load_table(context, Shelf.LAYERS, degraded=False)
        self.images = load_table(context, Shelf.IMAGES, degraded=False)
        self.containers = load_table(context, Shelf.CONTAINERS, degraded=False)
        self.additional: list[ExtraStore] = []  # nothing is collected there


def _staged(context: Context) -> Iterator[Leftover]:
    for path in [*context.driver.stale(), *StagingRoot(context.layout.layers_staging).stale()]:
        yield _leftover(path, "staging")


def _unrecorded(context: Context, tables: Tables) -> Iterator[Leftover]:
    layout = context.layout
    tables.layers.verify()
    trees = context.driver.layers()
    known = set(tables.layers.ids()) | _transient_layers(layout)
    _refuse_lost_index(layout, trees)
    for layer in trees:
        if layer not in known:
            yield _leftover(context.driver.path_of(layer), "layer")
    yield from _layer_files(layout, known, set(trees))
    yield from _item_directories(layout.images, set(tables.images.ids()))
    containers = set(tables.containers.ids()) | _transient_containers(layout)
    yield from _item_directories(layout.containers, containers)


def _refuse_lost_index(layout: Layout, trees: list[str]) -> None:
    """Refuse to take a lost layer index for an empty store.

    A tar-split file is made only for a layer with a record, so trees with tar-split files and no index mean a lost
    index.
    """
    if (
        trees
        and not os.path.exists(layout.stable_layers)
        and any(os.path.exists(layout.tar_split(layer)) for layer in trees)
    ):
        raise RecordsDamaged(layout.stable_layers, "it is missing, and there are layers that it described")


def _layer_files(layout: Layout, known: set[str], trees: set[str]) -> Iterator[Leftover]:
    """Find tar-split files, data directories and temporary files that no layer owns."""
    for name in _names(layout.layers):
        path = os.path.join(layout.layers, name)
        if name.startswith(".tmp-"):
            yield _leftover(path, "temporary")
        elif name.endswith(_TAR_SPLIT):
            if name.removesuffix(_TAR_SPLIT) not in known:
                yield _leftover(path, "tar-split")
        elif name not in known and (name in trees or _ITEM_DIRECTORY.fullmatch(name)) and os.path.isdir(path):
            yield _leftover(path, "data")


def _item_directories(directory: str, known: set[str]) -> Iterator[Leftover]:
    """Find data directories of images or containers; only what has the form of an ID is taken for one."""
    for name in _names(directory):
        path = os.path.join(directory, name)
        if name.startswith(".tmp-"):
            yield _leftover(path, "temporary")
        elif _ITEM_DIRECTORY.fullmatch(name) and name not in known:
            yield _leftover(path, "data")


def _transient_layers(layout: Layout) -> set[str]:
    """Layers recorded under the run root: alive, whether or not this store was opened as a transient one."""
    from cstore.records.layers import LAYERS

    path = os.path.join(layout.run_layers, "volatile-layers.json")
    return set(Table.load(LAYERS, {Location.VOLATILE: path}).ids())


def _transient_containers(layout: Layout) -> set[str]:
    path = os.path.join(layout.run_containers, "volatile-containers.json")
    return set(Table.load(CONTAINERS, {Location.VOLATILE: path}).ids())


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []


def _leftover(path: str, kind: str) -> Leftover:
    from cstore.fs.tree import usage

    if os.path.isdir(path):
        return Leftover(path, kind, usage(path).bytes)
    return Leftover(path, kind, os.lstat(path).st_blocks * 512)


def _remove(writer: Writer, leftover: Leftover) -> None:
    from cstore.store.removal import discard

    if leftover.kind == "layer":
        writer.afterwards(writer.driver.remove(os.path.basename(leftover.path)))
    else:
        discard(writer, leftover.path)
