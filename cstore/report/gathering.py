"""Collecting the data of a report: the blocks, images and layers of a store, and the results of a check."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from cstore.insight.accounting import file_system
from cstore.insight.needs import Needs
from cstore.store.reading import Snapshot
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cstore.check import Report as Checked
    from cstore.errors import RecordsDamaged
    from cstore.insight import FileSystem
    from cstore.store import Store

GROUPS = {
    "shared": "layers that several images or containers need",
    "unique": "layers that one image needs, and the data of images",
    "container": "the containers' own layers and data",
    "unused": "layers that no image and no container needs",
    "orphaned": "files that a tool created and no record owns",
    "quarantined": "what repairs and rm --keep moved into quarantine",
    "internal": "records, tar-splits and files of the driver and of cstore",
    "foreign": "files of other tools",
}
"""The groups of bytes, with a description of each."""

_GROUP_OF = {
    "image": "unique",
    "container": "container",
    "orphan": "orphaned",
    "unknown": "orphaned",
    "quarantine": "quarantined",
    "foreign": "foreign",
}


class Block(Value):
    """Bytes in the graph root: a key of GROUPS, a kind, an ID or a path, names, and a size."""

    group: str
    kind: str
    id: str
    names: tuple[str, ...]
    size: int


class Slice(Value):
    """A layer as part of an image.

    Attributes:
        layer: its ID.
        size: in bytes; -1 if unknown.
        step: the command in the image's history that created the layer; "" if unknown.
        overwritten, deleted: bytes of its files that layers above replace or delete.
    """

    layer: str
    size: int
    step: str
    overwritten: int = 0
    deleted: int = 0


class ImageFacts(Value):
    """An image.

    Attributes:
        size, shared, unique: in bytes, -1 if unknown.
        created: in seconds since 1970, 0 if unknown.
        slices: its layers, the lowest first.
        containers: names, or IDs, of containers created from it.
    """

    id: str
    names: tuple[str, ...]
    size: int
    unique: int
    shared: int
    created: float
    containers: tuple[str, ...]
    slices: tuple[Slice, ...]


class LayerFacts(Value):
    """A layer: parent ("" if none in this store), size (-1 if unknown), and how many images and containers need it."""

    id: str
    parent: str
    names: tuple[str, ...]
    size: int
    images: int
    containers: int


class Report(Value):
    """The contents of a report.

    Attributes:
        made: time of the report, in seconds since 1970.
        quick: whether only records were read.
        total: the bytes of all blocks.
        checked: the result of a check; None if none was made.
        notes: sentences about bytes that were not counted.
        unread: sentences about data that could not be read.
        flaws: errors in the records.
    """

    root: str
    driver: str
    made: float
    quick: bool
    file_system: FileSystem | None
    total: int
    blocks: tuple[Block, ...]
    images: tuple[ImageFacts, ...]
    containers: int
    layers: tuple[LayerFacts, ...]
    checked: Checked | None
    notes: tuple[str, ...]
    unread: tuple[str, ...]
    flaws: tuple[RecordsDamaged, ...]


class Bundle(Value):
    """The sizes from one source: blocks, and for each item, by kind and ID, its size, shared and unique bytes."""

    blocks: tuple[Block, ...]
    sizes: Mapping[tuple[str, str], tuple[int, int, int]]
    notes: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def gather(store: Store, *, quick: bool = False, check: bool = False) -> Report:
    """Return the data of a report. Write nothing.

    Args:
        store: the store.
        quick: read only the records, no directories; the report then lacks wasted bytes and files without a record.
        check: also make a quick check.

    Raises:
        CstoreError: the store cannot be read or checked.
    """
    tables = Snapshot(store.context)
    needs = Needs(store.context, tables)
    bundle = _from_records(needs) if quick else _from_disk(store, needs)
    problems: list[str] = []
    waste = {} if quick else _waste(store, needs, problems)
    checked = None
    if check:
        from cstore.check import CheckOptions, check_store

        checked = check_store(store.context, CheckOptions(quick=True))
    root = store.config.graph_root
    return Report(
        root=root,
        driver=store.driver_name,
        made=time.time(),
        quick=quick,
        file_system=file_system(root),
        total=sum(block.size for block in bundle.blocks),
        blocks=tuple(sorted((block for block in bundle.blocks if block.size), key=lambda block: -block.size)),
        images=tuple(_images(store, needs, bundle, waste)),
        containers=len(needs.containers),
        layers=tuple(_layers(needs)),
        checked=checked,
        notes=bundle.notes,
        unread=(*bundle.unread, *needs.problems, *problems),
        flaws=tuple(flaw for _, flaw, _ in tables.flaws),
    )


# ── bytes ──


def _from_disk(store: Store, needs: Needs) -> Bundle:
    from cstore.insight.accounting import usage

    found = usage(store.context)
    blocks = []
    for line in found.lines:
        group = _group_of_layer(line.id, needs) if line.kind == "layer" else _GROUP_OF.get(line.kind, "internal")
        blocks.append(Block(group, line.kind, line.id or line.path, line.names, line.disk))
    sizes = {(line.kind, line.id): (line.size, line.shared, line.unique) for line in found.lines if line.size >= 0}
    unread = tuple(f"cannot read {path}: {reason}" for path, reason in found.unread)
    return Bundle(tuple(blocks), sizes, found.notes, unread)


def _group_of_layer(layer: str, needs: Needs) -> str:
    users = needs.users.get(layer, set())
    kinds = {kind for kind, _ in users} - {"layer"}
    if not kinds:
        return "unused"
    return "shared" if len(users) > 1 else "container" if kinds == {"container"} else "unique"


def _from_records(needs: Needs) -> Bundle:
    """Return the sizes in the records. A layer without one counts as 0 bytes, and the size of its images is unknown."""
    blocks = [
        Block(_group_of_layer(layer.id, needs), "layer", layer.id, layer.names, layer.known_size or 0)
        for layer in needs.outlines.values()
    ]
    sizes: dict[tuple[str, str], tuple[int, int, int]] = {}
    for image in needs.images.values():
        data = _data(image.data_sizes)
        blocks.append(Block("unique", "image", image.id, image.names, data))
        chain = needs.of("image", image.id)
        known = {layer: needs.sizes[layer] for layer in chain}
        size = sum(max(each or 0, 0) for each in known.values()) + data
        own = sum(max(known[layer] or 0, 0) for layer in chain if len(needs.users[layer]) <= 1) + data
        whole = all(each is not None and each >= 0 for each in known.values())
        sizes["image", image.id] = (size, size - own, own) if whole else (-1, -1, -1)
    containers = needs.containers.values()
    blocks += (Block("container", "container", each.id, each.names, _data(each.data_sizes)) for each in containers)
    return Bundle(tuple(blocks), sizes)


def _data(sizes: Mapping[str, int]) -> int:
    return sum(max(size, 0) for size in sizes.values())


# ── items ──


def _images(
    store: Store, needs: Needs, bundle: Bundle, waste: Mapping[str, Mapping[str, tuple[int, int]]]
) -> Iterator[ImageFacts]:
    from cstore.contents.tracing import History
    from cstore.store import Item
    from cstore.store.places import ItemKind

    made: dict[str, list[str]] = {}
    for container in needs.containers.values():
        made.setdefault(container.image, []).append(container.names[0] if container.names else container.id)
    measured = {block.id: block.size for block in bundle.blocks if block.kind == "layer"}
    for image in needs.images.values():
        history = History(store, Item(ItemKind.IMAGES, image.id))
        hidden = waste.get(image.id, {})
        slices = []
        for layer in reversed(needs.chain(image.layer)):
            step = history.of(layer)
            size = needs.sizes[layer] if layer in needs.sizes else needs.size_of(layer)
            if size is None:
                size = measured.get(layer) or -1
            told = str(step.get("created_by") or step.get("comment") or "")
            slices.append(Slice(layer, size, told, *hidden.get(layer, (0, 0))))
        size, shared, unique = bundle.sizes.get(("image", image.id), (-1, -1, -1))
        users = tuple(made.get(image.id, ()))
        yield ImageFacts(image.id, image.names, size, unique, shared, _moment(image.created), users, tuple(slices))


def _layers(needs: Needs) -> Iterator[LayerFacts]:
    images: dict[str, int] = {}
    containers: dict[str, int] = {}
    wanted = [(images, needs.of("image", item)) for item in needs.images]
    wanted += [(containers, needs.of("container", item)) for item in needs.containers]
    for counts, chain in wanted:
        for each in chain:
            counts[each] = counts.get(each, 0) + 1
    for layer in needs.outlines.values():
        parent = layer.parent if layer.parent in needs.parents else ""
        size = layer.known_size
        told = -1 if size is None else size
        yield LayerFacts(layer.id, parent, layer.names, told, images.get(layer.id, 0), containers.get(layer.id, 0))


def _moment(created: str) -> float:
    try:
        born = datetime.fromisoformat(created[:19]).replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return 0.0 if born.year == 1 else born.timestamp()


def _waste(store: Store, needs: Needs, problems: list[str]) -> dict[str, dict[str, tuple[int, int]]]:
    """Return the overwritten and the deleted bytes, by image and layer; append errors to `problems`."""
    from cstore.contents.chain import add_new
    from cstore.contents.files import open_item
    from cstore.contents.waste import DELETED, waste_of
    from cstore.errors import CstoreError
    from cstore.store import Item
    from cstore.store.places import ItemKind

    found: dict[str, dict[str, tuple[int, int]]] = {}
    for image in needs.images.values():
        if not image.layer or needs.parents.get(image.layer) == "":
            continue  # a single layer hides no files
        item = Item(ItemKind.IMAGES, image.id)
        layers = found.setdefault(image.id, {})
        try:
            with open_item(store, item) as contents:
                for one in waste_of(contents):
                    overwritten, deleted = layers.get(one.layer, (0, 0))
                    gone = one.reason == DELETED
                    layers[one.layer] = (overwritten + one.size * (not gone), deleted + one.size * gone)
                add_new(problems, contents.problems)
        except CstoreError as error:
            add_new(problems, [f"image {image.id}: {error.message}"])
    return found
