"""The contract of a storage driver: layer IDs in, directories out.

The life of a layer's tree:

    stage ──► fill ──► adopt ──► read, mount, unmount ──► remove
       └────► discard (it failed)

A tree is *staged* above its parent without any lock and under a name that no reader takes for a layer; it is *filled*
there (by unpacking an archive, or not at all); it is *adopted* under its ID by one rename while the caller holds the
layer lock. Nothing half-made ever carries a layer's ID. Removal runs the other way: one rename under the lock takes the
tree out of sight, and the slow deletion happens after the lock is released.

Words used below: `layer` and `parent` are checked layer IDs; `tree` is a directory that holds a whole file system or,
for union drivers, the part of it that a layer adds; "under the lock" means the exclusive lock of the layer records.
"""

from __future__ import annotations

from cstore.idmap import IDENTITY, IDMap
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Protocol

    from cstore.archive.changes import Change
    from cstore.archive.streams import Sink
    from cstore.archive.whiteout import WhiteoutForm
    from cstore.fs.staging import StagingDirectory
else:
    Protocol = object  # only type checkers hold a class against it


class TreeOptions(Value):
    """How a new tree is made.

    `parent_map` maps the parent's owners, `id_map` those of the new tree. With `far`, there is none: an additional
    layer store keeps it there.
    """

    id_map: IDMap = IDENTITY
    parent_map: IDMap = IDENTITY
    mount_label: str = ""
    storage_options: Mapping[str, str] = {}
    read_only: bool = False
    far: str = ""


class MountOptions(Value):
    """How a layer is mounted.

    `id_map`: with these owners, where the driver can show others than are on disk. A mount that is not `lasting` ends
    with this process: a driver that need not mount anything then does not.
    """

    label: str = ""
    options: tuple[str, ...] = ()
    read_only: bool = False
    volatile: bool = False
    id_map: IDMap = IDENTITY
    lasting: bool = True


class StagedTree(Value):
    """A tree that no layer owns yet.

    Attributes:
        tree: the directory to fill.
        form: how removals are represented in `tree`.
        has_lower: whether `tree` contains, or is stacked on, the files of other layers.
        staging: the staging directory that owns everything made so far.
        lowers: directories of other layers that lie below `tree`, nearest first; none if `tree` is whole.
        unseen: what lies below the last of those and cannot be read, in words; "" for nothing.
        copied: whether contents were copied already, which may be only in memory still.
        force_mask: the mode of all that is made in `tree`, what it should have being in an attribute; -1 for its own.
    """

    tree: str
    form: WhiteoutForm
    has_lower: bool
    staging: StagingDirectory
    lowers: tuple[str, ...] = ()
    unseen: str = ""
    copied: bool = False
    force_mask: int = -1


class Removal(Protocol):
    """A tree out of sight but still on disk."""

    def finish(self) -> None:
        """Delete it. Call without locks; what cannot be deleted now is left for the next sweep."""


