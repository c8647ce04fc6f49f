"""Size limits of layers: a quota that the kernel enforces, and a file with the limit that other programs read."""

from __future__ import annotations

import errno
import os

from cstore.contexts import suppress
from cstore.drivers.btrfs.subvolume import NAME, opened
from cstore.drivers.limits import limit_in
from cstore.errors import CstoreError, DriverError, SystemFailure
from cstore.fs import within
from cstore.ids import check_part
from cstore.kernel import btrfs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cstore.drivers.contract import StagedTree

_STAGED = "quota"


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
            write_file(self._path(layer), b"%d" % size, mode=0o644, sync=self._sync)
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

    def _path(self, layer: str) -> str:
        return os.path.join(self._folder, check_part(layer))


def _read(top: str, relative: str) -> int:
    try:
        return int(within.read_small(top, relative))
    except (OSError, CstoreError, ValueError):
        return 0
