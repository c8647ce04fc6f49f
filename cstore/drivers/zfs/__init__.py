"""The zfs driver: every layer is a dataset, and a child starts as a clone of a snapshot of its parent.

Owns: the names and properties of its datasets, and where they are mounted.
Must not know: records, other drivers.

It uses ZFS only through zfs(8), zpool(8) and mount(8). The kernels on which cstore is developed and tested lack ZFS, so
this driver has never run on a real pool: tests run it with a program that imitates zfs(8) with directories. The meaning
of the commands is taken from their manuals.
"""

from __future__ import annotations

from cstore.config.keys import Kind
from cstore.drivers.registry import DriverFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.drivers.contract import Driver
    from cstore.drivers.inspection import Inspector
    from cstore.drivers.registry import DriverPlace

FACTS = DriverFacts(
    keys={"fsname": Kind.TEXT, "mountopt": Kind.TEXT, "size": Kind.TEXT},
    options=frozenset({"fsname", "mountopt"}),
    serves_users=False,
)


def open_driver(place: DriverPlace) -> Driver:
    """Create the driver object. Writes nothing."""
    from cstore.drivers.zfs.driver import ZfsDriver

    return ZfsDriver(place)


def open_inspector(driver: Driver, place: DriverPlace) -> Inspector:
    """Create the inspector of the driver's own files."""
    from cstore.drivers.zfs.inspect import ZfsInspector

    del place
    return ZfsInspector(driver)
