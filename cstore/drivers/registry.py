"""Choose a store's driver: by name, by existing data, or by what works here."""

from __future__ import annotations

import os

from cstore import errors, presence
from cstore.fs import within
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Protocol

    from cstore.drivers.contract import Driver

    class DriverPackage(Protocol):
        """What a driver's package is expected to have."""

        FACTS: DriverFacts

        def open_driver(self, place: DriverPlace) -> Driver:
            """Make the driver object. Writes nothing."""


class DriverPlace(Value):
    """The directories and options of a driver.

    Attributes:
        home: its directory in the graph root.
        run_home: its directory in the run root.
        image_home: its directory in a separate image store, or "".
        options: `key=value` strings from configuration and command line.
        sync: whether a finished tree must survive a power cut.
    """

    home: str
    run_home: str
    image_home: str = ""
    options: tuple[str, ...] = ()
    sync: bool = True


class DriverFacts(Value):
    """The facts about a driver that other code needs, as data; the driver's package defines them as `FACTS`.

    Attributes:
        keys: the keys of its own table in storage.conf with their types, in the order in which they become options.
        options: the names of the options that it accepts from a file; others cause a warning.
        serves_users: whether ordinary users can have such a store.
        only_by_name: whether a store with only this driver is used only if the driver is named.
        takes_directories: whether a layer may be created by renaming a directory into place.
        names_directories: whether Docker and Podman report directories of a layer (`LowerDir` and so on).
        stages_in_directories: whether everything that it stages or removes is in the places of `drivers/staging.py`.
        mounts_show_trees: whether a mount shows the tree itself, so that nothing keeps the tree in use.
        unknown_limit: Docker's error for a storage option of a writable layer that the driver does not have.
    """

    keys: Mapping[str, str]
    options: frozenset[str]
    serves_users: bool = True
    only_by_name: bool = False
    takes_directories: bool = False
    names_directories: bool = False
    stages_in_directories: bool = False
    mounts_show_trees: bool = False
    unknown_limit: str = "Unknown option {}"


DRIVERS: dict[str, tuple[str, ...]] = {
    "overlay": ("overlay2",),
    "btrfs": (),
    "zfs": (),
    "vfs": (),
}
"""All drivers, in order of preference, with other names that the home of a store may have.

A driver is a package of the same name here, and one line in this table. The package's own module has `FACTS` and
`open_driver(place)`, and imports the rest on demand. It may have these functions, too:

- `check_options(options)`: refuses what the driver would refuse, for commands that only read records.
- `open_inspector(driver, place)`, `open_driver_repair(driver, place)`: inspect and repair the driver's own files, if
  it has any besides the trees.
"""


def package_of(name: str) -> DriverPackage:
    """Return the package of a driver, by its name or an alias.

    Raises:
        DriverUnknown: cstore has no such driver.
    """
    import sys

    module = f"cstore.drivers.{reported_name(_known(name))}"
    __import__(module)  # `importlib` would be imported for it
    package: DriverPackage = sys.modules[module]
    return package


def facts_of(name: str) -> DriverFacts | None:
    """Return the facts about a driver; None if cstore has no driver with that name."""
    return package_of(name).FACTS if reported_name(name) in DRIVERS else None


def choose_drivers(graph_root: str, named: str, priority: tuple[str, ...]) -> tuple[str, ...]:
    """Return the driver of a store or, for a new store, the drivers to try in turn. Only reads.

    Args:
        graph_root: the store's graph root, which need not exist.
        named: the driver, or an alias, named by flags, environment or configuration; "" for none.
        priority: drivers to try in this order if none is named; empty for cstore's own order.

    Returns:
        The name or alias of one driver, as its home is called; or the names of all drivers in order of preference.

    Raises:
        DriverUnknown: cstore does not have the named driver, or that of the existing data.
        DriverError: several drivers have data there and none is named.
    """
    if named:
        return (_known(named),)
    names = sorted((*DRIVERS, *(other for others in DRIVERS.values() for other in others)))
    homes = [name for name in names if presence.is_directory(os.path.join(graph_root, name))]
    # An empty home, left by a failed start, counts only if there is no other.
    prior = [name for name in homes if _is_used(os.path.join(graph_root, name))] or homes
    if not priority:  # as in the Go library: a store with only vfs is used only if vfs is named
        prior = [name for name in prior if not package_of(name).FACTS.only_by_name]
    listed = [name for name in priority if name in prior]
    if listed:
        return (_known(listed[0]),)
    if len(prior) > 1:
        found = ", ".join(prior)
        raise errors.DriverError(
            prior[0],
            f"{graph_root} holds data of several drivers: {found}",
            hint="choose one with --storage-driver",
            go_text=f"{graph_root} contains several valid graphdrivers: {found}; "
            "Please cleanup or explicitly choose storage driver (-s <DRIVER>)",
        )
    if prior:
        return (_known(prior[0]),)
    return tuple(dict.fromkeys(name for name in (*priority, *DRIVERS) if name in DRIVERS))


def _is_used(home: str) -> bool:
    try:
        with os.scandir(home) as entries:
            return any(True for _ in entries)
    except OSError:
        return True  # unknown: the driver reports the error


def open_driver(name: str, place: DriverPlace) -> Driver:
    """Create the driver object. Writes nothing."""
    return package_of(name).open_driver(place)


def prepare_driver(name: str, place: DriverPlace) -> Callable[[], Driver]:
    """Return a function that creates the driver object, which is not needed to read records.

    Raises:
        DriverError: the driver does not accept an option.
    """
    package = package_of(name)
    check: Callable[[Sequence[str]], object] | None = getattr(package, "check_options", None)
    if check is None:
        driver = package.open_driver(place)
        return lambda: driver
    if place.options:
        check(place.options)
    return lambda: package.open_driver(place)


def may_have_staged(name: str, place: DriverPlace) -> bool:
    """Return whether a driver may have something to sweep, because one of the places of staging.py exists.

    This takes a few system calls and does not open the driver. A driver that stages elsewhere always may.
    """
    if not package_of(name).FACTS.stages_in_directories:
        return True
    for home in filter(None, (place.home, place.image_home)):
        root = os.path.dirname(home)
        if any(presence.is_there(os.path.join(folder, "cstore-staging")) for folder in (root, home)):
            return True  # even an empty one shows that a process is at work, or was killed
        if any(_may_hold(os.path.join(home, each), directories=False) for each in ("staging", "tempdirs")):
            return True
    return _may_hold(place.run_home, directories=True)  # views of deleted layers, or remains of a mount; see views.py


def _may_hold(folder: str, *, directories: bool) -> bool:
    """Return whether a directory of the store has any entry, or any directory; true if that is unknown."""
    try:
        names = within.listdir(folder)
        return any(within.is_directory(folder, name) for name in names) if directories else bool(names)
    except FileNotFoundError:
        return False
    except (errors.SystemFailure, OSError):
        return True


def reported_name(name: str) -> str:
    """Return a driver's name, even if its home has another name."""
    if name in DRIVERS:
        return name
    return next((driver for driver, others in DRIVERS.items() if name in others), name)


def _known(name: str) -> str:
    if reported_name(name) not in DRIVERS:
        raise errors.DriverUnknown(name, DRIVERS)
    return name
