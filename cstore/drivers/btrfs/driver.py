"""The btrfs driver.

    HOME/                        0700
    ├── subvolumes/<layer>/            the layer, a subvolume           (subvolumes 0700)
    └── quotas/<layer>           0644  its size limit, in bytes         (quotas 0700, exists only if a layer has one)

A snapshot takes no space and no time, however large the layer is. Other programs bind the home to itself; cstore does
not need that, and removes such a mount at shutdown. (drivers 12.1, store-format 11.3)
"""

from __future__ import annotations

import os

from cstore.drivers.btrfs.quota import Quotas
from cstore.drivers.btrfs.subvolume import NAME, Subvolumes
from cstore.drivers.whole_trees import TreeHome, WholeTrees, no_mount_options
from cstore.errors import DriverError, DriverUnusable, SystemFailure
from cstore.fs.writable import nearest_directory
from cstore.kernel.btrfs import is_subvolume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.drivers.contract import Driver, Removal, StagedTree, TreeOptions
    from cstore.drivers.registry import DriverPlace


class BtrfsDriver(WholeTrees):
    """Layers as subvolumes, all in one home: a snapshot cannot be on another disk, as in a separate image store."""

    name = NAME

    def __init__(self, place: DriverPlace) -> None:
        least, self._default_size = _read_options(place.options)
        _check_disk(place.home)
        super().__init__(TreeHome(place.home, "subvolumes", Subvolumes()), place.run_home, sync=place.sync)
        self._quotas = Quotas(place.home, least, sync=place.sync)

    def stage(self, parent: str | None, options: TreeOptions) -> StagedTree:
        """See `Driver.stage`; the storage option `size` limits the layer's size, including its parent's files."""
        size = self._quotas.size_in(options.storage_options)
        if not size and not options.read_only:
            size = self._default_size
        return self._limited(super().stage(parent, options), size)

    def stage_again(self, layer: str, parent: str | None) -> StagedTree:
        """See `Driver.stage_again`. An ordinary directory, which has no snapshots, is copied into a subvolume."""
        del parent  # the tree of a layer holds its parent's contents already
        owner = None if self._is_subvolume(layer) else _as_it_is
        return self._limited(self._stage_copy(self._home_of(layer), layer, owner), self._quotas.of(layer))

    def _is_subvolume(self, layer: str) -> bool:
        try:
            return is_subvolume(os.lstat(self._path(layer)))
        except OSError as error:
            raise SystemFailure("examine", self._path(layer), error) from None

    def _limited(self, staged: StagedTree, size: int) -> StagedTree:
        if size:
            try:
                self._quotas.limit(staged, size)
            except BaseException:
                staged.staging.remove()
                raise
        return staged

    def adopt(self, staged: StagedTree, layer: str, parent: str | None) -> None:
        """See `Driver.adopt`."""
        super().adopt(staged, layer, parent)
        self._quotas.adopt(staged, layer)

    def remove(self, layer: str) -> Removal:
        """See `Driver.remove`."""
        removal = super().remove(layer)
        self._quotas.forget(layer)
        return removal

    def shutdown(self) -> None:
        """See `Driver.shutdown`: remove the bind mount of the home that other programs leave."""
        from cstore.drivers.binding import release_home

        release_home(self._home.path)


if TYPE_CHECKING:
    _: type[Driver] = BtrfsDriver


def _as_it_is(uid: int, gid: int) -> tuple[int, int]:
    """Keep owners unchanged."""
    return uid, gid


def _read_options(options: Sequence[str]) -> tuple[int, int]:
    """Return the smallest allowed limit, and the default limit of writable layers, in bytes; 0 for none."""
    from cstore.config.driver_options import options_for, parse_size

    sizes = {"min_space": 0, "size": 0}
    for name, value, key in options_for(NAME, options):
        if name == "mountopt":
            raise no_mount_options(NAME)
        if name not in sizes:
            raise DriverError(NAME, f"it has no option {key!r}", go_text=f'unknown option {key} ("{key}={value}")')
        try:
            sizes[name] = parse_size(value)
        except ValueError as error:
            raise DriverError(NAME, f"option {name}: {error}") from None
    return sizes["min_space"], sizes["size"]


def _check_disk(home: str) -> None:
    """Check that the graph root is, or will be, on btrfs."""
    from cstore.kernel.statfs import filesystem_name

    root = os.path.dirname(home)
    existing = nearest_directory(root)
    try:
        found = filesystem_name(existing)
    except OSError as error:
        raise SystemFailure("examine", existing, error) from None
    if found != NAME:
        raise DriverUnusable(
            NAME,
            f"{root} is on {_spoken(found)}, but this driver needs btrfs",
            hint="choose another driver with --storage-driver, or a directory on btrfs with --graph",
            go_text=f'"{home}" is not on a btrfs filesystem: prerequisites for driver not satisfied '
            "(wrong filesystem?)",
        )


def _spoken(filesystem: str) -> str:
    return "a file system of another kind" if filesystem == "<unknown>" else filesystem
