"""Disk usage of a store: every byte, counted on the disk, or quick totals from the records."""

from __future__ import annotations

import os

from cstore import presence
from cstore.arguments import checked
from cstore.insight.needs import Needs
from cstore.store.context import context_of
from cstore.store.places import is_made
from cstore.store.reading import Snapshot
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.errors import RecordsDamaged
    from cstore.insight.parts import Part
    from cstore.insight.tally import Tally
    from cstore.store.context import Context
    from cstore.store.store import Store

    Key = tuple[str, str, str]

ITEMS = ("image", "container", "layer")
_SPLIT = "tar-splits and data items of layers"
_OWN_MOUNTS = frozenset({"merged", "shm"})
"""The mount directories of running containers."""


class FileSystem(Value):
    """The file system of the graph root. Sizes are bytes; `inodes` is the number of free inodes, or -1 if unlimited."""

    path: str
    size: int
    used: int
    available: int
    inodes: int


class Line(Value):
    """Bytes on the disk. No two lines count the same byte.

    Attributes:
        kind: image, container, layer, or a kind defined in parts.py.
        id, names: of an item.
        path: of anything that is not an item.
        disk: the bytes counted in this line: the tree of a layer, or the data items of an image or container.
        size: size of the item with all of its layers; -1 if the line is not an item.
        shared: the bytes of `size` that other items need, too.
        unique: the bytes of `size` that nothing else needs.
        note: a remark about the line.
    """

    kind: str
    id: str
    names: tuple[str, ...]
    path: str
    disk: int
    size: int = -1
    shared: int = -1
    unique: int = -1
    note: str = ""


class Usage(Value):
    """Disk usage of a store.

    Attributes:
        roots: the directories that were read.
        lines: the usage of each item and part; `disk` adds up to `total`.
        total: all bytes; blocks that files share count once.
        du: all bytes as du(1) counts them.
        notes: remarks on bytes that were not counted or could not be determined.
        unread: unreadable paths, each with the reason.
        flaws: damage to the records.
        problems: errors in the chains of layers, as sentences.
    """

    roots: tuple[str, ...]
    file_system: FileSystem | None
    lines: tuple[Line, ...]
    total: int
    du: int
    notes: tuple[str, ...]
    unread: tuple[tuple[str, str], ...]
    flaws: tuple[RecordsDamaged, ...]
    problems: tuple[str, ...] = ()


class Sum(Value):
    """Totals of all items of a kind, from the records.

    Attributes:
        count, used: the number of items, and of those that something needs.
        size: the bytes of all items.
        unused: the bytes that nothing needs.
        unknown: the number of items without a recorded size.
    """

    kind: str
    count: int
    used: int
    size: int
    unused: int
    unknown: int = 0


class Summary(Value):
    """Totals from the records of a store, and its file system. See `Usage` for flaws and problems."""

    root: str
    file_system: FileSystem | None
    sums: tuple[Sum, ...]
    flaws: tuple[RecordsDamaged, ...]
    problems: tuple[str, ...] = ()


