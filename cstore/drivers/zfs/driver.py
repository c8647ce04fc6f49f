"""The zfs driver.

    DATASET/<layer>              the layer, a file system that ZFS does not mount (mountpoint=legacy)
    DATASET/staged:<number>      a staged layer; DATASET/removed:<number> is one under removal
    HOME/graph/<layer>/          the mount point of a layer, exists only while it is mounted
    staging                      one directory for each staged or removed dataset: see staging.py

A tree is created as `staged:<number>` and gets its layer's name by one rename, while the layer lock is held. ZFS cannot
exchange two names. While a layer's contents are replaced, no dataset has its name for a moment; a property of the old
one has the layer's ID, from which the next sweep restores the name. (drivers 12.2, store-format 11.4)
"""

from __future__ import annotations

from cstore.contexts import contextmanager, suppress
from cstore.drivers.contract import limit_in
from cstore.drivers.whole_trees import make_root, remapper
from cstore.drivers.zfs import command
from cstore.drivers.zfs.command import NAME, CommandFailed
from cstore.drivers.zfs.mounting import Mounts
from cstore.drivers.zfs.places import OURS, REMOVED, STAGED, WAS, Places, find_dataset
from cstore.errors import CstoreError, DriverError, SystemFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cstore.archive.changes import Change
    from cstore.archive.streams import Sink
    from cstore.drivers.contract import Driver, MountOptions, Removal, StagedTree, TreeOptions
    from cstore.drivers.registry import DriverPlace
    from cstore.drivers.staging import HomeStaging
    from cstore.fs.staging import StagingDirectory
    from cstore.idmap import IDMap


