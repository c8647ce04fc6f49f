"""Errors about items: unknown IDs and names, IDs and names in use, and items that something still needs."""

from __future__ import annotations

from cstore.errors import CstoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, ClassVar

    from cstore.errors.requests import ReadOnlyStore


# ── no item matches that ID or name ───────────────────────────────────────────────────────────────────────────────────


class UnknownItem(CstoreError):
    """No item in the store matches an ID or name."""

    noun: ClassVar[str] = "layer, image or container"
    listing: ClassVar[str] = "cstore layers"
    go_phrase: ClassVar[str] = "identifier is not a layer, image, or container"
    phrase: ClassVar[str] = ""
    """How the sentence begins, if not with the Go tool's own words, which scripts look for."""

    def __init__(self, item: str) -> None:
        self.item = item
        super().__init__(
            f"{self.phrase or self.go_phrase}: {item!r}", hint=f"see {self.listing}", go_text=self.go_phrase
        )

    def only_in(self, path: str, noun: str) -> ReadOnlyStore:
        """Return the error for an item that exists only in an additional store, where it cannot be changed."""
        from cstore.errors.requests import ReadOnlyStore

        error = ReadOnlyStore(f"change the {noun} {self.item!r}", path)
        error.message = (
            f"called a write method on a read-only store: the {noun} {self.item!r} belongs to the additional store "
            f"{path}, which is read-only"
        )
        error.hint, error.go_text = "change it there", self.go_text
        return error


class LayerUnknown(UnknownItem):
    """No layer has that ID, name or unique ID prefix."""

    noun, listing, go_phrase = "layer", "cstore layers", "layer not known"


class ImageUnknown(UnknownItem):
    """No image has that ID, name or unique ID prefix."""

    noun, listing, go_phrase = "image", "cstore images", "image not known"

    def __init__(self, item: str) -> None:
        super().__init__(item)
        self.go_text = f'locating image with ID "{item}": {self.go_phrase}'


class ContainerUnknown(UnknownItem):
    """No container has that ID, name, layer or unique ID prefix."""

    noun, listing, go_phrase = "container", "cstore containers", "container not known"


class ParentUnknown(LayerUnknown):
    """A layer's parent has no record, or its parents form a cycle."""

    def __init__(self, layer: str, parent: str) -> None:
        super().__init__(parent)
        self.layer, self.parent = layer, parent
        self.message = f"parent of layer not known: layer {layer} has the parent {parent!r}, which has no record"
        self.hint = "run cstore check, then cstore repair --dry-run"
        self.go_text = "parent of layer not known"


class DataItemUnknown(UnknownItem):
    """The owner exists, but the data item does not."""

    def __init__(self, noun: str, owner: str, key: str) -> None:
        self.owner, self.key = owner, key
        super().__init__(key)
        self.message = f"{noun} {owner} has no data item {key!r}"
        self.hint = f"see cstore list-{noun}-data {owner}"
        self.go_text = f'locating item named "{key}" for {noun} with ID "{owner}": file does not exist'


class NotAnItem(UnknownItem):
    """No layer, image or container has that ID or name."""


class NotALayer(LayerUnknown):
    """A layer was to be deleted, but no layer has that ID or name."""

    go_phrase = "identifier is not a layer"


class ImageWithoutLayers(LayerUnknown):
    """An image's layer was requested, but the image has none."""

    def __init__(self, image: str) -> None:
        super().__init__("")
        self.image = image
        self.message = f"image {image} has no layer"
        self.hint = f"create a container from it: cstore create-container {image}"


class NotAnImage(ImageUnknown):
    """An image was to be deleted, but no image has that ID or name."""

    go_phrase = "identifier is not an image"

    def __init__(self, item: str) -> None:
        super().__init__(item)
        self.go_text = self.go_phrase


class NotAContainer(ContainerUnknown):
    """A container was to be deleted, but no container has that ID or name."""

    go_phrase = "identifier is not a container"


class ChainUnknown(LayerUnknown):
    """No layer has that ChainID."""

    noun, listing, go_phrase = "layer with that ChainID", "cstore chains", "layer does not exist"
    phrase = "no layer has that ChainID"


