"""The error family: every failure cstore can explain, on one screen.

CstoreError
├── UnknownItem            nothing answers to that ID or name
│   ├── LayerUnknown, ImageUnknown, ContainerUnknown
│   ├── NotALayer, NotAnImage, NotAContainer, NotAnItem, AmbiguousItem, NameUnknown
│   ├── ParentUnknown, ImageWithoutLayers
│   ├── ChainUnknown, WritableLayerUnknown, AmbiguousImageID, ParentImageUnknown
│   └── DataItemUnknown, CaseUnknown
├── Taken                  it exists already
│   ├── IDTaken, TopLayerDiffers, NameTaken, WritableLayerTaken
├── InUse                  something still needs it
│   ├── LayerHasChildren, LayerUsedByImage, LayerUsedByContainer, ImageUsedByContainer, ContainerOccupied
│   ├── ParentIsContainer, LayerChanged, LayersMounted, DataItemNeeded, LayerRecorded
├── Refused                the request itself cannot be granted
│   ├── InvalidID, InvalidName, InvalidDigest, InvalidTime, InvalidDataName, InvalidIDMap, IDNotMapped, InvalidOption
│   ├── DoesNotFit, LayerNotMounted, NotAgreed, NoFreeIDs, NoStore, ReadOnlyStore, Unsupported
│   ├── LayerNotRetained, ChainTooDeep, NotAnAncestor, WrongSystem, InvalidDuration
├── Damage                 the store is not as it should be
│   ├── RecordsDamaged, RecordsChanged, UnsafeID, LayerMissing, TarSplitDamaged, ContentDamaged
│   ├── LayerNotVerified, ImageDamaged, DockerRootDamaged, QuarantineDamaged
├── ArchiveError           the bytes that came in are not a usable layer
│   ├── ArchiveMalformed, ArchiveTruncated, ArchiveHostile, EntryFailed, CompressionFailed, ImageInvalid
│   ├── ImageArchiveError, SourceUnusable
├── ConfigError            a configuration file, variable or option
├── DriverError            a storage driver cannot do it here
│   └── DriverUnknown, DriverUnusable
├── NotChecked             nothing can be said about the state of the store
├── RegistryError          a registry did not do what was asked (all of them in cstore/registry/errors.py)
├── LockTimeout            somebody else held a lock for too long
└── SystemFailure          the operating system said no
    └── ForeignThing, ProgramMissing, ProgramRefused

An error is a sentence (`message`), the way out (`hint`), its parts (public attributes, in `parts()`), an exit code, and
`go_text`: the text that the Go tools print in its place, which scripts find in JSON output. This module imports nothing
of cstore.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, ClassVar


def _rebuilt(kind: type[CstoreError], message: str) -> CstoreError:
    """Make an error again without its own constructor, whose arguments are not the sentence; its state follows."""
    return kind.__new__(kind, message)


class CstoreError(Exception):
    """The root of the family: a sentence, the way out, and the Go tool's words for it.

    Every error can be pickled and copied, with its sentence, hint and parts: worker processes pass them on.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "", go_text: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.go_text = go_text or message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.message), vars(self)

    @property
    def message(self) -> str:
        """The sentence."""
        return str(self.args[0])

    @message.setter
    def message(self, sentence: str) -> None:
        self.args = (sentence,)

    @property
    def kind(self) -> str:
        """The stable name of this error in JSON."""
        return type(self).__name__

    def parts(self) -> dict[str, Any]:
        """The error's own fields, ready for JSON."""
        common = {"message", "hint", "go_text"}
        return {name: value for name, value in vars(self).items() if name not in common and not name.startswith("_")}


# ── nothing answers to that ID or name ────────────────────────────────────────────────────────────────────────────────


