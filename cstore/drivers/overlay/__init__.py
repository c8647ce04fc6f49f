"""The overlay driver: a layer is a directory with its changes, and a mount stacks such directories.

Owns: the layout of the overlay home, short links and chains, the mounts, the native comparison of a layer with its
parent. Must not know: records, locks of records, how an archive is read.
"""

from __future__ import annotations

from cstore.config.keys import Kind
from cstore.drivers.registry import DriverFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.drivers.contract import Driver
    from cstore.drivers.inspection import Inspector
    from cstore.drivers.registry import DriverPlace
    from cstore.drivers.repairing import DriverRepair

FACTS = DriverFacts(
    keys={
        "ignore_chown_errors": Kind.FLAG_WORD,
        "mount_program": Kind.TEXT,
        "mountopt": Kind.TEXT,
        "size": Kind.TEXT,
        "inodes": Kind.TEXT,
        "skip_mount_home": Kind.FLAG_WORD,
        "force_mask": Kind.TEXT,
        "use_composefs": Kind.FLAG_WORD,
        "sync": Kind.TEXT,
    },
    options=frozenset(
        {
            *("size", "mount_program", "skip_mount_home", "ignore_chown_errors", "force_mask", "mountopt"),
            *("imagestore", "additionalimagestore", "additionallayerstore", "inodes", "use_composefs", "sync"),
        }
    ),
    takes_directories=True,
    names_directories=True,
    stages_in_directories=True,
)


def check_options(options: Sequence[str]) -> None:
    """Refuse options that the driver would refuse.

    Raises:
        DriverError: overlay does not have an option, or a value is invalid.
    """
    from cstore.drivers.overlay.options import read_options

    read_options(options)


def open_driver(place: DriverPlace) -> Driver:
    """Create the driver object. Writes nothing."""
    from cstore.drivers.overlay.driver import OverlayDriver

    return OverlayDriver(place)


def open_inspector(driver: Driver, place: DriverPlace) -> Inspector:
    """Create the inspector of the driver's own files."""
    from cstore.drivers.overlay.inspect import OverlayInspector

    del driver
    return OverlayInspector(place)


def open_driver_repair(driver: Driver, place: DriverPlace) -> DriverRepair:
    """Create the repair of the driver's own files."""
    from cstore.drivers.overlay.repair import OverlayDriverRepair

    del driver
    return OverlayDriverRepair(place)
