"""The zfs driver: every layer is a dataset, a child begins as a clone of a snapshot of its parent.

Owns: the names and properties of its datasets, and where they are mounted.
Must not know: records, other drivers.

It speaks to ZFS through zfs(8), zpool(8) and mount(8) only. ZFS is no part of the kernels that cstore is developed and
tested on, so this driver has never met a real pool: its tests run it against a program that does with directories what
zfs(8) does with datasets. What the commands mean is taken from their manuals.
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
    """Make the driver object. Writes nothing."""
    from cstore.drivers.zfs.driver import ZfsDriver

    return ZfsDriver(place)


def open_inspector(driver: Driver, place: DriverPlace) -> Inspector:
    """Return the inspector of the driver's own files."""
    from cstore.drivers.zfs.inspect import ZfsInspector

    del place
    return ZfsInspector(driver)
