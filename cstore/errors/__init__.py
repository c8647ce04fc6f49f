"""The error family: every failure cstore can explain, on one screen.

Here are those that every command needs; `contents`, `items` and `requests` have the others, which are imported from
here all the same.

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
    from collections.abc import Iterable
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


if TYPE_CHECKING:
    from cstore.errors.contents import *  # noqa: F403  - the family has one door, and is public as a whole
    from cstore.errors.items import *  # noqa: F403
    from cstore.errors.requests import *  # noqa: F403
else:

    def __getattr__(name: str) -> type[CstoreError]:
        """Import the errors that only failures need when one is first asked for (PEP 562).

        A class takes as long to make as a small file to import, and most commands succeed.
        """
        for branch in ("contents", "items", "requests") if name[:1].isupper() else ():
            found = getattr(__import__(f"cstore.errors.{branch}", fromlist=[name]), name, None)
            if found is not None:
                return found
        raise AttributeError(f"module 'cstore.errors' has no attribute {name!r}")


# ── nothing answers to that ID or name ────────────────────────────────────────────────────────────────────────────────


class UnknownItem(CstoreError):
    """Nothing in the store answers to an ID or name."""

    noun: ClassVar[str] = "layer, image or container"
    listing: ClassVar[str] = "cstore layers"
    go_phrase: ClassVar[str] = "identifier is not a layer, image, or container"
    phrase: ClassVar[str] = ""
    """What the sentence begins with, if not with the Go tool's own words, which scripts look for."""

    def __init__(self, item: str) -> None:
        self.item = item
        super().__init__(
            f"{self.phrase or self.go_phrase}: {item!r}", hint=f"see {self.listing}", go_text=self.go_phrase
        )

    def only_in(self, path: str, noun: str) -> ReadOnlyStore:
        """The error for what is known, but in an additional store, where it cannot be changed."""
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
    """The record of the layer that another one builds on is not there, or its parents lead round in a circle."""

    def __init__(self, layer: str, parent: str) -> None:
        super().__init__(parent)
        self.layer, self.parent = layer, parent
        self.message = f"parent of layer not known: layer {layer} has the parent {parent!r}, which has no record"
        self.hint = "run cstore check, then cstore repair --dry-run"
        self.go_text = "parent of layer not known"


class DataItemUnknown(UnknownItem):
    """The owner is known, the data item is not."""

    def __init__(self, noun: str, owner: str, key: str) -> None:
        self.owner, self.key = owner, key
        super().__init__(key)
        self.message = f"{noun} {owner} has no data item {key!r}"
        self.hint = f"see cstore list-{noun}-data {owner}"
        self.go_text = f'locating item named "{key}" for {noun} with ID "{owner}": file does not exist'


class NotAnItem(UnknownItem):
    """Neither a layer nor an image nor a container has that ID or name."""


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


# ── something still needs it ──────────────────────────────────────────────────────────────────────────────────────────


class InUse(CstoreError):
    """Something else still needs the item."""


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


class ReadOnlyStore(Refused):
    """A write was asked of a store, or of a part of it, that is only read."""

    def __init__(self, action: str, path: str) -> None:
        self.action, self.path = action, path
        super().__init__(
            f"called a write method on a read-only store: cannot {action} at {path}",
            go_text=f'not allowed to {action} at "{path}": called a write method on a read-only store',
        )


class Unsupported(Refused):
    """Not possible with this driver, kernel or file."""


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


# ── the bytes that came in are not a usable layer ─────────────────────────────────────────────────────────────────────


class ArchiveError(CstoreError):
    """The bytes that came in are not a layer that can be kept."""


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


class LockTimeout(CstoreError):
    """A lock was not to be had in the time allowed. `holder` is empty if nobody can be named."""

    def __init__(self, path: str, seconds: float, holder: str = "") -> None:
        self.path, self.seconds, self.holder = path, seconds, holder
        by = f" by {holder}" if holder else ""
        super().__init__(
            f"the lock {path} was held{by} for more than {seconds:g} s",
            hint="try again, or allow more time with --lock-timeout",
        )


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