class UnknownItem(CstoreError):
    """Nothing in the store answers to an ID or name."""

    noun: ClassVar[str] = "layer, image or container"
    listing: ClassVar[str] = "cstore layers"
    peer_text: ClassVar[str] = "identifier is not a layer, image, or container"
    phrase: ClassVar[str] = ""
    """What the sentence begins with, if not with the Go tool's own words, which scripts look for."""

    def __init__(self, item: str) -> None:
        self.item = item
        super().__init__(
            f"{self.phrase or self.peer_text}: {item!r}", hint=f"see {self.listing}", go_text=self.peer_text
        )

    def only_in(self, path: str, noun: str) -> ReadOnlyStore:
        """The error for what is known, but in an additional store, where it cannot be changed."""
        error = ReadOnlyStore(f"change the {noun} {self.item!r}", path)
        error.message = (
            f"called a write method on a read-only store: the {noun} {self.item!r} belongs to the additional store "
            f"{path}, which is only read"
        )
        error.hint, error.go_text = "change it there", self.go_text
        return error


class LayerUnknown(UnknownItem):
    """No layer has that ID, name or unique ID prefix."""

    noun, listing, peer_text = "layer", "cstore layers", "layer not known"


class ImageUnknown(UnknownItem):
    """No image has that ID, name or unique ID prefix."""

    noun, listing, peer_text = "image", "cstore images", "image not known"

    def __init__(self, item: str) -> None:
        super().__init__(item)
        self.go_text = f'locating image with ID "{item}": {self.peer_text}'


class ContainerUnknown(UnknownItem):
    """No container has that ID, name, layer or unique ID prefix."""

    noun, listing, peer_text = "container", "cstore containers", "container not known"


class NotALayer(LayerUnknown):
    """A layer was to be deleted, and there is none of that name."""

    peer_text = "identifier is not a layer"


class ParentUnknown(LayerUnknown):
    """The record of the layer that another one builds on is not there, or its parents lead round in a circle."""

    def __init__(self, layer: str, parent: str) -> None:
        super().__init__(parent)
        self.layer, self.parent = layer, parent
        self.message = f"parent of layer not known: layer {layer} has the parent {parent!r}, which has no record"
        self.hint = "run cstore check, then cstore repair --dry-run"
        self.go_text = "parent of layer not known"


class ImageWithoutLayers(LayerUnknown):
    """An image's layer was asked for, and the image has none."""

    def __init__(self, image: str) -> None:
        super().__init__("")
        self.image = image
        self.message = f"image {image} has no layer"
        self.hint = f"create a container from it: cstore create-container {image}"


class NotAnImage(ImageUnknown):
    """An image was to be deleted, and there is none of that name."""

    peer_text = "identifier is not an image"

    def __init__(self, item: str) -> None:
        super().__init__(item)
        self.go_text = self.peer_text


class NotAContainer(ContainerUnknown):
    """A container was to be deleted, and there is none of that name."""

    peer_text = "identifier is not a container"


class NotAnItem(UnknownItem):
    """Neither a layer nor an image nor a container has that ID or name."""


class ChainUnknown(LayerUnknown):
    """No layer has that ChainID."""

    noun, listing, peer_text = "layer with that ChainID", "cstore chains", "layer does not exist"
    phrase = "no layer has that ChainID"


class WritableLayerUnknown(UnknownItem):
    """No writable layer has that name."""

    noun, listing, peer_text = "writable layer", "cstore writables", "mount does not exist"
    phrase = "writable layer not known"


class AmbiguousImageID(ImageUnknown):
    """Several images have an ID that begins like that."""

    def __init__(self, term: str, images: Sequence[str]) -> None:
        super().__init__(term)
        self.images = tuple(images)
        self.message = (
            f"{term!r} is ambiguous: {len(images)} image IDs begin with it, such as {images[0]} and {images[1]}"
        )
        self.hint, self.go_text = "give more digits of the ID", "ambiguous digest string"


class AmbiguousItem(UnknownItem):
    """Several items answer to an ID or name. `candidates` are their kinds, IDs and names."""

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
    """An image was to lose a name that it does not have."""

    def __init__(self, image: str, name: str) -> None:
        self.image, self.name = image, name
        super().__init__(name)
        self.message = f"image {image} has no name {name!r}"
        self.hint = f"see cstore get-names {image}"


