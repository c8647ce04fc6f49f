"""The base of drivers whose layers are whole trees, each in a directory named after its layer.

    HOME/                       0700
    └── TREES/<layer>/                the parent's tree plus the layer's changes

Trees are staged and removed beside the home, see staging.py. A `TreeMaker` creates, copies and deletes them.
"""

from __future__ import annotations

import os

from cstore import errors
from cstore.drivers.views import Views
from cstore.fs import within
from cstore.idmap import IDENTITY, IDMap
from cstore.ids import check_part, flaw_of_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Protocol, Self, TypeAlias

    from cstore.archive.changes import Change
    from cstore.archive.streams import Sink
    from cstore.drivers.contract import Driver, MountOptions, Removal, StagedTree, TreeOptions
    from cstore.drivers.staging import HomeStaging
    from cstore.fs.staging import StagingDirectory

    Owners: TypeAlias = Callable[[int, int], tuple[int, int]] | None
else:
    Protocol = object

ROOT_MODE = 0o555
"""The mode of a base layer's root directory until its archive sets another."""
_EMPTY = 2
"""The link count of a directory without subdirectories, on most file systems."""


class TreeMaker(Protocol):
    """The way to create, copy and delete trees on a file system."""

    def make(self, tree: str, layer_root: tuple[int, int]) -> None:
        """Create an empty tree whose root belongs to `layer_root`. Raises OSError."""

    def copy(self, source: str, tree: str, layer: str, owner: Owners) -> bool:
        """Create `tree` as a copy of `source`, the tree of `layer`; `owner`, if any, maps the owners. Raises OSError.

        Returns:
            Whether contents were copied, which may not be on disk yet.
        """

    def destroy(self, path: str) -> None:
        """Delete a directory with all its contents, trees or not. Raises SystemFailure if something remains."""


class TreeHome:
    """A driver's home with the layout above."""

    def __init__(self, path: str, folder: str, maker: TreeMaker) -> None:
        self.path, self.folder, self.maker = path, folder, maker
        self.trees = os.path.join(path, folder)

    def tree(self, layer: str) -> str:
        """Return the path of a layer's tree; raises UnsafeID if it would be elsewhere."""
        return os.path.join(self.trees, check_part(layer))

    def holds(self, layer: str) -> bool:
        """Return whether the tree is a directory; a symbolic link does not count, as drivers create none."""
        return within.is_directory(self.path, f"{self.folder}/{check_part(layer)}")

    def occupied(self, layer: str) -> bool:
        """Return whether anything exists at the path of a layer's tree.

        Raises:
            ForeignThing: the directory of all trees is something else.
            SystemFailure: the path cannot be examined.
        """
        try:
            with within.parent_of(self.path, f"{self.folder}/{check_part(layer)}") as (folder, name):
                os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise errors.SystemFailure("examine", self.tree(layer), error) from None
        return True

    @property
    def staging(self) -> HomeStaging:
        """The staging places for trees of this home."""
        from cstore.drivers.staging import HomeStaging

        return HomeStaging(self.path, destroy=self.maker.destroy)


