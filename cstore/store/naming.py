"""Resolve references in cstore's own commands: an image, a container or a layer, and a path in it.

These ways are tried in order; the first that finds anything decides, whatever the kind:

    whole ID, or name       base, docker.io/library/app:1.0, 2c037b…
    digest                  sha256:… of an image, of a manifest, of a layer's archive (DiffID); NAME@DIGEST
    short name of an image  app:1.0 for localhost/app:1.0, docker.io/library/app:1.0 or HOST/PATH/app:1.0; tag latest
    prefix of an ID         2c0, sha256:2c0

If one way finds several items, the error lists them; usually naming the kind helps. The Go tool's commands resolve
references by `lookup` instead.
"""

from __future__ import annotations

from cstore import errors
from cstore.records.images import valid_digests
from cstore.records.layers import incomplete
from cstore.store.lookup import MOUNT_FIRST, Item, known_exactly, layer_by_id, table_of
from cstore.store.places import ItemKind
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cstore.records.model import Image, Layer
    from cstore.store.lookup import Tables

_DIGESTS = ("sha256:", "sha384:", "sha512:")
_HEX = frozenset("0123456789abcdef")
_UNKNOWN: dict[ItemKind | None, type[errors.UnknownItem]] = {
    None: errors.NotAnItem,
    ItemKind.LAYERS: errors.LayerUnknown,
    ItemKind.IMAGES: errors.ImageUnknown,
    ItemKind.CONTAINERS: errors.ContainerUnknown,
}


class ItemPath(Value):
    """An item and a path in it, as written; "" for none."""

    item: Item
    path: str


def resolve(tables: Tables, text: str, kind: str = "", *, by_layer: bool = False) -> Item:
    """Find the only item that a text names.

    Args:
        tables: the records.
        text: the reference.
        kind: "layer", "image" or "container" to accept only this kind.
        by_layer: only the item's layer matters. Items with the same layer count as one; an image is preferred.

    Raises:
        UnknownItem: nothing matches the text (with a kind: LayerUnknown and so on).
        AmbiguousItem: several items match.
        InvalidOption: there is no such kind.
    """
    try:
        item_kind = ItemKind(kind) if kind else None
    except ValueError:
        raise errors.InvalidOption(f"{kind!r} is not a kind of item", hint="write layer, image or container") from None
    found = candidates(tables, text, item_kind)
    if by_layer and len(found) > 1 and len({_layer_id(tables, item) for item in found}) == 1:
        found = sorted(
            found, key=lambda item: (ItemKind.IMAGES, ItemKind.CONTAINERS, ItemKind.LAYERS).index(item.item_kind)
        )[:1]
    if len(found) == 1:
        return found[0]
    if found:
        named = []
        for item in found:
            record = known_exactly(tables, item.id, item.item_kind)
            named.append({"kind": item.kind, "id": item.id, "names": [] if record is None else list(record.names)})
        raise errors.AmbiguousItem(text, named)
    error = _UNKNOWN[item_kind](text)
    error.hint = error.hint if item_kind else "see cstore images, cstore containers or cstore layers"
    raise error


def resolve_path(tables: Tables, text: str, kind: str = "", *, by_layer: bool = False) -> ItemPath:
    """Find the item and the path in `ITEM:PATH`; for ITEM alone, the path is "".

    Names contain colons, too: the longest prefix that names exactly one item is the item.

    Raises:
        UnknownItem, AmbiguousItem, InvalidOption: as `resolve`.
    """
    failure: errors.UnknownItem | None = None
    end = len(text)
    while True:
        path = text[end + 1 :]
        try:
            return ItemPath(resolve(tables, text[:end], kind, by_layer=by_layer), path)
        except errors.AmbiguousItem as error:
            failure = failure if isinstance(failure, errors.AmbiguousItem) else error
        except errors.UnknownItem as error:
            if failure is None or (path.startswith("/") and not isinstance(failure, errors.AmbiguousItem)):
                failure = error  # app:2 names an unknown tag, app:/etc an unknown image
        end = text.rfind(":", 0, end)
        if end <= 0:
            raise failure


def layer_of(tables: Tables, item: Item) -> Layer:
    """Return the layer of an item: an image's top layer, or a container's own.

    Raises:
        ImageWithoutLayers: the image has none.
        LayerMissing: the layer in the records does not exist.
    """
    identifier = _layer_id(tables, item)
    if not identifier:
        raise errors.ImageWithoutLayers(item.id)
    layer = layer_by_id(tables, identifier)
    if layer is None:
        raise errors.LayerMissing(identifier)
    return layer


def _layer_id(tables: Tables, item: Item) -> str:
    if item.item_kind is ItemKind.LAYERS:
        return item.id
    record = known_exactly(tables, item.id, item.item_kind)
    return "" if record is None else str(record.layer)


# ── ways to resolve ──


def candidates(tables: Tables, text: str, item_kind: ItemKind | None = None) -> list[Item]:
    """Return all items, of one kind or any, that the first successful way finds."""
    if not text:
        return []
    item_kinds = MOUNT_FIRST if item_kind is None else (item_kind,)
    for way in (_whole, _containers_layer, _by_digest, _short, _begun):
        found = list(dict.fromkeys(way(tables, text, item_kinds)))
        if found:
            return found
    return []


