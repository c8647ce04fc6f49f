"""The vfs driver: every layer is a whole tree of its own.

    HOME/                       0700
    ├── dir/<layer>/                  parent's tree plus the layer's changes
    └── tempdirs/               0700  trees being made or removed, see fs/staging.py

It works on every file system and needs no privilege; a layer costs as much space as all that is below it, except where
the file system shares blocks between copies (reflinks). (drivers 8, store-format 11.1)
"""

from __future__ import annotations

import os
import stat

from cstore.errors import CstoreError, DriverError, SystemFailure
from cstore.idmap import IDENTITY, IDMap
from cstore.ids import check_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from cstore.archive.changes import Change
    from cstore.archive.streams import Sink
    from cstore.drivers.contract import Driver, MountOptions, Removal, StagedTree, TreeOptions
    from cstore.drivers.registry import DriverPlace
    from cstore.fs.staging import StagingRoot

ROOT_MODE = 0o555
"""Mode of a base layer's root directory until its archive says otherwise."""


class _Home:
    """A directory laid out as drawn above: under the graph root, or under a separate image store."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.trees = os.path.join(path, "dir")

    def tree(self, layer: str) -> str:
        """Name the tree of `layer`; raises UnsafeID if that would be elsewhere."""
        return os.path.join(self.trees, check_part(layer))

    def holds(self, layer: str) -> bool:
        """Whether there is a directory: what a link leads to was not made by a driver."""
        try:
            return stat.S_ISDIR(os.lstat(self.tree(layer)).st_mode)
        except OSError:
            return False

    @property
    def staging(self) -> StagingRoot:
        from cstore.fs.staging import StagingRoot

        return StagingRoot(os.path.join(self._path, "tempdirs"))


class VfsDriver:
    """Layers as full copies. What is made read-only goes to the separate image store, if there is one."""

    name = "vfs"

    def __init__(self, place: DriverPlace) -> None:
        self._home = _Home(place.home)
        self._image_home = _Home(place.image_home) if place.image_home else self._home
        self._sync = place.sync
        self._foreign = [_Home(os.path.join(store, "vfs")) for store in _read_options(place.options)]

    # ── what is there ──

    def layers(self) -> list[str]:
        """See `Driver.layers`."""
        trees = self._home.trees
        try:
            with os.scandir(trees) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SystemFailure("list the layers in", trees, error) from error

    def path_of(self, layer: str) -> str:
        """See `Driver.path_of`."""
        return self._home_of(layer).tree(layer)

    def exists(self, layer: str) -> bool:
        """See `Driver.exists`."""
        return any(home.holds(layer) for home in self._all_homes())

    def _all_homes(self) -> list[_Home]:
        """Every place in which a tree may be, in the order of the search."""
        return [self._home, *self._foreign, self._image_home]

    def _home_of(self, layer: str) -> _Home:
        """The home of ours in which `layer` is, or would be."""
        if self._image_home is not self._home and os.path.lexists(self._image_home.tree(layer)):
            return self._image_home
        return self._home

    def _path(self, layer: str) -> str:
        """Find the tree of `layer`, here or in an additional store."""
        for home in self._all_homes():
            if home.holds(layer):
                return home.tree(layer)
        own = self._home.tree(layer)
        raise DriverError(
            self.name,
            f"layer {layer} has no directory in {self._home.trees}",
            hint="its contents are lost; cstore delete-layer removes the record",
            peer=f"stat {own}: no such file or directory",
        )

    # ── making ──

    def stage(self, parent: str | None, options: TreeOptions) -> StagedTree:
        """See `Driver.stage`."""
        if options.storage_options:
            raise DriverError(self.name, "it has no storage options", peer="--storage-opt is not supported for vfs")
        home = self._image_home if options.read_only else self._home
        if parent is None:
            return self._stage(home, lambda tree: _make_root(tree, options.id_map), has_lower=False)
        source = self._path(parent)
        owner = _remapper(options.parent_map, options.id_map)
        return self._stage(home, lambda tree: self._copy(source, tree, parent, owner), has_lower=True)

    def stage_again(self, layer: str, parent: str | None) -> StagedTree:
        """See `Driver.stage_again`."""
        del parent  # the tree of a vfs layer holds its parent's contents already
        source = self._path(layer)
        home = self._home_of(layer)
        return self._stage(home, lambda tree: self._copy(source, tree, layer, None), has_lower=True)

    def _stage(self, home: _Home, fill: Callable[[str], None], *, has_lower: bool) -> StagedTree:
        from cstore.archive.whiteout import WhiteoutForm
        from cstore.drivers.contract import StagedTree

        staging = home.staging.reserve()
        try:
            tree = os.path.join(staging.path, "tree")
            os.mkdir(tree, 0o700)
            fill(tree)
        except OSError as error:
            staging.remove()
            raise SystemFailure("make a layer in", staging.path, error) from error
        except BaseException:
            staging.remove()
            raise
        return StagedTree(tree, WhiteoutForm.PLAIN, has_lower, staging, copied=has_lower)

    def _copy(self, source: str, tree: str, layer: str, owner: Callable[[int, int], tuple[int, int]] | None) -> None:
        """Copy without a lock, then make sure that it was one and the same tree all along."""
        from cstore.fs.tree import copy_tree

        before = os.stat(source)
        try:
            copy_tree(source, tree, owner=owner)
        except SystemFailure as error:
            if _same_directory(source, before):
                raise
            raise _went_away(layer) from error
        if not _same_directory(source, before):
            raise _went_away(layer)

    def adopt(self, staged: StagedTree, layer: str, parent: str | None) -> None:
        """See `Driver.adopt`."""
        from cstore.fs.atomic import sync_directory
        from cstore.fs.rename import rename_tree

        del parent
        home = self._home_of_staged(staged)
        target = home.tree(layer)
        self._clear(target, layer, staged)
        try:
            os.makedirs(home.trees, 0o700, exist_ok=True)
            if self._sync:
                sync_directory(staged.tree)
            rename_tree(staged.tree, target)
            if self._sync:
                sync_directory(home.trees)
        except OSError as error:
            raise SystemFailure("create the layer directory", target, error) from error

    def _clear(self, target: str, layer: str, staged: StagedTree) -> None:
        """Take a leftover out of the way; it is deleted with the staging directory, when nobody waits for the lock."""
        staged.staging.take(target)
        if self._image_home is not self._home:
            self.remove(layer).finish()  # one in the other home would hide the new tree, or be hidden by it

    def _home_of_staged(self, staged: StagedTree) -> _Home:
        made_in = os.path.dirname(staged.staging.path)
        return self._image_home if made_in == self._image_home.staging.path else self._home

    def replace(self, staged: StagedTree, layer: str) -> Removal:
        """See `Driver.replace`."""
        from cstore.drivers.removal import StagedRemoval
        from cstore.fs.atomic import sync_directory
        from cstore.fs.rename import exchange_trees

        target = self.path_of(layer)
        try:
            exchange_trees(staged.tree, target)
            if self._sync:
                sync_directory(os.path.dirname(target))
        except OSError as error:
            raise SystemFailure("replace the layer directory", target, error) from error
        return StagedRemoval(staged.staging)

    def remove(self, layer: str) -> Removal:
        """See `Driver.remove`."""
        from cstore.drivers.removal import NoRemoval, StagedRemoval

        home = self._home_of(layer)
        target = home.tree(layer)
        if not os.path.lexists(target):
            return NoRemoval()
        staging = home.staging.reserve()
        try:
            staging.take(target)
        except BaseException:
            staging.remove()
            raise
        return StagedRemoval(staging)

    def stale(self) -> list[str]:
        """See `Driver.stale`."""
        return [path for home in self._own_homes() for path in home.staging.stale()]

    def sweep(self) -> list[str]:
        """See `Driver.sweep`."""
        return [path for home in self._own_homes() for path in home.staging.sweep().removed]

    def _own_homes(self) -> list[_Home]:
        return [self._home] if self._image_home is self._home else [self._home, self._image_home]

    # ── using ──

    def mount(self, layer: str, options: MountOptions) -> str:
        """See `Driver.mount`: the tree itself is the mount point."""
        if any(option != "ro" for option in options.options):
            raise _no_mount_options()
        return self._path(layer)

    def can_shift(self, id_map: IDMap) -> bool:
        """See `Driver.can_shift`: what is on disk is what is seen."""
        return not id_map

    def unmount(self, layer: str) -> None:
        """See `Driver.unmount`: there is nothing to undo."""

    def is_mounted(self, layer: str, path: str) -> bool:
        """See `Driver.is_mounted`."""
        try:
            return os.path.samefile(path, self._path(layer))
        except (OSError, ValueError, CstoreError):
            return False  # the record of a mount may say anything

    def content_roots(self, layer: str) -> Sequence[str]:
        """See `Driver.content_roots`."""
        return (self._path(layer),)

    def tree_of(self, layer: str) -> AbstractContextManager[str]:
        """See `Driver.tree_of`."""
        from contextlib import nullcontext

        return nullcontext(self._path(layer))

    def changes(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> list[Change]:
        """See `Driver.changes`."""
        from cstore.drivers.tree_diff import tree_changes

        return tree_changes(self, layer, base, layer_map, base_map)

    def write_diff(self, layer: str, base: str | None, sink: Sink, layer_map: IDMap, base_map: IDMap) -> None:
        """See `Driver.write_diff`."""
        from cstore.drivers.tree_diff import write_tree_diff

        write_tree_diff(self, layer, base, sink, layer_map, base_map)

    def diff_size(self, layer: str, base: str | None, layer_map: IDMap, base_map: IDMap) -> int:
        """See `Driver.diff_size`."""
        from cstore.drivers.tree_diff import tree_diff_size

        return tree_diff_size(self, layer, base, layer_map, base_map)

    def status(self) -> list[tuple[str, str]]:
        """See `Driver.status`: vfs has nothing to add."""
        return []

    def shutdown(self) -> None:
        """See `Driver.shutdown`: nothing is held."""


if TYPE_CHECKING:
    _: type[Driver] = VfsDriver


def _read_options(options: Sequence[str]) -> list[str]:
    """Take the additional stores from the driver options; refuse what vfs does not know.

    `ignore_chown_errors` is heeded by the store, for every driver alike.
    """
    if not options:
        return []
    from cstore.config.driver_options import additional_image_stores, split_option

    for key, value in map(split_option, options):
        name = key.removeprefix("vfs").removeprefix(".")
        if name == "mountopt":
            raise _no_mount_options()
        if name == "ignore_chown_errors":
            _check_flag(name, value)
        elif name != "imagestore":
            raise DriverError("vfs", f"it has no option {key!r}", peer=f"vfs driver does not support {key} options")
    return [_existing(path) for path in additional_image_stores(options)]


def _check_flag(name: str, value: str) -> None:
    from cstore.config.driver_options import parse_flag

    try:
        parse_flag(value)
    except ValueError as error:
        raise DriverError("vfs", f"option {name}: {error}") from None


def _no_mount_options() -> DriverError:
    text = "vfs driver does not support mount options"
    return DriverError("vfs", "it does not support mount options", hint="leave them out", peer=text)


def _existing(store: str) -> str:
    if not os.path.isdir(store):
        raise DriverError(
            "vfs", f"the additional image store {store} is not a directory", hint="correct its path, or make it first"
        )
    return store


def _make_root(tree: str, id_map: IDMap) -> None:
    """Give the root of a base layer its first owner and mode."""
    uid, gid = id_map.to_host(0, 0)
    if os.geteuid() == 0:
        os.chown(tree, uid, gid)
    os.chmod(tree, ROOT_MODE)


def _remapper(old: IDMap, new: IDMap) -> Callable[[int, int], tuple[int, int]] | None:
    """Say how owners change when a tree mapped by `old` becomes one mapped by `new`; None if they do not."""
    if old == new or (old == IDENTITY and new == IDENTITY):
        return None

    def owner(uid: int, gid: int) -> tuple[int, int]:
        return new.to_host(*old.to_container(uid, gid))

    return owner


def _same_directory(path: str, before: os.stat_result) -> bool:
    try:
        now = os.stat(path)
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino)


def _went_away(layer: str) -> DriverError:
    return DriverError(
        "vfs", f"layer {layer} was removed while it was being copied", hint="try again with a layer that stays"
    )