class WritableLayerUnknown(UnknownItem):
    """No writable layer has that name."""

    noun, listing, go_phrase = "writable layer", "cstore writables", "mount does not exist"
    phrase = "writable layer not known"


class AmbiguousImageID(ImageUnknown):
    """Several images have IDs that begin with that prefix."""

    def __init__(self, term: str, images: Sequence[str]) -> None:
        super().__init__(term)
        self.images = tuple(images)
        self.message = (
            f"{term!r} is ambiguous: {len(images)} image IDs begin with it, such as {images[0]} and {images[1]}"
        )
        self.hint, self.go_text = "give more digits of the ID", "ambiguous digest string"


class AmbiguousItem(UnknownItem):
    """Several items match an ID or name. `candidates` are their kinds, IDs and names."""

    def __init__(self, item: str, candidates: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(item)
        self.candidates = [dict(one) for one in candidates]
        shown = ", ".join(_named(one) for one in self.candidates[:_MOST_NAMED])
        more = ", …" if len(candidates) > _MOST_NAMED else ""
        self.message = f"{item!r} is ambiguous: {len(candidates)} items match: {shown}{more}"
        kinds = {one["kind"] for one in self.candidates}
        self.hint = "give the full ID" if len(kinds) == 1 else "choose one with --kind KIND, or give the full ID"


_MOST_NAMED = 5


def _named(item: Mapping[str, Any]) -> str:
    names = f" ({item['names'][0]})" if item["names"] else ""
    return f"{item['kind']} {item['id']}{names}"


class NameUnknown(UnknownItem):
    """A name was to be removed from an image that does not have it."""

    def __init__(self, image: str, name: str) -> None:
        self.image, self.name = image, name
        super().__init__(name)
        self.message = f"image {image} has no name {name!r}"
        self.hint = f"see cstore get-names {image}"


class ParentImageUnknown(ImageUnknown):
    """The image that was to become another one's parent does not exist, or an image has no recorded parent."""

    def __init__(self, parent: str, child: str) -> None:
        super().__init__(parent)
        self.parent, self.child = parent, child
        self.message = f"image {child} has no parent" if not parent else f"image not known: {parent!r}"
        self.go_text = f"unknown parent image ID {parent}" if parent else "failed to read metadata"


class CaseUnknown(UnknownItem):
    """No quarantine case has that ID, or several cases have IDs that begin with it."""

    noun, listing, phrase = "quarantine case", "cstore repair --list", "quarantine case not known"


# ── the ID or name is in use ──────────────────────────────────────────────────────────────────────────────────────────


class Taken(CstoreError):
    """An ID or a name that was to be new is in use."""


_ID_TAKEN = {"image": 'an image with ID "{}" already exists: '}


_NAME_TAKEN = {
    "image": 'image name "{}" is already associated with image "{}": ',
    "container": 'the container name "{}" is already in use by {}. '
    "You have to remove that container to be able to reuse that name: ",
}
"""Text that the Go tool puts first for some kinds."""


class IDTaken(Taken):
    """An ID for a new item belongs to another item of its kind."""

    def __init__(self, noun: str, item: str) -> None:
        self.item = item
        super().__init__(
            f"that ID is already in use: {noun} {item}",
            hint="omit --id to get a new ID",
            go_text=f"{_ID_TAKEN.get(noun, '').format(item)}that ID is already in use",
        )


class NameTaken(Taken):
    """A name for a new item belongs to another item of its kind."""

    def __init__(self, noun: str, name: str, holder: str) -> None:
        self.name, self.holder = name, holder
        super().__init__(
            f"that name is already in use: {name!r} is {noun} {holder}",
            hint=f"move it with cstore remove-names -n {name} {holder}",
            go_text=f"{_NAME_TAKEN.get(noun, '').format(name, holder)}that name is already in use",
        )


class WritableLayerTaken(NameTaken):
    """A name for a new writable layer belongs to another layer."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__("layer", name, holder)
        self.go_text = "mount already exists with name"


class TopLayerDiffers(Taken):
    """An image was to be imported whose ID belongs to an image with another top layer."""

    def __init__(self, image: str, layer: str) -> None:
        self.image, self.layer = image, layer
        super().__init__(
            f"image {image} exists with another top layer: {layer or 'none'}",
            hint=f"delete it first: cstore delete-image {image}",
            go_text=f'image with ID "{image}" already exists, but uses a different top layer: '
            "that ID is already in use",
        )


# ── something still needs the item ────────────────────────────────────────────────────────────────────────────────────


class InUse(CstoreError):
    """Something else still needs the item."""


class LayerHasChildren(InUse):
    """A layer cannot be deleted because it is another layer's parent."""

    def __init__(self, layer: str, children: Sequence[str]) -> None:
        self.layer, self.children = layer, tuple(children)
        others = f" and {len(children) - 1} more" if len(children) > 1 else ""
        super().__init__(
            f"layer has children: {layer} is the parent of {children[0]}{others}",
            hint=f"delete {children[0]} first",
            go_text=f"used by layer {children[0]}: layer has children",
        )


class LayerUsedByImage(InUse):
    """A layer cannot be deleted because it is an image's top layer."""

    def __init__(self, layer: str, image: str) -> None:
        self.layer, self.image = layer, image
        super().__init__(
            f"layer is in use by an image: {layer} belongs to image {image}",
            hint=f"delete the image first: cstore delete-image {image}",
            go_text=f"layer {layer} used by image {image}: layer is in use by an image",
        )


class LayerUsedByContainer(InUse):
    """A layer cannot be deleted because it is a container's own layer."""

    def __init__(self, layer: str, container: str, remedy: str = "") -> None:
        self.layer, self.container = layer, container
        super().__init__(
            f"layer is in use by a container: {layer} belongs to container {container}",
            hint=f"delete the container first: {remedy or f'cstore delete-container {container}'}",
            go_text=f"layer {layer} used by container {container}: layer is in use by a container",
        )


class ImageUsedByContainer(InUse):
    """An image cannot be deleted because a container was created from it."""

    def __init__(self, image: str, container: str, remedy: str = "") -> None:
        self.image, self.container = image, container
        super().__init__(
            f"image is in use by a container: {image} is used by container {container}",
            hint=f"delete the container first: {remedy or f'cstore delete-container {container}'}",
            go_text=f"image used by {container}: image is in use by a container",
        )


class LayerRecorded(InUse):
    """A tree cannot be deleted as an unrecorded one because it has a record."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(f"layer {layer} has a record", hint=f"cstore delete-layer {layer}")


class DataItemNeeded(InUse):
    """A data item cannot be deleted because its image needs it: it is a manifest or a config."""

    def __init__(self, image: str, key: str) -> None:
        self.image, self.key = image, key
        super().__init__(
            f"image {image} needs its data item {key!r}: it is a manifest or a config",
            hint=f"delete the whole image: cstore delete-image {image}",
        )


class ContainerOccupied(InUse):
    """A container cannot be deleted because it is in use. `pid` is a process that runs in it or holds its mount."""

    def __init__(self, container: str, pid: int, occupant: str, remedy: str = "") -> None:
        self.container, self.pid = container, pid
        super().__init__(
            f"container {container} is in use: {occupant}",
            hint=f"stop it first: {remedy}" if remedy else f"end process {pid} first",
            go_text=f"container {container} is in use: layer is in use by a container",
        )


class ParentIsContainer(InUse):
    """A layer cannot be created on top of a container's own layer."""

    def __init__(self, parent: str, container: str) -> None:
        self.parent, self.container = parent, container
        super().__init__(
            f"layer {parent} is the writable layer of container {container}; it cannot have children",
            hint="choose a layer that no container owns",
            go_text="would-be parent layer is a container",
        )


class LayerChanged(InUse):
    """Another program changed a layer while a change to it was being prepared."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(f"another program changed layer {layer} meanwhile; it stays as it is now", hint="try again")


class LayersMounted(InUse):
    """The store cannot be shut down while layers are mounted."""

    def __init__(self, layers: Sequence[str]) -> None:
        self.layers = tuple(layers)
        super().__init__(
            f"a layer is mounted: {layers[0]}{f' and {len(layers) - 1} more' if len(layers) > 1 else ''}",
            hint=f"cstore unmount {layers[0]}, or shutdown --force",
            go_text="a layer is mounted: layer is in use by a container",
        )