class ZfsDriver:
    """Layers as datasets. Each is a separate file system, so a separate image store is useless."""

    name = NAME
    mounts_beside = False

    def __init__(self, place: DriverPlace) -> None:
        dataset, mount_options = read_options(place.options)
        command.require()
        self._places = Places(place.home, dataset or find_dataset(place.home))
        self._mounts = Mounts(self._places, place.run_home, mount_options)

    @property
    def _staging(self) -> HomeStaging:
        from cstore.drivers.staging import HomeStaging

        return HomeStaging(self._places.home, renames=False, destroy=self._destroy)

    # ── lookup ──

    def require(self) -> None:
        """See `Driver.require`: the constructor has checked the dataset."""

    def layers(self) -> list[str]:
        """See `Driver.layers`."""
        found = command.children(self._places.parent, [OURS])
        return sorted(filter(None, (self._places.layer_of(each.name, each.values[0]) for each in found)))

    def exists(self, layer: str) -> bool:
        """See `Driver.exists`."""
        try:
            return command.exists(self._places.dataset(layer))
        except ValueError:
            return False

    def path_of(self, layer: str) -> str:
        """See `Driver.path_of`: the path exists only while the layer is mounted."""
        return self._places.mount_point(layer)

    def _dataset(self, layer: str) -> str:
        """Return the dataset of a layer, which must exist."""
        if self.exists(layer):
            return self._places.dataset(layer)
        raise DriverError(
            NAME,
            f"layer {layer} has no dataset below {self._places.parent}",
            hint="its contents are lost; cstore delete-layer removes the record",
            go_text=f"cannot open '{self._places.parent}/{layer}': dataset does not exist",
        )

    # ── creation ──

    def stage(self, parent: str | None, options: TreeOptions) -> StagedTree:
        """See `Driver.stage`; the storage option `size` limits the layer's size."""
        size = limit_in(NAME, options.storage_options) or 0
        source = None if parent is None else self._dataset(parent)
        owner = remapper(options.parent_map, options.id_map)
        with self._reserved() as staging:
            staged = self._places.aside(STAGED, staging.path)
            if source is None or parent is None or owner is not None:
                command.create(staged, _properties(size))
            else:
                _clone(source, staged, _properties(size))
            tree = self._mounts.mount_staged(staged, staging)
            if parent is None:
                make_root(tree, options.id_map.to_host(0, 0))
            elif owner is not None and source is not None:
                from cstore.fs.tree import copy_tree

                with self._mounts.mounted_beside(source, staging) as path:
                    copy_tree(path, tree, owner=owner)
            return _staged(tree, staging, has_lower=parent is not None, copied=owner is not None)

    def stage_again(self, layer: str, parent: str | None) -> StagedTree:
        """See `Driver.stage_again`."""
        del parent  # a dataset holds its parent's contents already
        source = self._dataset(layer)
        quota = command.properties(source, ["quota"])[0]
        with self._reserved() as staging:
            staged = self._places.aside(STAGED, staging.path)
            _clone(source, staged, _properties(int(quota) if quota.isdecimal() else 0))
            return _staged(self._mounts.mount_staged(staged, staging), staging, has_lower=True)

    @contextmanager
    def _reserved(self) -> Iterator[StagingDirectory]:
        staging = self._staging.reserve()
        try:
            yield staging
        except BaseException as error:
            staging.remove()
            if isinstance(error, OSError):
                raise SystemFailure("create a layer in", staging.path, error) from error
            raise

    def adopt(self, staged: StagedTree, layer: str, parent: str | None) -> None:
        """See `Driver.adopt`. A rename of a dataset is on disk when the command ends."""
        del parent
        try:
            dataset = self._places.dataset(layer)
        except ValueError:
            hint = "use letters, digits, '.', '_' and '-'"
            raise DriverError(NAME, f"{layer!r} cannot name a dataset", hint=hint) from None
        self._mounts.unmount_staged(staged)
        made = self._places.aside(STAGED, staged.staging.path)
        try:
            command.rename(made, dataset)
        except CommandFailed as error:
            if not error.means_present:
                raise
            self._mounts.unmount(layer)
            command.rename(dataset, self._places.aside(REMOVED, staged.staging.path))
            command.rename(made, dataset)

    def replace(self, staged: StagedTree, layer: str, *, in_use: bool = False) -> Removal:
        """See `Driver.replace`. The new dataset is a clone of the old one, so they swap roles before removal."""
        del in_use  # mounted datasets are never changed in place
        from cstore.drivers.contract import StagedRemoval

        if self._mounts.is_mounted(layer):
            raise DriverError(
                NAME,
                f"layer {layer} is mounted, so its contents cannot be replaced",
                hint=f"cstore unmount {layer}",
            )
        dataset = self._dataset(layer)
        self._mounts.unmount_staged(staged)
        self._mounts.forget(layer)
        command.assign(dataset, WAS, layer)
        old = self._places.aside(REMOVED, staged.staging.path)
        command.rename(dataset, old)
        try:
            command.rename(self._places.aside(STAGED, staged.staging.path), dataset)
        except BaseException:
            command.rename(old, dataset)
            raise
        command.promote(dataset)
        return StagedRemoval(staged.staging)

    def remove(self, layer: str) -> Removal:
        """See `Driver.remove`."""
        from cstore.drivers.contract import NoRemoval, StagedRemoval

        if not self.exists(layer):
            return NoRemoval()
        self._mounts.unmount(layer)
        staging = self._staging.reserve()
        try:
            command.rename(self._places.dataset(layer), self._places.aside(REMOVED, staging.path))
        except BaseException:
            staging.remove()
            raise
        return StagedRemoval(staging)

    def _destroy(self, path: str) -> None:
        """Delete a staging directory with its datasets."""
        from cstore.fs.tree import remove_tree

        self._mounts.detach_below(path)
        belonging = {self._places.aside(kind, path) for kind in (STAGED, REMOVED)}
        for each in command.children(self._places.parent, [WAS]):
            if each.name not in belonging:
                continue
            was = each.values[0]
            if was in {"", "-"} or self.exists(was):
                command.destroy(each.name)
            else:  # no dataset replaced it, because the process that was replacing it died
                command.rename(each.name, self._places.dataset(was))
        remove_tree(path, detach_mounts=True)

    def stale(self) -> list[str]:
        """See `Driver.stale`."""
        return [*self._staging.stale(), *self._mounts.aside.stale()]

    def sweep(self) -> list[str]:
        """See `Driver.sweep`."""
        return [*self._staging.sweep(), *self._mounts.aside.sweep().removed]

    def debris(self) -> list[str]:
        """See `Driver.debris`: there are no files besides the datasets."""
        return []

    # ── use ──

    def mount(self, layer: str, options: MountOptions) -> str:
        """See `Driver.mount`."""
        return self._mounts.mount(layer, self._dataset(layer), options)

    def can_shift(self, id_map: IDMap) -> bool:
        """See `Driver.can_shift`: users see the owners on disk."""
        return not id_map

    def unmount(self, layer: str) -> None:
        """See `Driver.unmount`."""
        self._mounts.unmount(layer)

    def is_mounted(self, layer: str, path: str) -> bool:
        """See `Driver.is_mounted`."""
        with suppress(CstoreError):
            return path == self._places.mount_point(layer) and self._mounts.is_mounted(layer)
        return False

    def content_roots(self, layer: str) -> Sequence[str]:
        """See `Driver.content_roots`. They exist as long as this driver object, or until the layer changes."""
        return (self._mounts.held(layer, self._dataset(layer)),)

    def far_side(self, digest: str, reference: str) -> str:
        """See `Driver.far_side`: datasets are never elsewhere."""
        del digest, reference
        raise DriverError(NAME, "it has no additional layer stores", hint="use the driver overlay")

    def far_blob(self, layer: str) -> str:
        """See `Driver.far_blob`."""
        del layer
        return ""

    @contextmanager
    def tree_of(self, layer: str) -> Iterator[str]:
        """See `Driver.tree_of`."""
        with self._mounts.mounted_nowhere(layer, self._dataset(layer)) as path:
            yield path

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
        """See `Driver.status`."""
        parent = self._places.parent
        pool = parent.partition("/")[0]
        used, available, quota, compression = command.properties(parent, ["used", "available", "quota", "compression"])
        return [
            ("Zpool", pool),
            ("Zpool Health", command.pool_health(pool)),
            ("Parent Dataset", parent),
            ("Space Used By Parent", used),
            ("Space Available", available),
            ("Parent Quota", "no" if quota in {"0", "none", "-"} else quota),
            ("Compression", compression),
        ]

    def shutdown(self) -> None:
        """See `Driver.shutdown`."""
        self._mounts.close()


if TYPE_CHECKING:
    _: type[Driver] = ZfsDriver


def read_options(options: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Return the dataset in the driver options, or "", and the mount options.

    Raises:
        DriverError: zfs does not have an option.
    """
    from cstore.config.driver_options import options_for

    dataset, mount_options = "", ""
    for name, value, key in options_for(NAME, options):
        if name == "fsname":
            dataset = value.rstrip("/")
        elif name == "mountopt":
            mount_options = value
        else:
            raise DriverError(NAME, f"it has no option {key!r}", go_text=f"unknown option {key}")
    return dataset, tuple(filter(None, mount_options.split(",")))


def _properties(size: int) -> dict[str, str]:
    limits = {"quota": str(size)} if size else {}
    return {"mountpoint": "legacy", OURS: "yes", **limits}


def _clone(source: str, staged: str, properties: dict[str, str]) -> None:
    command.clone(source, staged.rpartition(":")[2], staged, properties)


def _staged(tree: str, staging: StagingDirectory, *, has_lower: bool, copied: bool = False) -> StagedTree:
    from cstore.archive.whiteout import WhiteoutForm
    from cstore.drivers.contract import StagedTree

    return StagedTree(tree, WhiteoutForm.PLAIN, has_lower, staging, copied=copied)
