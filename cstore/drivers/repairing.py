"""The contract for repairing a driver's own files, apart from the contents of layers.

Only some drivers have such files. A driver whose layers are whole trees has only the trees.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from cstore.drivers.contract import Driver
    from cstore.drivers.registry import DriverPlace
else:
    Protocol = object


class DriverRepair(Protocol):
    """Knows what one driver keeps of a layer, and can make it again. Everything that writes needs the layer lock."""

    def parent_of(self, layer: str) -> str | None:
        """The parent that the driver's own files name, "" for a base layer, None if they do not say."""

    def age_of(self, layer: str) -> float:
        """When the layer was made, in seconds since 1970, as far as its files tell; 0 if they do not."""

    def belongings(self, layer: str) -> list[str]:
        """Every path that is of this layer alone; the directory with its contents comes last."""

    def whole_of(self, tree: str) -> str:
        """The directory that is all of a layer, given the one with its contents."""

    def take_identity(self, tree: str, layer: str) -> None:
        """Let a staged tree be referred to as the layer is, whose place it is going to take.

        Raises:
            SystemFailure: as below.
        """

    def wrong_links(self, layer: str) -> list[str]:
        """Yield the parts that must be moved away before `mend_links` restores them, or that are missing."""

    def mend_links(self, layer: str) -> list[str]:
        """Make again how the layer is referred to. Returns the paths of what was made.

        Raises:
            SystemFailure: no space, or no permission.
        """

    def mend_parts(self, layer: str, ancestors: Sequence[str]) -> list[str]:
        """Restore the files that name the layer's `ancestors`, nearest first, and those needed to mount it.

        Raises:
            DriverError: an ancestor is missing, or cannot be referred to.
            SystemFailure: as above.
        """


class OfWholeTrees:
    """Nothing but trees."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def parent_of(self, layer: str) -> str | None:
        """See `DriverRepair.parent_of`: nobody keeps it."""
        del layer
        return None

    def age_of(self, layer: str) -> float:
        """See `DriverRepair.age_of`: nothing tells, as the directory has the time that the archive gave it."""
        del layer
        return 0.0

    def belongings(self, layer: str) -> list[str]:
        """See `DriverRepair.belongings`."""
        return [self._driver.path_of(layer)]

    def whole_of(self, tree: str) -> str:
        """See `DriverRepair.whole_of`."""
        return tree

    def take_identity(self, tree: str, layer: str) -> None:
        """See `DriverRepair.take_identity`: the directory's name is all there is."""

    def wrong_links(self, layer: str) -> list[str]:
        """See `DriverRepair.wrong_links`."""
        del layer
        return []

    def mend_links(self, layer: str) -> list[str]:
        """See `DriverRepair.mend_links`."""
        del layer
        return []

    def mend_parts(self, layer: str, ancestors: Sequence[str]) -> list[str]:
        """See `DriverRepair.mend_parts`."""
        del layer, ancestors
        return []


if TYPE_CHECKING:
    _: type[DriverRepair] = OfWholeTrees


def open_driver_repair(driver: Driver, place: DriverPlace) -> DriverRepair:
    """Make the driver repair for the layers of a driver: its package's own, or one for nothing but trees."""
    from cstore.drivers.registry import package_of

    package = package_of(driver.name)
    own: Callable[[Driver, DriverPlace], DriverRepair] | None = getattr(package, "open_driver_repair", None)
    return own(driver, place) if own else OfWholeTrees(driver)
