"""The data to show: one model for plain lines, JSON and tables."""

from __future__ import annotations

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cstore import Container, Image, Layer, Store


class Holder(Value):
    """An image or a container that a layer belongs to."""

    id: str
    names: tuple[str, ...]


class Holders(Value):
    """The images and the containers of a store, by the layers that they belong to."""

    images: Mapping[str, Sequence[Holder]]
    containers: Mapping[str, Sequence[Holder]]


def holders(store: Store) -> Holders:
    """Gather whose layers are."""
    images: dict[str, list[Holder]] = {}
    containers: dict[str, list[Holder]] = {}
    for image in store.images.list():
        for layer in dict.fromkeys((image.layer, *image.mapped_layers)):
            images.setdefault(layer, []).append(Holder(image.id, image.names))
    for container in store.containers.list():
        containers.setdefault(container.layer, []).append(Holder(container.id, container.names))
    return Holders(images, containers)


class LayerRow(Value):
    """A layer, where it is mounted ("" if nowhere), and whose it is."""

    layer: Layer
    mount: str
    images: Sequence[Holder]
    containers: Sequence[Holder]


def layer_rows(store: Store) -> list[LayerRow]:
    """Gather the data to show for layers."""
    mounts, held = store.layers.mount_points(), holders(store)
    return [
        LayerRow(layer, mounts.get(layer.id, ""), held.images.get(layer.id, ()), held.containers.get(layer.id, ()))
        for layer in store.layers.list()
    ]


class ImageFacts(Value):
    """An image, the digests by which it is found, and whether it belongs to a store that is only read."""

    image: Image
    digests: tuple[str, ...]
    read_only: bool = False


def image_facts(store: Store, images: Iterable[Image]) -> list[ImageFacts]:
    """Gather the data for images in a list: everything except whether they are read-only."""
    return [ImageFacts(image, store.images.digests(image)) for image in images]


def all_image_facts(store: Store, images: Iterable[Image]) -> list[ImageFacts]:
    """Gather the data to show for single images."""
    return [facts.with_(read_only=store.images.read_only(facts.image.id)) for facts in image_facts(store, images)]


class ContainerFacts(Value):
    """A container, the names of its image, and where its layer is mounted ("" if nowhere)."""

    container: Container
    image_names: tuple[str, ...]
    mount: str = ""


def container_facts(store: Store, containers: Sequence[Container]) -> list[ContainerFacts]:
    """Gather the data to show for containers. A missing image has no names."""
    mounts, names = store.layers.mount_points(), dict[str, tuple[str, ...]]()
    for image in {container.image: None for container in containers if container.image}:
        found = store.images.find(image)
        names[image] = found.names if found is not None and found.id == image else ()
    return [ContainerFacts(one, names.get(one.image, ()), mounts.get(one.layer, "")) for one in containers]


class Branch(Value):
    """One line of a tree of layers: a layer, and for each column to its left whether a line runs down there.

    `row` is None for a root that is not a listed layer: "(base)", or a missing parent.
    """

    name: str
    row: LayerRow | None
    columns: tuple[bool, ...]


BASE = "(base)"


def branches(rows: Iterable[LayerRow]) -> list[Branch]:
    """Put layers below their parents, each parent's children in the order of the list.

    A parent that is not in the list becomes a root of its own. Layers that are their own ancestors hang from no root;
    one of each such ring is taken for it, so that every layer is shown.
    """
    children: dict[str, list[LayerRow]] = {}
    for row in rows:
        children.setdefault(row.layer.parent or BASE, []).append(row)
    known = {row.layer.id for family in children.values() for row in family}
    roots = sorted((name for name in children if name not in known), key=lambda name: len(children[name]))
    shown: list[Branch] = []
    while children:
        root = roots.pop(0) if roots else next(iter(children))
        shown += _branches_below(root, children)
    return shown


def _branches_below(root: str, children: dict[str, list[LayerRow]]) -> list[Branch]:
    """Take everything below `root` out of `children`, top down, without recursion: chains may be long."""
    shown = [Branch(root, None, ())]
    waiting = _family(root, (), children)
    while waiting:
        branch = waiting.pop()
        shown.append(branch)
        waiting += _family(branch.name, branch.columns, children)
    return shown


def _family(parent: str, columns: tuple[bool, ...], children: dict[str, list[LayerRow]]) -> list[Branch]:
    """The children of one parent, last one first; each notes whether a sibling follows it."""
    rows = children.pop(parent, [])
    last = len(rows) - 1
    return [Branch(row.layer.id, row, (*columns, place < last)) for place, row in reversed(list(enumerate(rows)))]
