"""The error family: every failure cstore can explain, on one screen.

The modules of this package have them, by branches, and all are imported from here: when one is first needed.

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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


def _rebuilt(kind: type[CstoreError], message: str) -> CstoreError:
    """Make an error again without its own constructor, whose arguments are not the sentence; its state follows."""
    return kind.__new__(kind, message)


class CstoreError(Exception):
    """The base class of all errors: a sentence, a hint, and the Go tool's message.

    Every error can be pickled and copied with its attributes: worker processes pass them on.
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


_BRANCHES = ("system", "requests", "items", "contents")


def load() -> None:
    """Import the whole family now: for who may need it where nothing can be, in a forked worker or a chroot."""
    for branch in _BRANCHES:
        __import__(f"cstore.errors.{branch}")


if TYPE_CHECKING:
    from cstore.errors.contents import *  # noqa: F403  - the family has one door, and is public as a whole
    from cstore.errors.items import *  # noqa: F403
    from cstore.errors.requests import *  # noqa: F403
    from cstore.errors.system import *  # noqa: F403
else:

    def __getattr__(name: str) -> type[CstoreError]:
        """Import errors when one is first asked for (PEP 562).

        A class takes as long to make as a small file to import, and most commands succeed. So whatever such a command
        imports has `from cstore import errors`, and names `errors.LayerUnknown` where it is raised or caught.
        """
        for branch in _BRANCHES if name[:1].isupper() else ():
            found = getattr(__import__(f"cstore.errors.{branch}", fromlist=[name]), name, None)
            if found is not None:
                globals()[name] = found
                return found
        raise AttributeError(f"module 'cstore.errors' has no attribute {name!r}")