def file_system(path: str) -> FileSystem | None:
    """Return the usage of the file system of a directory, or None if the directory does not exist."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None
    free = found.f_ffree if found.f_files else -1
    used = (found.f_blocks - found.f_bfree) * found.f_frsize
    return FileSystem(path, found.f_blocks * found.f_frsize, used, found.f_bavail * found.f_frsize, free)


# ── from the records ──


@checked
def summary(store: Store | Context) -> Summary:
    """Add up the recorded sizes. Reads no tree, so the time is negligible.

    The size of an image is that of its layers and data items; parts that several images share count once.

    Raises:
        SystemFailure: the records cannot be read.
    """
    context = context_of(store)
    tables = Snapshot(context)
    needs = Needs(context, tables)
    flaws = tuple(flaw for _, flaw, _ in tables.flaws)
    sums = [_images(needs)]

    own = [needs.sizes[each.layer] for each in needs.containers.values() if each.layer in needs.sizes]
    data = sum(max(size, 0) for each in needs.containers.values() for size in each.data_sizes.values())
    size, count = data + sum(each or 0 for each in own), len(needs.containers)
    sums.append(Sum("container", count, count, size, 0, sum(each is None for each in own)))

    sizes = needs.sizes
    nobodys = [layer for layer, users in needs.users.items() if all(user[0] == "layer" for user in users)]
    unused, unknown = sum(sizes[layer] or 0 for layer in nobodys), sum(each is None for each in sizes.values())
    size, count = sum(each or 0 for each in sizes.values()), len(sizes)
    sums.append(Sum("layer", count, count - len(nobodys), size, unused, unknown))

    root = context.layout.graph_root
    return Summary(root, file_system(root), tuple(sums), flaws, needs.problems)


def _images(needs: Needs) -> Sum:
    layers, wanted = dict[str, None](), dict[str, None]()
    data, spare = 0, 0
    for image in needs.images.values():
        chain = dict.fromkeys(needs.of("image", image.id))
        layers |= chain
        own = sum(max(size, 0) for size in image.data_sizes.values())
        data += own
        if image.id in needs.used_images:
            wanted |= chain
        else:
            spare += own
    kept = {layer for layer in layers if layer in wanted or any(user[0] != "image" for user in needs.users[layer])}
    sizes = {layer: needs.sizes[layer] for layer in layers}
    size = sum(each or 0 for each in sizes.values()) + data
    spare += sum(each or 0 for layer, each in sizes.items() if layer not in kept)
    used = sum(image in needs.used_images for image in needs.images)
    return Sum("image", len(needs.images), used, size, spare, sum(each is None for each in sizes.values()))


# ── from the disk ──


@checked
def usage(store: Store | Context) -> Usage:
    """Count all bytes of the graph root and of the separate image store; every file belongs to a line.

    Does not descend into other file systems that are mounted inside. Writes and locks nothing.

    Raises:
        SystemFailure: the records cannot be read.
    """
    context = context_of(store)
    from cstore.insight.parts import Parts
    from cstore.insight.tally import Tally

    tables = Snapshot(context)
    needs = Needs(context, tables)
    parts = Parts(context, tables)
    tally = Tally(context.layout)
    found: dict[Key, Part] = {}
    roots = tuple(root for root in parts.roots() if presence.is_there(root)) if is_made(context.layout) else ()
    for root in roots:
        count(tally, parts, root, found)
    lines = _lines(found, tally, needs)
    notes = [
        f"{path} is a mount point; the mounted file system is not counted"
        for path in tally.elsewhere
        if os.path.basename(path) not in _OWN_MOUNTS
    ]
    notes += [f"{path} is a link; its target is not counted" for path in tally.links]
    if not tally.extents_known:
        notes.append("the file system does not report shared blocks, so they are counted for each file")
    return Usage(
        roots=roots,
        file_system=file_system(context.layout.graph_root),
        lines=tuple(lines),
        total=sum(line.disk for line in lines),
        du=sum(tally.du(key) for key in found),
        notes=tuple(notes),
        unread=tuple((path, error.strerror or str(error)) for path, error in tally.unread),
        flaws=tuple(flaw for _, flaw, _ in tables.flaws),
        problems=needs.problems,
    )


def count(tally: Tally, parts: Parts, root: str, found: dict[Key, Part]) -> None:
    """Count everything in a root by owner; add each owner and its part to `found`."""
    pending = [root]
    while pending:
        path = pending.pop()
        part = parts.at(path)
        key = owner_of(part)
        found.setdefault(key, part)
        if tally.add(key, path, inside=not part.leads_on):
            try:
                pending += (os.path.join(path, name) for name in sorted(os.listdir(path), reverse=True))
            except OSError as error:
                tally.unread.append((path, error))


def owner_of(part: Part) -> Key:
    """Return the key of the line that counts the bytes of a part."""
    if part.owner:
        return part.kind, part.owner, part.id
    return part.kind, "", part.path if part.kind in {"orphan", "unknown", "foreign"} else ""


def _lines(found: Mapping[Key, Part], tally: Tally, needs: Needs) -> list[Line]:
    """Return the lines of all parts, and of the items without files of their own, in display order."""
    once = tally.once(found)
    split = {key: size for key, size in once.items() if key[:2] == ("data", "layer")}
    lines = [_line(key, part, once[key], tally, needs) for key, part in found.items() if key not in split]
    there = {(line.kind, line.id) for line in lines}
    tables: tuple[tuple[str, Mapping[str, Named]], ...] = (
        ("image", needs.images), ("container", needs.containers), ("layer", needs.outlines),
    )  # fmt: skip
    for kind, table in tables:
        lost = (each for each in table.values() if (kind, each.id) not in there)
        lines += (Line(kind, each.id, each.names, "", 0, *_sizes(kind, each.id, tally, needs)) for each in lost)
    lines += [Line("data", "", (), "", sum(split.values()), note=_SPLIT)] if split else []
    order = {kind: place for place, kind in enumerate((*ITEMS, "data", "records", "driver"))}
    lines.sort(key=lambda line: (order.get(line.kind, len(order)), line.kind, -max(line.size, line.disk), line.id))
    return lines


def _line(key: Key, part: Part, disk: int, tally: Tally, needs: Needs) -> Line:
    kind, owner, identifier = key
    items: Mapping[str, Named] = needs.images if owner == "image" else needs.containers
    if kind == "data" and identifier in items:
        return Line(owner, identifier, items[identifier].names, "", disk, *_sizes(owner, identifier, tally, needs))
    if kind == "layer" and identifier in needs.outlines:
        record = needs.outlines[identifier]
        note = "incomplete: its creator died or is still running" if record.incomplete else ""
        return Line("layer", identifier, record.names, "", disk, *_sizes("layer", identifier, tally, needs), note)
    path = part.path if key[2] and kind in {"orphan", "unknown", "foreign"} else ""
    return Line(kind, identifier if owner else "", (), path, disk, note=part.how if path else "")


if TYPE_CHECKING:
    from cstore.insight.parts import Parts
    from cstore.records.model import Container, Image
    from cstore.records.outlines import LayerOutline

    Named = Image | Container | LayerOutline


def files_of(kind: str, identifier: str) -> list[Key]:
    """Return the owners of an item's own files; a layer owns its tree and its data."""
    if kind == "layer":
        return [("layer", "layer", identifier), ("data", "layer", identifier)]
    return [("data", kind, identifier)]


def _sizes(kind: str, identifier: str, tally: Tally, needs: Needs) -> tuple[int, int, int]:
    """Return the total, shared and unique bytes of an item."""
    layers = needs.of(kind, identifier) if kind != "layer" else [identifier]
    if kind == "container":
        own = [layer for layer in layers if layer == needs.containers[identifier].layer]
    else:
        own = [layer for layer in layers if len(needs.users[layer]) <= 1]
    data = files_of(kind, identifier) if kind != "layer" else []
    size = tally.all_of([*data, *(key for layer in layers for key in files_of("layer", layer))])
    unique = tally.only_of([*data, *(key for layer in own for key in files_of("layer", layer))])
    return size, size - unique, unique