def _whole(tables: Tables, text: str, item_kinds: Sequence[ItemKind]) -> Iterator[Item]:
    for item_kind in item_kinds:
        if item_kind is ItemKind.CONTAINERS:  # `known_exactly` also accepts its layer's ID, which has lower priority
            record = tables.containers.get(text) or tables.containers.named(text)
        else:
            record = known_exactly(tables, text, item_kind)
        if record is not None:
            yield Item(item_kind, record.id)


def _containers_layer(tables: Tables, text: str, item_kinds: Sequence[ItemKind]) -> Iterator[Item]:
    if ItemKind.CONTAINERS in item_kinds:
        yield from (
            Item(ItemKind.CONTAINERS, one.id) for one in tables.containers.mentioning(text) if one.layer == text
        )


def _by_digest(tables: Tables, text: str, item_kinds: Sequence[ItemKind]) -> Iterator[Item]:
    name, at, digest = text.rpartition("@")
    if not digest.startswith(_DIGESTS):
        return
    from cstore.oci.names import repository_of

    if ItemKind.IMAGES in item_kinds:
        repositories = {repository_of(full) for full in _completed(name)} if at else set()
        for image in _images(tables, digest.partition(":")[2]):
            same = digest == f"sha256:{image.id}" or digest in valid_digests(image)
            if same and (not at or repositories & set(map(repository_of, image.names))):
                yield Item(ItemKind.IMAGES, image.id)
    if ItemKind.LAYERS in item_kinds and not at:
        for layer in _layers(tables, digest):
            if digest in {layer.diff_digest, layer.compressed_digest, layer.toc_digest}:
                yield Item(ItemKind.LAYERS, layer.id)


def _short(tables: Tables, text: str, item_kinds: Sequence[ItemKind]) -> Iterator[Item]:
    """Resolve as Podman does: this host's own image first, then Docker's, then any whose name ends with the text."""
    if ItemKind.IMAGES not in item_kinds:
        return
    full = _completed(text)
    for name in (_tagged(text), *full) if full else ():
        image = known_exactly(tables, name, ItemKind.IMAGES)
        if image is not None:
            yield Item(ItemKind.IMAGES, image.id)
            return
    if len(full) > 1:  # the text has no host
        ending = f"/{_tagged(text)}"
        for identifier, names in _heads(tables, ItemKind.IMAGES):
            if any(name.endswith(ending) for name in names):
                yield Item(ItemKind.IMAGES, identifier)


def _completed(text: str) -> list[str]:
    """Return the full names that a short name may stand for, in Podman's order; one if it has a host."""
    if ":/" in text:
        return []  # an item with a path: neither a port nor a tag begins with a slash
    from cstore.oci.names import DOCKER, LOCAL, parse_name

    try:
        return list(dict.fromkeys(str(parse_name(text, home=home)) for home in (LOCAL, DOCKER)))
    except errors.InvalidName:
        return []


def podman_name(text: str) -> str:
    """Return the full name that Podman gives an image: `app` becomes `localhost/app:latest`.

    Raises:
        InvalidName: the text is not a valid name.
    """
    from cstore.oci.names import LOCAL, parse_name

    return str(parse_name(text, home=LOCAL))


def _tagged(text: str) -> str:
    return text if ":" in text.rpartition("/")[2] or "@" in text else f"{text}:latest"


def _begun(tables: Tables, text: str, item_kinds: Sequence[ItemKind]) -> Iterator[Item]:
    if text.startswith(_DIGESTS):
        digits = text.partition(":")[2]
        if ItemKind.IMAGES in item_kinds and digits and _HEX.issuperset(digits):
            for image in _images(tables, digits):
                if any(digest.startswith(text) for digest in (f"sha256:{image.id}", *valid_digests(image))):
                    yield Item(ItemKind.IMAGES, image.id)
        if ItemKind.LAYERS in item_kinds and digits:
            for layer in _layers(tables, text):
                if layer.diff_digest.startswith(text) or layer.compressed_digest.startswith(text):
                    yield Item(ItemKind.LAYERS, layer.id)
        return
    for item_kind in item_kinds:
        for identifier, _ in _heads(tables, item_kind):
            if identifier.startswith(text) and " " not in identifier:
                yield Item(item_kind, identifier)


# ── records of all stores ──


def _heads(tables: Tables, item_kind: ItemKind) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield IDs and names, without incomplete layers."""
    unfinished = {layer.id for layer in incomplete(tables.layers)} if item_kind is ItemKind.LAYERS else ()
    yield from (head for head in table_of(tables, item_kind).heads() if head[0] not in unfinished)
    if item_kind is not ItemKind.CONTAINERS:
        for extra in tables.additional:
            own = table_of(tables, item_kind)
            heads = extra.layers.heads() if item_kind is ItemKind.LAYERS else extra.images.heads()
            yield from (head for head in heads if head[0] not in own)


def _images(tables: Tables, part: str) -> Iterable[Image]:
    """Yield images whose records may contain `part`."""
    yield from tables.images.mentioning(part)
    for extra in tables.additional:
        yield from (image for image in extra.images.mentioning(part) if image.id not in tables.images)


def _layers(tables: Tables, part: str) -> Iterable[Layer]:
    yield from (layer for layer in tables.layers.mentioning(part) if not layer.incomplete)
    for extra in tables.additional:
        yield from (layer for layer in extra.layers.mentioning(part) if layer.id not in tables.layers)