class ParentImageUnknown(ImageUnknown):
    """The image that was to become another one's parent is not there, or an image has no recorded parent."""

    def __init__(self, parent: str, child: str) -> None:
        super().__init__(parent)
        self.parent, self.child = parent, child
        self.message = f"image {child} has no parent" if not parent else f"image not known: {parent!r}"
        self.go_text = f"unknown parent image ID {parent}" if parent else "failed to read metadata"


class DataItemUnknown(UnknownItem):
    """The owner is known, the data item is not."""

    def __init__(self, noun: str, owner: str, key: str) -> None:
        self.owner, self.key = owner, key
        super().__init__(key)
        self.message = f"{noun} {owner} has no data item {key!r}"
        self.hint = f"see cstore list-{noun}-data {owner}"
        self.go_text = f'locating item named "{key}" for {noun} with ID "{owner}": file does not exist'


class CaseUnknown(UnknownItem):
    """No quarantine case has that ID, or more than one begins so."""

    noun, listing, phrase = "quarantine case", "cstore repair --list", "quarantine case not known"


# ── it exists already ─────────────────────────────────────────────────────────────────────────────────────────────────


class Taken(CstoreError):
    """An ID or a name that was to be new is in use."""


_ID_TAKEN = {"image": 'an image with ID "{}" already exists: '}
_NAME_TAKEN = {
    "image": 'image name "{}" is already associated with image "{}": ',
    "container": 'the container name "{}" is already in use by {}. '
    "You have to remove that container to be able to reuse that name: ",
}
"""What the Go tool says of some kinds first."""


class IDTaken(Taken):
    """A new item was given an ID that another of its kind has."""

    def __init__(self, noun: str, item: str) -> None:
        self.item = item
        super().__init__(
            f"that ID is already in use: {noun} {item}",
            hint="omit --id to get a new ID",
            go_text=f"{_ID_TAKEN.get(noun, '').format(item)}that ID is already in use",
        )


class NameTaken(Taken):
    """A new item was given a name that another of its kind has."""

    def __init__(self, noun: str, name: str, holder: str) -> None:
        self.name, self.holder = name, holder
        super().__init__(
            f"that name is already in use: {name!r} is {noun} {holder}",
            hint=f"move it with cstore remove-names -n {name} {holder}",
            go_text=f"{_NAME_TAKEN.get(noun, '').format(name, holder)}that name is already in use",
        )


class WritableLayerTaken(NameTaken):
    """A writable layer was to get a name that a layer has."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__("layer", name, holder)
        self.go_text = "mount already exists with name"


class TopLayerDiffers(Taken):
    """An image came in whose ID belongs to an image of other layers."""

    def __init__(self, image: str, layer: str) -> None:
        self.image, self.layer = image, layer
        super().__init__(
            f"image {image} exists with another top layer: {layer or 'none'}",
            hint=f"delete it first: cstore delete-image {image}",
            go_text=f'image with ID "{image}" already exists, but uses a different top layer: '
            "that ID is already in use",
        )


# ── something still needs it ──────────────────────────────────────────────────────────────────────────────────────────


class InUse(CstoreError):
    """Something else still needs the item."""


class LayerHasChildren(InUse):
    """A layer was asked to go while others still build on it."""

    def __init__(self, layer: str, children: Sequence[str]) -> None:
        self.layer, self.children = layer, tuple(children)
        others = f" and {len(children) - 1} more" if len(children) > 1 else ""
        super().__init__(
            f"layer has children: {layer} is the parent of {children[0]}{others}",
            hint=f"delete {children[0]} first",
            go_text=f"used by layer {children[0]}: layer has children",
        )


class LayerUsedByImage(InUse):
    """A layer was asked to go while an image has it on top."""

    def __init__(self, layer: str, image: str) -> None:
        self.layer, self.image = layer, image
        super().__init__(
            f"layer is in use by an image: {layer} belongs to image {image}",
            hint=f"delete the image first: cstore delete-image {image}",
            go_text=f"layer {layer} used by image {image}: layer is in use by an image",
        )


class LayerUsedByContainer(InUse):
    """A layer was asked to go while it is a container's own."""

    def __init__(self, layer: str, container: str, remedy: str = "") -> None:
        self.layer, self.container = layer, container
        super().__init__(
            f"layer is in use by a container: {layer} belongs to container {container}",
            hint=f"delete the container first: {remedy or f'cstore delete-container {container}'}",
            go_text=f"layer {layer} used by container {container}: layer is in use by a container",
        )


