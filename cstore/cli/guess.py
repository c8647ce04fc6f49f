"""What somebody may have meant who named an item that is not there."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore import Store
    from cstore.errors import UnknownItem
    from cstore.store import Item

_SHORT = 12
_SHOWN = 3


def meant(store: Store, error: UnknownItem) -> str:
    """Say what the word is a name of, if not what was asked for, or not in the way that this command reads; or ""."""
    from cstore.errors import UnknownItem

    try:
        item = store.resolve(error.item)
    except UnknownItem:
        return ""
    if item.kind not in error.noun:
        return _of_kind(store, item)
    return f"{(*store.names(item.id), item.id)[0]} is; {error.hint}"


def _of_kind(store: Store, item: Item) -> str:
    if item.kind == "image":
        top = store.images.get(item.id).layer
        return f"it is an image; its top layer is {top}" if top else "it is an image"
    if item.kind == "container":
        return f"it is a container; its layer is {store.containers.get(item.id).layer}"
    return "it is a layer"


def guess(store: Store, error: UnknownItem) -> str:
    """Say which items have an ID that begins like the word, or a name that looks like it; "" if none has."""
    heads = list(_heads(store, error.noun))
    begun = sorted({identifier for identifier, _ in heads if error.item and identifier.startswith(error.item)})
    if len(begun) > 1:
        return f"{len(begun)} IDs begin so: {_listed(begun)}; give more digits"
    from difflib import get_close_matches

    near = get_close_matches(error.item, {name: None for _, names in heads for name in names}, n=2, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _heads(store: Store, noun: str) -> Iterator[tuple[str, Sequence[str]]]:
    if "layer" in noun:
        yield from store.layers.heads()
    if "image" in noun:
        yield from ((image.id, image.names) for image in store.images.list())
    if "container" in noun:
        yield from ((container.id, container.names) for container in store.containers.list())


def _listed(begun: Sequence[str]) -> str:
    from itertools import pairwise

    length = max(_SHORT, *(_common(one, other) + 2 for one, other in pairwise(begun)))
    shown = ", ".join(identifier[:length] for identifier in begun[:_SHOWN])
    return shown if len(begun) <= _SHOWN else f"{shown}, …"


def _common(one: str, other: str) -> int:
    """How many characters two IDs begin alike with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))
