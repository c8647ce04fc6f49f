"""The data of results: one model for plain lines, JSON and tables."""

from __future__ import annotations

from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cstore import Container, Image, Store


class Holder(Value):
    """An image or a container to which a layer belongs."""

    id: str
    names: tuple[str, ...]


class Holders(Value):
    """The images and the containers of a store, by the IDs of their layers."""

    images: Mapping[str, Sequence[Holder]]
    containers: Mapping[str, Sequence[Holder]]


def holders(store: Store) -> Holders:
    """Return the images of a store by the IDs of their top and mapped layers, and the containers by their layer IDs."""
    images: dict[str, list[Holder]] = {}
    containers: dict[str, list[Holder]] = {}
    for image in store.images.list():
        for layer in dict.fromkeys((image.layer, *image.mapped_layers)):
            images.setdefault(layer, []).append(Holder(image.id, image.names))
    for container in store.containers.list():
        containers.setdefault(container.layer, []).append(Holder(container.id, container.names))
    return Holders(images, containers)


class ImageFacts(Value):
    """An image, the digests by which it is found, and whether it is in a read-only store."""

    image: Image
    digests: tuple[str, ...]
    read_only: bool = False


def image_facts(store: Store, images: Iterable[Image]) -> list[ImageFacts]:
    """Return the data of images for a list: everything except whether they are read-only."""
    digests = store.images.digests
    return [ImageFacts.made_of({"image": image, "digests": digests(image)}) for image in images]


def all_image_facts(store: Store, images: Iterable[Image]) -> list[ImageFacts]:
    """Return the complete data of images."""
    return [facts.with_(read_only=store.images.read_only(facts.image.id)) for facts in image_facts(store, images)]


class ContainerFacts(Value):
    """A container, the names of its image, and the mount point of its layer ("" if it is not mounted)."""

    container: Container
    image_names: tuple[str, ...]
    mount: str = ""


def container_facts(store: Store, containers: Sequence[Container]) -> list[ContainerFacts]:
    """Return the data of containers. A missing image has no names."""
    mounts, names = store.layers.mount_points(), dict[str, tuple[str, ...]]()
    for image in {container.image: None for container in containers if container.image}:
        found = store.images.find(image)
        names[image] = found.names if found is not None and found.id == image else ()
    return [ContainerFacts(one, names.get(one.image, ()), mounts.get(one.layer, "")) for one in containers]
