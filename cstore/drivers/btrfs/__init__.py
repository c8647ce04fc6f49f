"""The btrfs driver: every layer is a subvolume, and a child starts as a snapshot of its parent.

Owns: the layout of its home, subvolumes, their quotas.
Must not know: records, other drivers.
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
    keys={"min_space": Kind.TEXT, "size": Kind.TEXT},
    options=frozenset({"min_space", "size"}),
    stages_in_directories=True,
)


def open_driver(place: DriverPlace) -> Driver:
    """Create the driver object. Writes nothing."""
    from cstore.drivers.btrfs.driver import BtrfsDriver

    return BtrfsDriver(place)


def open_inspector(driver: Driver, place: DriverPlace) -> Inspector:
    """Create the inspector of the driver's own files."""
    from cstore.drivers.btrfs.inspect import BtrfsInspector

    del place
    return BtrfsInspector(driver)