class WholeTrees:
    """A driver without its name and options.

    Layers are searched in the driver's own home, then in those of additional stores, then in that of the image store,
    which receives read-only layers.
    """

    name = ""
    mounts_beside = True

    def __init__(
        self,
        home: TreeHome,
        run_home: str,
        *,
        image_home: TreeHome | None = None,
        foreign: Sequence[TreeHome] = (),
        sync: bool = True,
    ) -> None:
        self._home = home
        self._views = Views(run_home, home.path)
        self._image_home = image_home or home
        self._foreign = foreign
        self._sync = sync

    # ── lookup ──

    def require(self) -> None:
        """See `Driver.require`: a driver that needs a certain file system checks it when it is created."""

    def layers(self) -> list[str]:
        """See `Driver.layers`."""
        trees = self._home.trees
        try:
            within.require_directory(self._home.path, self._home.folder)
            fd = within.open_folder(trees, os.O_RDONLY)
            try:
                with os.scandir(fd) as entries:
                    return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
            finally:
                os.close(fd)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise errors.SystemFailure("list the layers in", trees, error) from error

    def path_of(self, layer: str) -> str:
        """See `Driver.path_of`."""
        return self._home_of(layer).tree(layer)

    def exists(self, layer: str) -> bool:
        """See `Driver.exists`."""
        return any(home.holds(layer) for home in self._all_homes())

    def _all_homes(self) -> list[TreeHome]:
        """Return all homes in search order."""
        return [self._home, *self._foreign, self._image_home]

    def _home_of(self, layer: str) -> TreeHome:
        """Return the store's own home that has `layer`, or in which it would be created."""
        if self._image_home is not self._home and self._image_home.occupied(layer):
            return self._image_home
        return self._home

    def _path(self, layer: str) -> str:
        """Return the tree of `layer`, in this or an additional store."""
        for home in self._all_homes():
            if home.holds(layer):
                return home.tree(layer)
        from cstore.drivers.contract import directory_lost

        own = self._home.tree(layer)
        searched = list(dict.fromkeys(home.trees for home in self._all_homes()))
        raise directory_lost(self.name, layer, searched, f"stat {own}: no such file or directory")

    # ── creation ──

    def stage(self, parent: str | None, options: TreeOptions) -> StagedTree:
        """See `Driver.stage`."""
        home = self._image_home if options.read_only else self._home
        if parent is not None:
            return self._stage_copy(home, parent, remapper(options.parent_map, options.id_map))
        with _Staging(home) as staging:
            home.maker.make(staging.tree, options.id_map.to_host(0, 0))
            return staging.staged(has_lower=False)

    def stage_again(self, layer: str, parent: str | None) -> StagedTree:
        """See `Driver.stage_again`."""
        del parent  # the tree of a layer holds its parent's contents already
        return self._stage_copy(self._home_of(layer), layer, None)

    def _stage_copy(self, home: TreeHome, layer: str, owner: Owners) -> StagedTree:
        source = self._path(layer)
        with _Staging(home) as staging:
            copied = home.maker.copy(source, staging.tree, layer, owner)
            return staging.staged(has_lower=True, copied=copied)

    def adopt(self, staged: StagedTree, layer: str, parent: str | None) -> None:
        """See `Driver.adopt`."""
        from cstore.fs.atomic import sync_directory
        from cstore.fs.rename import rename_within

        del parent
        home = self._image_home if self._image_home.staging.made(staged.staging) else self._home
        target = home.tree(layer)
        try:
            within.make_directories(home.path, home.folder)
            if self._sync and os.stat(home.trees).st_nlink <= _EMPTY:
                sync_directory(home.path)  # its creator may not have synced it
        except OSError as error:
            raise errors.SystemFailure("create the directory", home.trees, error) from error
        staged.staging.take(target)  # a leftover tree is deleted with it, after the lock is released
        if self._image_home is not self._home:
            self.remove(layer).finish()  # one in the other home would hide the new tree, or be hidden by it
        try:
            if self._sync:
                sync_directory(staged.tree)
            rename_within(os.path.dirname(home.path), staged.tree, target)
            if self._sync:
                sync_directory(home.trees)
        except OSError as error:
            raise errors.SystemFailure("create the layer directory", target, error) from error

    def replace(self, staged: StagedTree, layer: str, *, in_use: bool = False) -> Removal:
        """See `Driver.replace`: only views are mounted, and they then show the new tree."""
        del in_use
        from cstore.drivers.contract import StagedRemoval
        from cstore.fs.atomic import sync_directory
        from cstore.fs.rename import exchange_within

        target = self.path_of(layer)
        shown = self._views.shows(layer, target)
        try:
            exchange_within(os.path.dirname(self._home_of(layer).path), staged.tree, target)
            if self._sync:
                sync_directory(os.path.dirname(target))
        except OSError as error:
            raise errors.SystemFailure("replace the layer directory", target, error) from error
        if shown:
            self._views.show(layer, target)
        return StagedRemoval(staged.staging)

    def remove(self, layer: str) -> Removal:
        """See `Driver.remove`."""
        from cstore.drivers.contract import NoRemoval, StagedRemoval

        home = self._home_of(layer)
        target = home.tree(layer)
        self._views.take_away(layer)
        if not home.occupied(layer):
            return NoRemoval()
        staging = home.staging.put_aside(target)
        return NoRemoval() if staging is None else StagedRemoval(staging)

    def stale(self) -> list[str]:
        """See `Driver.stale`."""
        return [*(path for home in self._own_homes() for path in home.staging.stale()), *self._views.stale()]

    def sweep(self) -> list[str]:
        """See `Driver.sweep`."""
        return [*(path for home in self._own_homes() for path in home.staging.sweep()), *self._views.sweep()]

    def debris(self) -> list[str]:
        """See `Driver.debris`: there are no other files in the home."""
        return []

    def _own_homes(self) -> list[TreeHome]:
        return [self._home] if self._image_home is self._home else [self._home, self._image_home]

    # ── use ──

    def mount(self, layer: str, options: MountOptions) -> str:
        """See `Driver.mount`: the tree itself is the mount point, or a view of it."""
        if any(option != "ro" for option in options.options):
            raise no_mount_options(self.name)
        tree = self._path(layer)
        return self._views.show(layer, tree) if options.read_only and options.lasting else tree

    def can_shift(self, id_map: IDMap) -> bool:
        """See `Driver.can_shift`: users see the owners on disk."""
        return not id_map

    def unmount(self, layer: str) -> None:
        """See `Driver.unmount`: only a view must be removed, and an invalid ID has none."""
        if not flaw_of_part(layer):
            self._views.take_away(layer)

    def is_mounted(self, layer: str, path: str) -> bool:
        """See `Driver.is_mounted`."""
        try:
            return os.path.samefile(path, self._path(layer))
        except (OSError, ValueError, errors.CstoreError):
            return False  # a mount's record is not trusted

    def content_roots(self, layer: str) -> Sequence[str]:
        """See `Driver.content_roots`."""
        return (self._path(layer),)

    def far_side(self, digest: str, reference: str) -> str:
        """See `Driver.far_side`: whole trees are never elsewhere."""
        del digest, reference
        raise errors.DriverError(self.name, "it has no additional layer stores", hint="use the driver overlay")

    def far_blob(self, layer: str) -> str:
        """See `Driver.far_blob`."""
        del layer
        return ""

    def tree_of(self, layer: str) -> AbstractContextManager[str]:
        """See `Driver.tree_of`."""
        from cstore.contexts import nullcontext

        return nullcontext(self._path(layer))

    def changes(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> list[Change]:
        """See `Driver.changes`."""
        from cstore.drivers.tree_diff import tree_changes

        return tree_changes(self, layer, base, layer_map, base_map)

    def write_diff(
        self, layer: str, base: str | None, sink: Sink, layer_map: IDMap, base_map: IDMap, gone_at: float | None = None
    ) -> None:
        """See `Driver.write_diff`."""
        from cstore.drivers.tree_diff import write_tree_diff

        write_tree_diff(self, layer, base, sink, layer_map, base_map, gone_at)

    def diff_size(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> int:
        """See `Driver.diff_size`."""
        from cstore.drivers.tree_diff import tree_diff_size

        return tree_diff_size(self, layer, base, layer_map, base_map)

    def status(self) -> list[tuple[str, str]]:
        """See `Driver.status`: no additional facts."""
        return []

    def shutdown(self) -> None:
        """See `Driver.shutdown`: nothing to release."""


if TYPE_CHECKING:
    _: type[Driver] = WholeTrees


class _Staging:
    """A tree under construction, in a staging directory that is removed on failure."""

    def __init__(self, home: TreeHome) -> None:
        self._directory: StagingDirectory = home.staging.reserve()
        self.tree = os.path.join(self._directory.path, "tree")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._directory.remove()
        if isinstance(error, OSError):
            raise errors.SystemFailure("create a layer in", self._directory.path, error) from error

    def staged(self, *, has_lower: bool, copied: bool = False) -> StagedTree:
        """Return the staged tree for the caller to fill."""
        from cstore.archive.whiteout import WhiteoutForm
        from cstore.drivers.contract import StagedTree

        return StagedTree(self.tree, WhiteoutForm.PLAIN, has_lower, self._directory, copied=copied)


def make_root(tree: str, owner: tuple[int, int]) -> None:
    """Set the first owner and mode of a base layer's existing root. Raises OSError."""
    fd = within.open_folder(tree, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        if os.geteuid() == 0:
            os.fchown(fd, *owner)
        os.fchmod(fd, ROOT_MODE)
    finally:
        os.close(fd)


def no_mount_options(driver: str) -> errors.DriverError:
    """Return the error for mount options of a driver that does not mount."""
    text = f"{driver} driver does not support mount options"
    return errors.DriverError(driver, "it does not support mount options", hint="leave them out", go_text=text)


def remapper(old: IDMap, new: IDMap) -> Owners:
    """Return how owners change from a tree with the map `old` to one with `new`; None if they do not."""
    if old == new or (old == IDENTITY and new == IDENTITY):
        return None

    def owner(uid: int, gid: int) -> tuple[int, int]:
        return new.to_host(*old.to_container(uid, gid))

    return owner
