"""Which driver a store uses: by name, by what is already there, or by what works here."""

from __future__ import annotations

import os

from cstore.errors import DriverError, DriverUnknown
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cstore.drivers.contract import Driver


class DriverPlace(Value):
    """Where a driver works and how.

    Attributes:
        home: its directory under the graph root.
        run_home: its directory under the run root.
        image_home: its directory under a separate image store, or "".
        options: `key=value` strings from configuration and command line.
        sync: whether a finished tree must survive a power cut.
    """

    home: str
    run_home: str
    image_home: str = ""
    options: tuple[str, ...] = ()
    sync: bool = True


def _vfs(place: DriverPlace) -> Driver:
    from cstore.drivers.vfs import VfsDriver

    return VfsDriver(place)


def _overlay(place: DriverPlace) -> Driver:
    from cstore.drivers.overlay.driver import OverlayDriver

    return OverlayDriver(place)


def _btrfs(place: DriverPlace) -> Driver:
    from cstore.drivers.btrfs.driver import BtrfsDriver

    return BtrfsDriver(place)


def _zfs(place: DriverPlace) -> Driver:
    from cstore.drivers.zfs.driver import ZfsDriver

    return ZfsDriver(place)


def _check_overlay(place: DriverPlace) -> None:
    from cstore.drivers.overlay.options import read_options

    read_options(place.options)


DRIVERS: dict[str, Callable[[DriverPlace], Driver]] = {
    "overlay": _overlay,
    "btrfs": _btrfs,
    "zfs": _zfs,
    "vfs": _vfs,
}
"""Every driver cstore has, in order of preference; a new one is one module and one line."""

_CHECKS: dict[str, Callable[[DriverPlace], object]] = {"overlay": _check_overlay, "vfs": _vfs}
"""How the options of a driver are checked, for those that can be opened at any time."""

_STAGE_IN_DIRECTORIES = frozenset({"overlay", "vfs", "btrfs"})

ALIASES = {"overlay2": "overlay"}
"""Other names of drivers: a store may have a home of that name, and everything else of the driver's own."""


def choose_drivers(graph_root: str, named: str, priority: tuple[str, ...]) -> tuple[str, ...]:
    """Say which driver a store uses, or where nothing is yet, which to try in turn. Reads only.

    Args:
        graph_root: where the store is or will be.
        named: the driver, or an alias, that flags, environment or configuration name; "" for none.
        priority: drivers to try in this order when none is named; empty for cstore's own order.

    Returns:
        One driver's name or alias, that of its home; or the names of all drivers in the order of preference.

    Raises:
        DriverUnknown: the named driver, or the one whose data is there, is not one of cstore's.
        DriverError: several drivers have data there and none is named.
    """
    if named:
        return (_known(named),)
    prior = _prior(graph_root)
    if not priority:  # as in the Go library: a store of vfs alone is used only if vfs is asked for
        prior = [name for name in prior if name != "vfs"]
    listed = [name for name in priority if name in prior]
    if listed:
        return (_known(listed[0]),)
    if len(prior) > 1:
        names = ", ".join(prior)
        raise DriverError(
            prior[0],
            f"{graph_root} holds data of several drivers: {names}",
            hint="choose one with --storage-driver",
            peer=f"{graph_root} contains several valid graphdrivers: {names}; "
            "Please cleanup or explicitly choose storage driver (-s <DRIVER>)",
        )
    if prior:
        return (_known(prior[0]),)
    return tuple(dict.fromkeys(name for name in (*priority, *DRIVERS) if name in DRIVERS))


def _prior(graph_root: str) -> list[str]:
    """The drivers that have a home there; an empty one, left by a start that failed, counts if there is no other."""
    homes = [name for name in sorted({*DRIVERS, *ALIASES}) if os.path.isdir(os.path.join(graph_root, name))]
    return [name for name in homes if _is_used(os.path.join(graph_root, name))] or homes


def _is_used(home: str) -> bool:
    try:
        with os.scandir(home) as entries:
            return any(True for _ in entries)
    except OSError:
        return True  # unknown: leave it to whoever goes there


def open_driver(name: str, place: DriverPlace) -> Driver:
    """Make the driver object. Writes nothing."""
    return DRIVERS[reported_name(_known(name))](place)


def prepare_driver(name: str, place: DriverPlace) -> Callable[[], Driver]:
    """Say how the driver object is made when it is needed: whoever reads records only does without it.

    Raises:
        DriverError: the driver does not take an option.
    """
    check = _CHECKS.get(reported_name(_known(name)))
    if check is None:
        driver = open_driver(name, place)
        return lambda: driver
    if place.options:
        check(place)
    return lambda: open_driver(name, place)


def may_have_staged(name: str, place: DriverPlace) -> bool:
    """Whether a driver may have something to sweep: whether anything is where staging.py has its places.

    That costs a few system calls, while the driver need not even be opened. One that stages elsewhere always may.
    """
    if reported_name(name) not in _STAGE_IN_DIRECTORIES:
        return True
    for home in filter(None, (place.home, place.image_home)):
        root, last = os.path.split(home)
        places = [os.path.join(root, "cstore-staging", last)]
        places += [os.path.join(home, each) for each in ("cstore-staging", "staging", "tempdirs")]
        if any(map(_is_used, filter(os.path.lexists, places))):
            return True
    return False


def reported_name(name: str) -> str:
    """The name that a driver goes by, whatever its home is called."""
    return ALIASES.get(name, name)


def _known(name: str) -> str:
    if reported_name(name) not in DRIVERS:
        raise DriverUnknown(name, DRIVERS)
    return name
