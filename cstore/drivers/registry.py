"""Which driver a store uses: by name, by what is already there, or by what works here."""

from __future__ import annotations

import os

from cstore import errors
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


class DriverFacts(Value):
    """What those above a driver have to know of it, as data: its package says so in `FACTS`.

    Attributes:
        keys: the keys of its own table in storage.conf, in the order in which they become options, and what each takes.
        options: the names of the options it accepts from a file; others there are a warning.
        serves_users: whether ordinary users can have such a store.
        only_by_name: whether a store of its own is used only by who asks for this driver.
        takes_directories: whether a layer may be made by renaming a directory into its place.
        names_directories: whether a layer has directories by which Docker and Podman name it (`LowerDir` and so on).
        stages_in_directories: whether all that it stages, or is removing, is in the places of `drivers/staging.py`.
        mounts_show_trees: whether what a mount shows is the tree itself, so that nothing holds on to it.
        unknown_limit: what Docker's engine says of an option for a writable layer that the driver does not have.
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
"""Every driver cstore has, in order of preference, and other names under which a store of it may have its home.

A driver is a package here of the same name, and one line in this table. The package's own module has `FACTS` and
`open_driver(place)`, and imports the rest when it is asked for. It may have more, which is looked for by its name:

- `check_options(options)`: refuses what the driver would refuse, for who reads records without opening it.
- `open_inspector(driver, place)`, `open_driver_repair(driver, place)`: what looks for damage beside the contents of
  layers, and what heals it, if the driver keeps more than trees.
"""


def package_of(name: str) -> DriverPackage:
    """The package of a driver, by its own name or another one of its.

    Raises:
        DriverUnknown: cstore has no such driver.
    """
    import sys

    module = f"cstore.drivers.{reported_name(_known(name))}"
    __import__(module)  # `importlib` would be imported for it
    package: DriverPackage = sys.modules[module]
    return package


def facts_of(name: str) -> DriverFacts | None:
    """What is to be known of a driver; None if cstore has none of that name."""
    return package_of(name).FACTS if reported_name(name) in DRIVERS else None


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
        prior = [name for name in prior if not package_of(name).FACTS.only_by_name]
    listed = [name for name in priority if name in prior]
    if listed:
        return (_known(listed[0]),)
    if len(prior) > 1:
        names = ", ".join(prior)
        raise errors.DriverError(
            prior[0],
            f"{graph_root} holds data of several drivers: {names}",
            hint="choose one with --storage-driver",
            go_text=f"{graph_root} contains several valid graphdrivers: {names}; "
            "Please cleanup or explicitly choose storage driver (-s <DRIVER>)",
        )
    if prior:
        return (_known(prior[0]),)
    return tuple(dict.fromkeys(name for name in (*priority, *DRIVERS) if name in DRIVERS))


def _prior(graph_root: str) -> list[str]:
    """The drivers that have a home there; an empty one, left by a start that failed, counts if there is no other."""
    names = sorted((*DRIVERS, *(other for others in DRIVERS.values() for other in others)))
    homes = [name for name in names if os.path.isdir(os.path.join(graph_root, name))]
    return [name for name in homes if _is_used(os.path.join(graph_root, name))] or homes


def _is_used(home: str) -> bool:
    try:
        with os.scandir(home) as entries:
            return any(True for _ in entries)
    except OSError:
        return True  # unknown: leave it to whoever goes there


def open_driver(name: str, place: DriverPlace) -> Driver:
    """Make the driver object. Writes nothing."""
    return package_of(name).open_driver(place)


def prepare_driver(name: str, place: DriverPlace) -> Callable[[], Driver]:
    """Say how the driver object is made when it is needed: whoever reads records only does without it.

    Raises:
        DriverError: the driver does not take an option.
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
    """Whether a driver may have something to sweep: whether anything is where staging.py has its places.

    That costs a few system calls, while the driver need not even be opened. One that stages elsewhere always may.
    """
    if not package_of(name).FACTS.stages_in_directories:
        return True
    for home in filter(None, (place.home, place.image_home)):
        root = os.path.dirname(home)
        if any(os.path.lexists(os.path.join(folder, "cstore-staging")) for folder in (root, home)):
            return True  # empty, too: whoever is done with it removes it, unless it was killed
        if any(_may_hold(os.path.join(home, each), directories=False) for each in ("staging", "tempdirs")):
            return True
    return _may_hold(place.run_home, directories=True)  # views of deleted layers, or what a mount left; see views.py


def _may_hold(folder: str, *, directories: bool) -> bool:
    """Whether a directory of the store has anything in it, or any directory; or something makes that unknown."""
    try:
        names = within.listdir(folder)
        return any(within.is_directory(folder, name) for name in names) if directories else bool(names)
    except FileNotFoundError:
        return False
    except (errors.ForeignThing, OSError):
        return True


def reported_name(name: str) -> str:
    """The name that a driver goes by, whatever its home is called."""
    if name in DRIVERS:
        return name
    return next((driver for driver, others in DRIVERS.items() if name in others), name)


def _known(name: str) -> str:
    if reported_name(name) not in DRIVERS:
        raise errors.DriverUnknown(name, DRIVERS)
    return name
