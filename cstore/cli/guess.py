"""Suggestions after a command does not find an item."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore import Store
    from cstore.errors import UnknownItem

_SHORT = 12
_SHOWN = 3


def meant(store: Store, error: UnknownItem) -> str:
    """Return a hint if the word names an item of another kind, or one that the command refers to differently; or ""."""
    from cstore.errors import UnknownItem

    try:
        item = store.resolve(error.item)
    except UnknownItem:
        return ""
    names = (*store.names(item.id), item.id)
    known = error.item if error.item in names else names[0]
    if item.kind in error.noun:
        return f"{known} is; {error.hint}"
    if item.kind == "layer":
        return f"{known} is a layer"
    layer = store.images.get(item.id).layer if item.kind == "image" else store.containers.get(item.id).layer
    noun, whose = ("an image", "top layer") if item.kind == "image" else ("a container", "layer")
    return f"{known} is {noun}; its {whose} is {layer}" if layer else f"{known} is {noun}"


def guess(store: Store, error: UnknownItem) -> str:
    """Return a hint with the IDs that begin with the word, or with similar names; "" if there are none."""
    heads: list[tuple[str, Sequence[str]]] = []
    if "layer" in error.noun:
        heads += store.layers.heads()
    if "image" in error.noun:
        heads += ((image.id, image.names) for image in store.images.list())
    if "container" in error.noun:
        heads += ((container.id, container.names) for container in store.containers.list())
    begun = sorted({identifier for identifier, _ in heads if error.item and identifier.startswith(error.item)})
    if len(begun) > 1:
        from itertools import pairwise

        alike = (  # the length of the prefix that each ID shares with the next one
            next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), len(one))
            for one, other in pairwise(begun)
        )
        length = max(_SHORT, max(alike) + 2)
        shown = ", ".join(identifier[:length] for identifier in begun[:_SHOWN])
        more = ", …" if len(begun) > _SHOWN else ""
        return f"{len(begun)} IDs begin with it: {shown}{more}; give more digits"
    from difflib import get_close_matches

    near = get_close_matches(error.item, {name: None for _, names in heads for name in names}, n=2, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else ""
