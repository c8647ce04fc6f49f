"""The contract of storage drivers: layer IDs in, directories out.

The life of a layer's tree:

    stage ──► fill ──► adopt ──► read, mount, unmount ──► remove
       └────► discard (it failed)

A tree is *staged* above its parent without any lock, under a name that no reader takes for a layer. It is *filled*
there by unpacking an archive, or left empty. It is *adopted* under its ID by one rename, while the caller holds the
layer lock. No incomplete tree ever has a layer's ID. Removal is the reverse: one rename under the lock hides the tree,
and the slow deletion follows after the lock is released.

Terms used below: `layer` and `parent` are checked layer IDs; `tree` is a directory that holds a whole file system or,
for union drivers, the part of it that a layer adds; "under the lock" means the exclusive lock of the layer records.
"""

from __future__ import annotations

from cstore import errors
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
    Protocol = object  # only type checkers compare classes with it


class TreeOptions(Value):
    """The options of a new tree.

    `parent_map` is the ID map of the parent's owners, `id_map` that of the new tree. `far` is the directory in an
    additional layer store that has the layer's files; "" for an ordinary tree.
    """

    id_map: IDMap = IDENTITY
    parent_map: IDMap = IDENTITY
    mount_label: str = ""
    storage_options: Mapping[str, str] = {}
    read_only: bool = False
    far: str = ""


class MountOptions(Value):
    """The options of a mount.

    `id_map`: show these owners, if the driver can show others than are on disk. A mount that is not `lasting` ends with
    this process, so a driver that does not need a mount creates none.
    """

    label: str = ""
    options: tuple[str, ...] = ()
    read_only: bool = False
    volatile: bool = False
    id_map: IDMap = IDENTITY
    lasting: bool = True


