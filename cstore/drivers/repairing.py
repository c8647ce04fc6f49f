"""Rewrite a driver's own files from known facts, for repair.

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
    """The repair of a driver's own files. All writing methods need the layer lock."""

    def parent_of(self, layer: str) -> str | None:
        """Return the parent in the driver's own files; "" for a base layer, None if they do not name it."""

    def age_of(self, layer: str) -> float:
        """Return the time of a layer's creation by its files, in seconds since 1970; 0 if it is unknown."""

    def belongings(self, layer: str) -> list[str]:
        """Return all paths that belong to this layer alone; the directory with its contents is last."""

    def whole_of(self, tree: str) -> str:
        """Return the directory that contains all of a layer, given the one with its contents."""

    def take_identity(self, tree: str, layer: str) -> None:
        """Give a staged tree the references of the layer that it will replace.

        Raises:
            SystemFailure: as below.
        """

    def wrong_links(self, layer: str) -> list[str]:
        """Return missing or wrong paths, which the caller moves away before `mend_links` recreates them."""

    def mend_links(self, layer: str) -> list[str]:
        """Recreate the references to a layer. Return the created paths.

        Raises:
            SystemFailure: no space, or no permission.
        """

    def mend_parts(self, layer: str, ancestors: Sequence[str]) -> list[str]:
        """Recreate the list of a layer's `ancestors`, nearest first, and mount directories. Return the created paths.

        Raises:
            DriverError: an ancestor is missing, or has no reference.
            SystemFailure: as above.
        """


class OfWholeTrees:
    """The repair of drivers that have only trees."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def parent_of(self, layer: str) -> str | None:
        """See `DriverRepair.parent_of`: no file names it."""
        del layer
        return None

    def age_of(self, layer: str) -> float:
        """See `DriverRepair.age_of`: unknown, as the directory has the time from the archive."""
        del layer
        return 0.0

    def belongings(self, layer: str) -> list[str]:
        """See `DriverRepair.belongings`."""
        return [self._driver.path_of(layer)]

    def whole_of(self, tree: str) -> str:
        """See `DriverRepair.whole_of`."""
        return tree

    def take_identity(self, tree: str, layer: str) -> None:
        """See `DriverRepair.take_identity`: the directory's name is the only reference."""

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
    """Create the repair of a driver's files: its package's own, or that for whole trees."""
    from cstore.drivers.registry import package_of

    package = package_of(driver.name)
    own: Callable[[Driver, DriverPlace], DriverRepair] | None = getattr(package, "open_driver_repair", None)
    return own(driver, place) if own else OfWholeTrees(driver)
