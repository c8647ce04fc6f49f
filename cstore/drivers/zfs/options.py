"""The driver's options: the dataset, mount options, and size limits."""

from __future__ import annotations

from cstore.drivers.limits import limit_in
from cstore.drivers.zfs.command import NAME
from cstore.errors import DriverError
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Options(Value):
    """The driver options. `dataset` is "" if none is named."""

    dataset: str = ""
    mount_options: tuple[str, ...] = ()


def read_options(options: Sequence[str]) -> Options:
    """Read `zfs.fsname` and `zfs.mountopt`.

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
    return Options(dataset, tuple(filter(None, mount_options.split(","))))


def size_in(options: Mapping[str, str]) -> int:
    """Return the limit in storage options, in bytes; 0 if they contain none.

    Raises:
        DriverError: an option is unknown, or the size is invalid.
    """
    return limit_in(NAME, options) or 0