class ImageUsedByContainer(InUse):
    """An image was asked to go while a container came from it."""

    def __init__(self, image: str, container: str, remedy: str = "") -> None:
        self.image, self.container = image, container
        super().__init__(
            f"image is in use by a container: {image} is used by container {container}",
            hint=f"delete the container first: {remedy or f'cstore delete-container {container}'}",
            go_text=f"image used by {container}: image is in use by a container",
        )


class LayerRecorded(InUse):
    """A tree was to be deleted as one without a record, and it has one."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(f"layer {layer} has a record", hint=f"cstore delete-layer {layer}")


class DataItemNeeded(InUse):
    """A data item was to be deleted without which an image makes no sense: a manifest, or a config."""

    def __init__(self, image: str, key: str) -> None:
        self.image, self.key = image, key
        super().__init__(
            f"image {image} needs its data item {key!r}: it is a manifest or a config",
            hint=f"delete the whole image: cstore delete-image {image}",
        )


class ContainerOccupied(InUse):
    """A container was asked to go while somebody lives in it. `pid` is a process that does, or that holds its mount."""

    def __init__(self, container: str, pid: int, occupant: str, remedy: str = "") -> None:
        self.container, self.pid = container, pid
        super().__init__(
            f"container {container} is in use: {occupant}",
            hint=f"stop it first: {remedy}" if remedy else f"end process {pid} first",
            go_text=f"container {container} is in use: layer is in use by a container",
        )


class ParentIsContainer(InUse):
    """A layer was to be put on top of a container's own layer."""

    def __init__(self, parent: str, container: str) -> None:
        self.parent, self.container = parent, container
        super().__init__(
            f"layer {parent} is the writable layer of container {container}; it cannot have children",
            hint="choose a layer that no container owns",
            go_text="would-be parent layer is a container",
        )


class LayerChanged(InUse):
    """A layer became another one while something was being prepared for it."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(f"another program changed layer {layer} meanwhile; it stays as it is now", hint="try again")


class LayersMounted(InUse):
    """The store was to be shut down while layers are mounted."""

    def __init__(self, layers: Sequence[str]) -> None:
        self.layers = tuple(layers)
        super().__init__(
            f"a layer is mounted: {layers[0]}{f' and {len(layers) - 1} more' if len(layers) > 1 else ''}",
            hint=f"cstore unmount {layers[0]}, or shutdown --force",
            go_text="a layer is mounted: layer is in use by a container",
        )


# ── the request itself cannot be granted ──────────────────────────────────────────────────────────────────────────────


class Refused(CstoreError):
    """The request cannot be granted, whatever the store holds."""


class InvalidID(Refused):
    """An ID that could not safely be part of a path."""

    def __init__(self, item: str, reason: str) -> None:
        self.item, self.reason = item, reason
        super().__init__(f"{item!r} cannot be an ID: {reason}", hint="use letters, digits, '.', '_' and '-'")


class InvalidName(Refused):
    """A name that no record file can hold."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"{name!r} cannot be a name: {reason}")


class InvalidDigest(Refused):
    """Text that is not a digest. `reason` is the Go tool's text as well."""

    def __init__(self, digest: str, reason: str) -> None:
        self.digest, self.reason = digest, reason
        super().__init__(
            f"{digest!r} is not a digest: {reason}", hint="write it as sha256:<64 hex digits>", go_text=reason
        )


