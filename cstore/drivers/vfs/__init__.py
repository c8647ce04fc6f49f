"""The vfs driver: every layer is a whole tree.

Owns: the layout of its home. Must not know: records, other drivers.
"""

from __future__ import annotations

from cstore.config.keys import Kind
from cstore.drivers.registry import DriverFacts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.drivers.contract import Driver
    from cstore.drivers.registry import DriverPlace

FACTS = DriverFacts(
    keys={"ignore_chown_errors": Kind.FLAG_WORD, "sync": Kind.TEXT},
    options=frozenset({"imagestore", "ignore_chown_errors", "sync"}),
    only_by_name=True,
    mounts_show_trees=True,
    unknown_limit="Storage opt {} not supported",
    stages_in_directories=True,
)


def check_options(options: Sequence[str]) -> None:
    """Refuse options that the driver would refuse.

    Raises:
        DriverError: vfs does not have an option, or a value is invalid.
    """
    from cstore.drivers.vfs.driver import read_options

    read_options(options)


def open_driver(place: DriverPlace) -> Driver:
    """Create the driver object. Writes nothing."""
    from cstore.drivers.vfs.driver import VfsDriver

    return VfsDriver(place)
