"""The error hierarchy: every failure that cstore can explain.

The modules of this package define the classes by branch; all are imported from here, at first use.

CstoreError
├── UnknownItem            no item matches that ID or name
│   ├── LayerUnknown, ImageUnknown, ContainerUnknown
│   ├── NotALayer, NotAnImage, NotAContainer, NotAnItem, AmbiguousItem, NameUnknown
│   ├── ParentUnknown, ImageWithoutLayers
│   ├── ChainUnknown, WritableLayerUnknown, AmbiguousImageID, ParentImageUnknown
│   └── DataItemUnknown, CaseUnknown
├── Taken                  the ID or name is in use
│   ├── IDTaken, TopLayerDiffers, NameTaken, WritableLayerTaken
├── InUse                  something still needs the item
│   ├── LayerHasChildren, LayerUsedByImage, LayerUsedByContainer, ImageUsedByContainer, ContainerOccupied
│   ├── ParentIsContainer, LayerChanged, LayersMounted, DataItemNeeded, LayerRecorded
├── Refused                the request itself cannot be granted
│   ├── InvalidID, InvalidName, InvalidDigest, InvalidTime, InvalidDataName, InvalidIDMap, IDNotMapped, InvalidOption
│   ├── DoesNotFit, LayerNotMounted, NotAgreed, NoFreeIDs, NoStore, ReadOnlyStore, Unsupported
│   ├── LayerNotRetained, ChainTooDeep, NotAnAncestor, WrongSystem, UsageMistake, InvalidDuration
├── Damage                 the store is damaged
│   ├── RecordsDamaged, RecordsChanged, UnsafeID, LayerMissing, TarSplitDamaged, ContentDamaged
│   ├── LayerNotVerified, ImageDamaged, DockerRootDamaged, QuarantineDamaged
├── ArchiveError           the input is not a usable layer or image
│   ├── ArchiveMalformed, ArchiveTruncated, ArchiveForeign, ArchiveUnexpected, ArchiveHostile, EntryFailed
│   ├── CompressionFailed, ImageInvalid, ImageArchiveError, NoImage, MemberMissing, SourceUnusable
├── ConfigError            a configuration file, variable or option is invalid
├── DriverError            a storage driver cannot do this here
│   └── DriverUnknown, DriverUnusable
├── NotChecked             a check did not finish
├── RegistryError          a registry failed or refused (all of them in cstore/registry/errors.py)
├── LockTimeout            another process held a lock for too long
└── SystemFailure          the operating system refused
    └── ForeignThing, ProgramMissing, ProgramRefused

An error has a sentence (`message`), a remedy (`hint`), its data (public attributes, in `parts()`), an exit code, and
`go_text`: the text that the Go tools print instead, which scripts find in JSON output. This module imports nothing
of cstore.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar


def _rebuilt(kind: type[CstoreError], message: str) -> CstoreError:
    """Recreate an error without calling its constructor, whose arguments are not the sentence; its state follows."""
    return kind.__new__(kind, message)


class CstoreError(Exception):
    """The base class: a sentence, a remedy, and the Go tool's text.

    Every error can be pickled and copied with its sentence, hint and data: worker processes pass them on.
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
        """The error's stable name in JSON."""
        return type(self).__name__

    def parts(self) -> dict[str, Any]:
        """Return the error's own fields, ready for JSON."""
        common = {"message", "hint", "go_text"}
        return {name: value for name, value in vars(self).items() if name not in common and not name.startswith("_")}


def taken_apart(error: CstoreError) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Return the class, arguments and fields of an error, for marshal(3); its data must be such, too."""
    return type(error).__name__, error.args, vars(error)


def put_together(parts: tuple[str, tuple[Any, ...], dict[str, Any]]) -> CstoreError:
    """Recreate an error that another process has `taken_apart`, without calling its constructor."""
    name, arguments, fields = parts
    kind: type[CstoreError] = getattr(sys.modules[__name__], name, CstoreError)
    error = kind.__new__(kind)
    error.args = arguments
    vars(error).update(fields)
    return error


_BRANCHES = ("system", "requests", "items", "contents")


def load(*branches: str) -> None:
    """Import the classes of these branches now, or all, for code that later cannot import anything, as in a chroot."""
    for branch in branches or _BRANCHES:
        __import__(f"cstore.errors.{branch}")


if TYPE_CHECKING:
    from cstore.errors.contents import *  # noqa: F403  - one public namespace for all errors
    from cstore.errors.items import *  # noqa: F403
    from cstore.errors.requests import *  # noqa: F403
    from cstore.errors.system import *  # noqa: F403
else:

    def __getattr__(name: str) -> type[CstoreError]:
        """Import error classes at first use (PEP 562).

        Creating a class takes as long as importing a small file, and most commands succeed. So modules of common
        commands have `from cstore import errors` and write `errors.LayerUnknown` where they raise or catch it.
        """
        homes = [f"cstore.errors.{branch}" for branch in _BRANCHES if name[:1].isupper()]
        for home in sorted(homes, key=lambda home: home not in sys.modules):  # those that are loaded first
            found = getattr(__import__(home, fromlist=[name]), name, None)
            if found is not None:
                globals()[name] = found
                return found
        raise AttributeError(f"module 'cstore.errors' has no attribute {name!r}")