class InvalidTime(Refused):
    """Text that is not a time as records spell it."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is not a time", hint="write it as 2026-11-21T18:30:00Z")


class InvalidDataName(Refused):
    """A data item needs a name that makes a file name."""

    def __init__(self, noun: str, key: str, reason: str = "it is empty") -> None:
        self.key = key
        super().__init__(
            f"{key!r} cannot name a data item of {'an' if noun == 'image' else 'a'} {noun}: {reason}",
            go_text=f"can't set empty name for {noun} big data item: not a valid name for a big data item",
        )


class InvalidIDMap(Refused):
    """An ID map that cannot be read or does not hold together."""

    def __init__(self, text: str, reason: str, *, hint: str = "write container:host:size", go_text: str = "") -> None:
        self.text, self.reason = text, reason
        super().__init__(f"ID map {text!r}: {reason}", hint=hint, go_text=go_text)


class IDNotMapped(InvalidIDMap):
    """An ID is in none of the ranges of an ID map. `side` is where the map was asked from: "container" or "host".

    `path` is a file that belongs to the ID, "" if that is not known.
    """

    def __init__(self, text: str, noun: str, number: int, side: str, *, path: str = "") -> None:
        reason = f"no range contains {side} {noun} {number}"
        other = "host" if side == "container" else "container"
        go_text = f"{side} ID {number} cannot be mapped to a {other} ID"
        super().__init__(text, reason, hint=f"add a range that covers {number}", go_text=go_text)
        self.noun, self.number, self.side, self.path = noun, number, side, path
        if path:
            self.message = f"{path} needs {side} {noun} {number}, which no range of ID map {text!r} contains"

    def at(self, path: str) -> IDNotMapped:
        """The same about a file that belongs to the ID."""
        return IDNotMapped(self.text, self.noun, self.number, self.side, path=path)


class InvalidOption(Refused):
    """An option of a call or command that contradicts another or has no meaning here."""


class UsageMistake(InvalidOption):
    """What was asked for makes no sense, whatever is in the store: nothing was looked at or done."""

    exit_code = 2


class InvalidDuration(UsageMistake):
    """A duration that is none."""

    def __init__(self, text: str, reason: str = "", *, go_text: str = "") -> None:
        self.text = text
        why = f": {reason}" if reason else ""
        super().__init__(f"{text!r} is not a duration{why}", hint="write it as 90s, 1h30m or 24h", go_text=go_text)


class LayerNotMounted(Refused):
    """The operation needs a mounted layer."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(f"layer is not mounted: {layer}", hint=f"cstore mount {layer}", go_text="layer is not mounted")


class NoFreeIDs(Refused):
    """An ID map was to choose itself, and other containers have the IDs already, or none are set aside."""

    def __init__(self, noun: str, wanted: int, free: int) -> None:
        self.noun, self.wanted, self.free = noun, wanted, free
        super().__init__(
            f"the map needs {wanted} {noun}, but only {free} subordinate IDs are free",
            hint=f"add a range to /etc/sub{noun[:-1].lower()}, request a smaller map, or delete containers",
            go_text="not enough unused IDs in user namespace",
        )


class NotAgreed(Refused):
    """A repair has a plan, and there is nobody to ask whether it shall be carried out."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        super().__init__(
            f"the plan has {steps} {'step' if steps == 1 else 'steps'}, and nobody confirmed it; nothing was changed",
            hint="confirm it with --yes",
        )


class ReadOnlyStore(Refused):
    """A write was asked of a store, or of a part of it, that is only read."""

    def __init__(self, action: str, path: str) -> None:
        self.action, self.path = action, path
        super().__init__(
            f"called a write method on a read-only store: cannot {action} at {path}",
            go_text=f'not allowed to {action} at "{path}": called a write method on a read-only store',
        )


class DoesNotFit(Refused):
    """What is to be brought needs more space than there is; both in bytes."""

    def __init__(self, what: str, path: str, needed: int, free: int) -> None:
        self.what, self.path, self.needed, self.free = what, path, needed, free
        super().__init__(
            f"{what} needs {needed} bytes at least, and {path} has {free} free",
            hint="cstore df shows what takes up the space, cstore prune frees some",
            go_text="no space left on device",
        )


class NoStore(Refused):
    """There is no store where one was to be."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"there is no store at {path}", hint="cstore config shows the configured place; --graph chooses another"
        )


class Unsupported(Refused):
    """Not possible with this driver, kernel or file."""