class Driver(Protocol):
    """Turns layer IDs into directories. One object serves one store in one process."""

    @property
    def name(self) -> str:
        """The name that prefixes the store's record directories."""

    @property
    def mounts_beside(self) -> bool:
        """Whether one layer may be mounted for writing and read-only at once, each with a path of its own."""

    def require(self) -> None:
        """Make sure, as far as that can be told without writing, that a new store can be kept here.

        Raises:
            DriverUnusable: this kernel, this file system or these privileges do not allow it.
        """

    def layers(self) -> list[str]:
        """The IDs that have a tree here, sorted. Needs no lock."""

    def exists(self, layer: str) -> bool:
        """Whether `layer` has a tree, here or in an additional store. Needs no lock."""

    def path_of(self, layer: str) -> str:
        """Where everything that only `layer` has is kept, whether it exists or not. Needs no lock."""

    def stage(self, parent: str | None, options: TreeOptions) -> StagedTree:
        """Make an empty, writable tree above `parent`. Needs no lock. If this raises, nothing of it remains.

        Raises:
            DriverError: there is no tree for `parent`, or it was removed meanwhile.
        """

    def stage_again(self, layer: str, parent: str | None) -> StagedTree:
        """Make a staged copy of `layer`'s own tree, to change it and then `replace` it. Needs no lock."""

    def adopt(self, staged: StagedTree, layer: str, parent: str | None) -> None:
        """Give a staged tree its ID.

        Under the lock. A leftover tree of that ID, which no record owns, is removed first. The contents are on the disk
        already, if that matters; what is made or renamed here follows them there.
        """

    def replace(self, staged: StagedTree, layer: str, *, in_use: bool = False) -> Removal:
        """Put a staged tree, which is on the disk, in the place of `layer`'s tree, in one step. Under the lock.

        A tree that a mount holds on to is refused, or with `in_use` changed where it is, in as many steps as it takes.
        """

    def remove(self, layer: str) -> Removal:
        """Hide `layer`'s tree. Under the lock. A missing tree is not an error."""

    def mount(self, layer: str, options: MountOptions) -> str:
        """Make `layer` usable as a directory and return its path.

        Under the lock; mounting twice in the same way gives the same path. If the driver needs no mount to write to a
        layer, a read-only mount has a different path.
        """

    def can_shift(self, id_map: IDMap) -> bool:
        """Whether a layer without an ID map can be mounted with this one. Changes nothing."""

    def unmount(self, layer: str) -> None:
        """Undo `mount`. Under the lock; a layer that is not mounted is not an error."""

    def is_mounted(self, layer: str, path: str) -> bool:
        """Whether `path`, recorded as `layer`'s mount, still is one."""

    def content_roots(self, layer: str) -> Sequence[str]:
        """Directories in which the files of `layer`'s archive are found, nearest first. Needs no lock."""

    def changes(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> list[Change]:
        """Return the changes of `layer` against `base` (None: against nothing), sorted by path."""

    def write_diff(
        self, layer: str, base: str | None, sink: Sink, layer_map: IDMap, base_map: IDMap, gone_at: float | None = None
    ) -> None:
        """Write the same as an uncompressed tar.

        `gone_at`: the time of what says that something is gone, in seconds since 1970; None for what the tree says of
        it or, where that says nothing, the present.
        """

    def diff_size(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> int:
        """Bytes in added and modified non-directories, hard links once."""

    def far_side(self, digest: str, reference: str) -> str:
        """The directory in which an additional layer store keeps a layer, by the digest of it or of its contents.

        Raises:
            DriverError: none has it, or the driver knows no such stores.
        """

    def far_blob(self, layer: str) -> str:
        """The archive of a layer that an additional layer store keeps, as it was pushed; "" for any other layer."""

    def tree_of(self, layer: str) -> AbstractContextManager[str]:
        """The whole file system of `layer` as a directory to read, for as long as the context lasts."""

    def stale(self) -> list[str]:
        """Staged and half-removed trees whose owner is gone. Needs no lock and changes nothing."""

    def sweep(self) -> list[str]:
        """Remove what `stale` names, as far as possible; return what is gone. Needs no lock."""

    def debris(self) -> list[str]:
        """Files in the driver's home that a killed process left, and that nothing uses. Needs no lock, changes nothing.

        Without the lock of the layers, one may be there that is just being made.
        """

    def status(self) -> list[tuple[str, str]]:
        """Facts for `cstore status`, after the common ones."""

    def shutdown(self) -> None:
        """Release what the driver holds while no layer is mounted."""


# ── removals ──
#
# The two ways in which a removal is concluded once the locks are free.


class StagedRemoval:
    """Hidden trees are in a staging directory, and are deleted with it."""

    def __init__(self, staging: StagingDirectory) -> None:
        self._staging = staging

    def finish(self) -> None:
        """See `Removal.finish`."""
        self._staging.remove()


class NoRemoval:
    """There was nothing to remove."""

    def finish(self) -> None:
        """See `Removal.finish`."""


if TYPE_CHECKING:
    _: tuple[type[Removal], type[Removal]] = (StagedRemoval, NoRemoval)