class StagedTree(Value):
    """A tree that belongs to no layer yet.

    Attributes:
        tree: the directory to fill.
        form: the form of whiteouts in `tree`.
        has_lower: whether `tree` contains, or is above, files of other layers.
        staging: the staging directory that owns everything created so far.
        lowers: directories of lower layers, nearest first; none if `tree` is whole.
        unseen: a description of the lower layers after these, which cannot be read; "" for none.
        copied: whether contents were copied, which may not be on disk yet.
        force_mask: the mode of all files in `tree`, whose own mode is in an attribute; -1 if files have their own mode.
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
    """A removed tree that is out of sight but still on disk."""

    def finish(self) -> None:
        """Delete it. Call without locks; the next sweep deletes what cannot be deleted now."""


class Driver(Protocol):
    """A storage driver: it maps layer IDs to directories. One object serves one store in one process."""

    @property
    def name(self) -> str:
        """The name that prefixes the store's record directories."""

    @property
    def mounts_beside(self) -> bool:
        """Whether a layer may be mounted writable and read-only at the same time, at different paths."""

    def require(self) -> None:
        """Check, as far as possible without writing, that the driver can keep a new store here.

        Raises:
            DriverUnusable: the kernel, the file system or missing privileges prevent it.
        """

    def layers(self) -> list[str]:
        """Return the IDs that have a tree in this store, sorted. Needs no lock."""

    def exists(self, layer: str) -> bool:
        """Return whether `layer` has a tree, here or in an additional store. Needs no lock."""

    def path_of(self, layer: str) -> str:
        """Return the directory for everything that belongs to `layer` alone; it need not exist. Needs no lock."""

    def stage(self, parent: str | None, options: TreeOptions) -> StagedTree:
        """Create an empty, writable tree above `parent`. Needs no lock. On failure, nothing remains.

        Raises:
            DriverError: `parent` has no tree, or was removed in the meantime.
        """

    def stage_again(self, layer: str, parent: str | None) -> StagedTree:
        """Create a staged copy of `layer`'s own tree, which can be changed and passed to `replace`. Needs no lock."""

    def adopt(self, staged: StagedTree, layer: str, parent: str | None) -> None:
        """Give a staged tree its ID.

        Under the lock. A leftover tree with that ID, which has no record, is removed first. The caller has written the
        contents to disk if necessary; this method syncs what it creates and renames.
        """

    def replace(self, staged: StagedTree, layer: str, *, in_use: bool = False) -> Removal:
        """Replace `layer`'s tree by a staged one, which is on disk, in one step. Under the lock.

        A tree that a mount uses is refused; with `in_use`, it is changed in place instead, in several steps.
        """

    def remove(self, layer: str) -> Removal:
        """Move `layer`'s tree out of sight. Under the lock. A missing tree is no error."""

    def mount(self, layer: str, options: MountOptions) -> str:
        """Mount `layer` and return the path.

        Under the lock. Mounting again in the same way returns the same path. If the driver can write to a layer without
        a mount, read-only mounts have a different path.
        """

    def can_shift(self, id_map: IDMap) -> bool:
        """Return whether a layer without an ID map can be mounted with this one. Changes nothing."""

    def unmount(self, layer: str) -> None:
        """Undo `mount`. Under the lock. A layer that is not mounted is no error."""

    def is_mounted(self, layer: str, path: str) -> bool:
        """Return whether `path`, which is recorded as `layer`'s mount, is still mounted."""

    def content_roots(self, layer: str) -> Sequence[str]:
        """Return the directories with the files of `layer`'s archive, nearest first. Needs no lock."""

    def changes(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> list[Change]:
        """Return what `layer` adds, modifies and deletes compared with `base` (None: with nothing), sorted by path."""

    def write_diff(
        self, layer: str, base: str | None, sink: Sink, layer_map: IDMap, base_map: IDMap, gone_at: float | None = None
    ) -> None:
        """Write these changes as an uncompressed tar.

        `gone_at`: the time of whiteouts, in seconds since 1970; None for the time that the tree has for them, or else
        the present.
        """

    def diff_size(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> int:
        """Return the bytes in added and modified files, counting hard links once."""

    def far_side(self, digest: str, reference: str) -> str:
        """Return the directory of a layer in an additional layer store, by its digest or that of its table of contents.

        Raises:
            DriverError: no store has it, or the driver does not support such stores.
        """

    def far_blob(self, layer: str) -> str:
        """Return the original archive of a layer in an additional layer store; "" for any other layer."""

    def tree_of(self, layer: str) -> AbstractContextManager[str]:
        """Yield the whole file system of `layer` as a directory to read."""

    def stale(self) -> list[str]:
        """Return staged and partly removed trees whose owner is dead. Needs no lock and changes nothing."""

    def sweep(self) -> list[str]:
        """Remove the paths that `stale` returns, as far as possible; return the removed ones. Needs no lock."""

    def debris(self) -> list[str]:
        """Return unused files in the driver's home that killed processes left. Needs no lock, changes nothing.

        Without the lock of the layers, a returned file may be in creation.
        """

    def status(self) -> list[tuple[str, str]]:
        """Return driver facts for `cstore status`, which follow the common ones."""

    def shutdown(self) -> None:
        """Release mounts and other resources that the driver holds while no layer is mounted."""


# ── what drivers share ──


def limit_in(driver: str, options: Mapping[str, str]) -> int | None:
    """Read the storage option `size`, which limits the size of a layer, in bytes; None if it is not set.

    Raises:
        DriverError: an option is unknown, or the size is invalid.
    """
    from cstore.config.driver_options import parse_size

    size = None
    for key, value in options.items():
        if key.lower() != "size":
            raise errors.DriverError(driver, f"it has no storage option {key!r}", go_text=f"unknown option {key}")
        try:
            size = parse_size(value)
        except ValueError as error:
            raise errors.DriverError(driver, f"storage option size: {error}") from None
    return size


def directory_lost(driver: str, layer: str, searched: Sequence[str], go_text: str) -> errors.DriverError:
    """Create the error for a layer that has a record but no directory.

    Args:
        driver: the driver's name.
        layer: the layer's ID.
        searched: the paths where its directory was searched, the store's own first. With more than one, the record may
            belong to an additional store, which is read-only.
        go_text: the Go tool's message.
    """
    hint = "its contents are lost; cstore delete-layer removes the record"
    if len(searched) > 1:
        hint = "its contents are lost; cstore repair --dry-run names the store and the remedy"
    return errors.DriverError(
        driver, f"layer {layer} has no directory in {' or '.join(searched)}", hint=hint, go_text=go_text
    )


class StagedRemoval:
    """A removed tree in a staging directory, which is deleted with it."""

    def __init__(self, staging: StagingDirectory) -> None:
        self._staging = staging

    def finish(self) -> None:
        """See `Removal.finish`."""
        self._staging.remove()


class NoRemoval:
    """A removal with nothing to delete."""

    def finish(self) -> None:
        """See `Removal.finish`."""


if TYPE_CHECKING:
    _: tuple[type[Removal], type[Removal]] = (StagedRemoval, NoRemoval)