class LayerNotRetained(Refused):
    """A reference was to be released that is not held, or no longer."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(f"this reference to layer {layer} is not held", go_text="layer not retained")


class ChainTooDeep(Refused):
    """A layer would have more layers beneath it than are allowed."""

    def __init__(self, parent: str, limit: int) -> None:
        self.parent, self.limit = parent, limit
        super().__init__(
            f"layer {parent} is already {limit} layers deep, the longest chain allowed",
            hint="raise the limit with --max-depth; Docker accepts 125",
            go_text="max depth exceeded",
        )


class NotAnAncestor(Refused):
    """A layer was to be compared with one that is not beneath it."""

    def __init__(self, ancestor: str, layer: str) -> None:
        self.ancestor, self.layer = ancestor, layer
        super().__init__(
            f"layer {ancestor} is not an ancestor of layer {layer}",
            go_text=f"layer ID '{ancestor}' is not a parent of the specified layer: cannot provide diff to non-parent",
        )


class WrongSystem(Refused):
    """An image is for another operating system."""

    def __init__(self, system: str) -> None:
        self.system = system
        super().__init__(
            f"the image is for {system}, which this system cannot run", go_text="operating system is not supported"
        )


# ── the store is not as it should be ──────────────────────────────────────────────────────────────────────────────────


class Damage(CstoreError):
    """Something in the store is not as it should be; nothing was changed."""


class RecordsDamaged(Damage):
    """A record file exists and cannot be trusted. It is never overwritten."""

    def __init__(self, path: str, reason: str, *, offset: int | None = None) -> None:
        self.path, self.reason, self.offset = path, reason, offset
        place = "" if offset is None else f" at byte {offset}"
        super().__init__(
            f"the record file {path} is damaged{place}: {reason}",
            hint="nothing was changed; run cstore check, then cstore repair --dry-run",
            go_text=f'loading "{path}": {reason}',
        )


class RecordsChanged(Damage):
    """A record file is not the one that was read: somebody wrote it without holding its lock."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(
            f"a program without the lock changed the record file {path} meanwhile",
            hint="nothing was changed; run the command again",
        )


class UnsafeID(Damage):
    """A recorded ID that must not become part of a path: it could lead out of its directory, or to a file of cstore."""

    def __init__(self, item: str, reason: str) -> None:
        self.item, self.reason = item, reason
        super().__init__(
            f"the store has a record with an unusable ID, {item!r}: {reason}",
            hint="cstore delete removes the record and leaves the data",
        )


class LayerMissing(Damage):
    """A record refers to a layer that is not there."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        super().__init__(
            f"layer {layer} is missing",
            hint="see cstore check",
            go_text=f'locating layer with ID "{layer}": layer not known',
        )


class TarSplitDamaged(Damage):
    """A layer's tar-split file is missing, cut, or not what it should be."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"the tar-split file {path} is damaged: {reason}")


class ContentDamaged(Damage):
    """A file in a layer is not the one that was imported."""

    def __init__(self, layer: str, name: str, reason: str) -> None:
        self.layer, self.name, self.reason = layer, name, reason
        super().__init__(
            f"layer {layer} has changed since it was imported: {name!r} {reason}",
            hint="the original archive cannot be rebuilt; run cstore check",
            go_text=f'file integrity checksum failed for "{name}"',
        )


class QuarantineDamaged(Damage):
    """The journal of a quarantine case cannot be read; the things in it are untouched."""

    def __init__(self, case: str, directory: str, reason: str) -> None:
        self.case, self.directory, self.reason = case, directory, reason
        super().__init__(
            f"quarantine case {case} cannot be undone: {reason}", hint=f"the case's files are in {directory}"
        )


class LayerNotVerified(Damage):
    """A layer was given back whole, and its digest is not the recorded one."""

    def __init__(self, layer: str, digest: str) -> None:
        self.layer, self.digest = layer, digest
        super().__init__(
            f"layer {layer} no longer matches the archive it was imported from, {digest}",
            hint="import the image again, or run cstore repair --from SOURCE",
            go_text=f"could not verify layer data for: {digest}. This may be because internal files in the layer store "
            "were modified. Re-pulling or rebuilding this image may resolve the issue",
        )


