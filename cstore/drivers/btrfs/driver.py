"""The btrfs driver.

    HOME/                        0700
    ├── subvolumes/<layer>/            the layer, a subvolume           (subvolumes 0700)
    └── quotas/<layer>           0644  its size limit, in bytes         (quotas 0700, exists only if a layer has one)

A snapshot takes no space and no time, however large the layer is. Other programs bind the home to itself; cstore does
not need that, and removes such a mount at shutdown. (drivers 12.1, store-format 11.3)
"""

from __future__ import annotations

import errno
import os

from cstore.contexts import suppress
from cstore.drivers.btrfs.subvolume import NAME, Subvolumes, opened
from cstore.drivers.contract import limit_in
from cstore.drivers.whole_trees import TreeHome, WholeTrees, no_mount_options
from cstore.errors import CstoreError, DriverError, DriverUnusable, SystemFailure
from cstore.fs import within
from cstore.fs.writable import nearest_directory
from cstore.ids import check_part
from cstore.kernel import btrfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cstore.drivers.contract import Driver, Removal, StagedTree, TreeOptions
    from cstore.drivers.registry import DriverPlace

_STAGED = "quota"
"""The file in a staging directory with the limit of its tree."""


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
        path = self._path(layer)
        try:
            status = os.lstat(path)
        except OSError as error:
            raise SystemFailure("examine", path, error) from None
        owner = None if btrfs.is_subvolume(status) else lambda uid, gid: (uid, gid)
        return self._limited(self._stage_copy(self._home_of(layer), layer, owner), self._quotas.of(layer))

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
        spoken = "a file system of another kind" if found == "<unknown>" else found
        raise DriverUnusable(
            NAME,
            f"{root} is on {spoken}, but this driver needs btrfs",
            hint="choose another driver with --storage-driver, or a directory on btrfs with --graph",
            go_text=f'"{home}" is not on a btrfs filesystem: prerequisites for driver not satisfied '
            "(wrong filesystem?)",
        )


# ── limits ──
#
# A quota that the kernel enforces, and a file with the limit that other programs read.


class Quotas:
    """The size limits of one store's layers. `least` is the smallest allowed limit."""

    def __init__(self, home: str, least: int, *, sync: bool) -> None:
        self._folder = os.path.join(home, "quotas")
        self._least = least
        self._sync = sync

    def size_in(self, options: Mapping[str, str]) -> int:
        """Read the limit from storage options; 0 if they contain none.

        Raises:
            DriverError: an option is unknown, or the size is invalid or too small.
        """
        size = limit_in(NAME, options)
        if size is None:
            return 0
        if not size:
            raise DriverError(NAME, "a layer cannot be limited to 0 bytes", go_text="btrfs: invalid storage size: 0B")
        if size < self._least:
            raise DriverError(
                NAME,
                f"a layer cannot be limited to {size} bytes: min_space is {self._least}",
                hint="request more, or lower min_space in storage.conf",
                go_text=f"btrfs: storage size cannot be less than {self._least}",
            )
        return size

    def limit(self, staged: StagedTree, size: int) -> None:
        """Limit a staged tree. This turns on quota accounting for all subvolumes of the disk, which costs some speed.

        Raises:
            DriverError: only the host's root may set limits.
        """
        try:
            with opened(staged.tree) as fd:
                btrfs.enable_quotas(fd)
                btrfs.limit_subvolume(fd, size)
            with open(os.path.join(staged.staging.path, _STAGED), "w", encoding="ascii") as file:
                file.write(str(size))
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EACCES}:
                raise SystemFailure("limit the size of", staged.tree, error) from error
            raise DriverError(NAME, "only root can limit the size of a layer", hint="omit the size") from None

    def adopt(self, staged: StagedTree, layer: str) -> None:
        """Record the limit of a staged tree, if it has one, as that of `layer`."""
        from cstore.fs.atomic import write_file

        size = _read(staged.staging.path, _STAGED)
        if size:
            try:
                within.make_directories(*os.path.split(self._folder))
            except OSError as error:
                raise SystemFailure("create", self._folder, error) from error
            write_file(os.path.join(self._folder, check_part(layer)), b"%d" % size, mode=0o644, sync=self._sync)
        else:
            self.forget(layer)

    def of(self, layer: str) -> int:
        """Return the limit of a layer in bytes; 0 if it has none."""
        return _read(os.path.dirname(self._folder), f"quotas/{check_part(layer)}")

    def forget(self, layer: str) -> None:
        """Remove the limit's file. The quota itself is removed with the subvolume."""
        home, path = os.path.split(self._folder)[0], f"quotas/{check_part(layer)}"
        with suppress(OSError, CstoreError), within.parent_of(home, path) as (folder, name):
            os.unlink(name, dir_fd=folder)


def _read(top: str, relative: str) -> int:
    try:
        return int(within.read_small(top, relative))
    except (OSError, CstoreError, ValueError):
        return 0
