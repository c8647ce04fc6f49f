"""What somebody may have meant who named an item that is not there."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore import Store
    from cstore.errors import UnknownItem

_SHORT = 12
_SHOWN = 3


def guess(store: Store, error: UnknownItem) -> str:
    """Say which items have an ID that begins like the word, or a name that looks like it; "" if none has."""
    heads = list(_heads(store, error.noun))
    begun = sorted({identifier for identifier, _ in heads if error.item and identifier.startswith(error.item)})
    if len(begun) > 1:
        return f"{len(begun)} IDs begin so: {_listed(begun)}; give more digits"
    other = _of_another_kind(store, error)
    if other:
        return other
    from difflib import get_close_matches

    near = get_close_matches(error.item, {name: None for _, names in heads for name in names}, n=2, cutoff=0.7)
    return f"did you mean {' or '.join(near)}?" if near else ""


def in_full(store: Store, error: UnknownItem) -> str:
    """Say that an image has the name that the word is short for, as Podman and Docker complete it; "" if none has.

    The commands of the Go tool take names as they are recorded.
    """
    from cstore.errors import ContainerUnknown
    from cstore.store.names import in_full as spelled

    full = () if isinstance(error, ContainerUnknown) else spelled(error.item)
    known = [name for name in full if name != error.item and store.images.find(name) is not None]
    return f"{' and '.join(known)} {'is' if len(known) == 1 else 'are'}; {error.hint}" if known else ""


def _of_another_kind(store: Store, error: UnknownItem) -> str:
    """Say what the word names, if it is something else than was asked for."""
    if "image" not in error.noun and (image := store.images.find(error.item)) is not None:
        return f"it is an image; its top layer is {image.layer}" if image.layer else "it is an image"
    if "container" not in error.noun and (container := store.containers.find(error.item)) is not None:
        return f"it is a container; its layer is {container.layer}"
    return "it is a layer" if "layer" not in error.noun and store.layers.find(error.item) is not None else ""


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