class ImageDamaged(Damage):
    """The config of an image in the store is missing, or not the one that its ID names."""

    def __init__(self, image: str, reason: str, *, go_text: str = "") -> None:
        self.image, self.reason = image, reason
        super().__init__(
            f"image {image} is damaged: {reason}",
            hint="import it again",
            go_text=go_text or f"failed to get digest {image}",
        )


class DockerRootDamaged(Damage):
    """Something in a Docker data root cannot be used."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} in the Docker data root is damaged: {reason}")


class NotChecked(CstoreError):
    """A check came to no end, so nothing can be said about the state of the store."""

    exit_code = 3

    def __init__(self, cause: CstoreError) -> None:
        self.cause = cause.kind
        super().__init__(f"the store could not be checked: {cause.message}", hint=cause.hint, go_text=cause.go_text)


# ── the bytes that came in are not a usable layer ─────────────────────────────────────────────────────────────────────


class ArchiveError(CstoreError):
    """The bytes that came in are not a layer that can be kept."""


class ArchiveMalformed(ArchiveError):
    """Not a tar stream, or a broken one. `offset` counts uncompressed bytes."""

    def __init__(self, reason: str, offset: int = 0, *, go_text: str = "archive/tar: invalid tar header") -> None:
        self.reason, self.offset = reason, offset
        super().__init__(f"the archive is not a valid tar at byte {offset}: {reason}", go_text=go_text)


class ArchiveTruncated(ArchiveError):
    """The stream ends too early. `offset` counts uncompressed bytes."""

    def __init__(self, where: str, offset: int = 0) -> None:
        self.where, self.offset = where, offset
        super().__init__(
            f"unexpected EOF: the archive ends at byte {offset}, {where}",
            hint="fetch the archive again",
            go_text="unexpected EOF",
        )


class ArchiveForeign(ArchiveError):
    """Something else than a tar: `found` says what."""

    def __init__(self, found: str, hint: str = "") -> None:
        self.found = found
        super().__init__(
            f"the archive is not a tar: it is {found}", hint=hint, go_text="archive/tar: invalid tar header"
        )


class ArchiveUnexpected(ArchiveError):
    """A sound archive that is not the one that was asked for. `digest` is of what came, `diff_digest` uncompressed."""

    def __init__(self, expected: str, digest: str, diff_digest: str, size: int) -> None:
        self.expected, self.digest, self.diff_digest, self.size = expected, digest, diff_digest, size
        found = f"it has digest {digest}" + (f", uncompressed {diff_digest}" if diff_digest != digest else "")
        if not size:
            found = "it is empty"
        wanted = f", expected {expected}" if expected else ""
        hint = "check whether the program that writes it failed" if not size else "fetch the archive again"
        super().__init__(f"cannot accept the archive: {found}{wanted}", hint=hint)


class ArchiveHostile(ArchiveError):
    """An entry tries to leave the layer, or names what no layer may hold."""

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        super().__init__(f"cannot accept the archive entry {name!r}: {reason}")


class EntryFailed(ArchiveError):
    """A sound entry that this system could not create. `owner`, if that is at fault: user and group that it needs.

    `needs` says where the owner is missing: in "the ID map" or in "the user namespace".
    """

    def __init__(
        self, name: str, reason: str, *, hint: str = "", owner: tuple[int, int] | None = None, needs: str = ""
    ) -> None:
        self.name, self.reason = name, reason
        if owner is not None:
            self.owner, self.needs = owner, needs
        super().__init__(f"cannot create the archive entry {name!r}: {reason}", hint=hint)


class CompressionFailed(ArchiveError):
    """The compressed stream is broken."""

    def __init__(self, compression: str, reason: str, *, hint: str = "fetch it again") -> None:
        self.compression, self.reason = compression, reason
        super().__init__(f"cannot read the {compression} stream: {reason}", hint=hint, go_text="unexpected EOF")


class ImageInvalid(ArchiveError):
    """An image whose config or manifest makes no sense."""

    def __init__(self, reason: str, *, go_text: str = "") -> None:
        self.reason = reason
        super().__init__(f"the image is not valid: {reason}", go_text=go_text)


class SourceUnusable(ArchiveError):
    """Something that lost bytes were to come from cannot be read."""

    def __init__(self, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"cannot repair from {path}: {reason}")


class ImageArchiveError(ArchiveError):
    """An archive of images is not what it says. `member` is the part of it that is at fault."""

    def __init__(self, member: str, reason: str, *, hint: str = "", go_text: str = "") -> None:
        self.member, self.reason = member, reason
        super().__init__(f"{member}: {reason}", hint=hint, go_text=go_text or reason)


class NoImage(ImageArchiveError):
    """A part of an archive that is no image. Beside an image, it is passed over."""


class MemberMissing(ImageArchiveError):
    """Something that an archive names and does not hold."""


# ── configuration, drivers, locks, the system ─────────────────────────────────────────────────────────────────────────


class ConfigError(CstoreError):
    """A configuration file, environment variable or option that makes no sense. `line` counts from 1, 0 if unknown."""

    def __init__(self, source: str, reason: str, *, line: int = 0, key: str = "", hint: str = "") -> None:
        self.source, self.reason, self.line, self.key = source, reason, line, key
        place = f"{source}, line {line}" if line else source
        super().__init__(f"{place}: {key}: {reason}" if key else f"{place}: {reason}", hint=hint)


class DriverError(CstoreError):
    """A storage driver cannot do what was asked here."""

    def __init__(self, driver: str, reason: str, *, hint: str = "", go_text: str = "") -> None:
        self.driver, self.reason = driver, reason
        super().__init__(f"storage driver {driver}: {reason}", hint=hint, go_text=go_text or reason)


class DriverUnknown(DriverError):
    """No such driver, or none for this store."""

    def __init__(self, driver: str, known: Iterable[str]) -> None:
        super().__init__(
            driver, "there is no such driver", hint=f"choose one of: {', '.join(known)}", go_text="driver not supported"
        )


class DriverUnusable(DriverError):
    """The driver exists, but not on this kernel or file system."""


class LockTimeout(CstoreError):
    """A lock was not to be had in the time allowed. `holder` is empty if nobody can be named."""

    def __init__(self, path: str, seconds: float, holder: str = "") -> None:
        self.path, self.seconds, self.holder = path, seconds, holder
        by = f" by {holder}" if holder else ""
        super().__init__(
            f"the lock {path} was held{by} for more than {seconds:g} s",
            hint="try again, or allow more time with --lock-timeout",
        )


def file_of(error: OSError) -> str:
    """The file that an error names; "" if none, or only a descriptor, by which directories are read."""
    name = error.filename
    return os.fsdecode(name) if isinstance(name, (str, bytes)) else ""


class SystemFailure(CstoreError):
    """The operating system refused: what was tried, on which path, and its reason."""

    def __init__(self, action: str, path: str, error: OSError, *, hint: str = "") -> None:
        self.action, self.path, self.errno = action, path, error.errno or 0
        reason = os.strerror(error.errno) if error.errno else str(error)
        super().__init__(f"cannot {action} {path}: {reason}", hint=hint, go_text=f"{action} {path}: {reason.lower()}")


class ForeignThing(SystemFailure):
    """Something stands in a store where a thing of another type belongs. It was not opened."""

    def __init__(self, path: str, found: str, wanted: str) -> None:
        super().__init__("use", path, OSError(22, ""))
        self.found, self.wanted = found, wanted
        self.message = self.go_text = f"{path} is {found} but should be {wanted}"
        self.hint = "cstore repair moves it into quarantine"
        self.args = (self.message,)

    def __reduce__(self) -> tuple[type[ForeignThing], tuple[str, str, str]]:
        return type(self), (self.path, self.found, self.wanted)


class ProgramMissing(SystemFailure):
    """A program that was to be run is not there. The exit code is a shell's."""

    exit_code = 127


class ProgramRefused(SystemFailure):
    """A program that was to be run is there, and cannot be run. The exit code is a shell's."""

    exit_code = 126
