"""Inspect a driver's own files for a check, without trusting or changing any of them.

Only some drivers have such files. A driver whose layers are whole trees has only the trees.
"""

from __future__ import annotations

from cstore import errors
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from cstore.drivers.contract import Driver
    from cstore.drivers.registry import DriverPlace
else:
    Protocol = object

MISSING, WRONG, NO_DIRECTORY, NO_FILE = "missing", "wrong", "no directory", "no regular file"
NO_SUBVOLUME = "no subvolume"
"""The problems that a part can have."""


class Flaw(Value):
    """A part of a layer that differs from what the driver creates.

    Attributes:
        layer: the layer that the part belongs to; "" for none.
        part: the driver's name of the part, such as `link`.
        path: the part's path, existing or not.
        problem: one of the constants above.
        found, expected: its contents, and the correct contents, if they are known.
    """

    layer: str
    part: str
    path: str
    problem: str
    found: str = ""
    expected: str = ""


class Part(Value):
    """One layer of a chain in the driver: its own directories, nearest first; or the reason why they cannot be read."""

    layer: str
    roots: tuple[str, ...]
    problem: str = ""


class Inspector(Protocol):
    """An inspector of one driver's files.

    Attributes:
        whole: whether a layer's directory also holds the files of all lower layers.
    """

    whole: bool

    def own_roots(self, layer: str) -> Sequence[str]:
        """Return the directories with a layer's own changes, nearest first; with `whole`, its tree."""

    def seen_roots(self, layer: str) -> Sequence[str]:
        """Return the directories and images from which all files of a layer can be read by name, nearest first.

        Empty if `Driver.tree_of` needs no mount for the layer, or if only a mount can show it.

        Raises:
            DriverError: the layer, or a lower one, cannot be read.
        """

    def not_read(self, layer: str) -> str:
        """Return the form of a layer that cstore cannot read, in words; "" if it can."""

    def parts(self, layer: str, ancestors: Callable[[], Sequence[str]]) -> list[Part]:
        """Return a layer and all lower layers, nearest first. `ancestors` returns those in its record, if needed.

        Raises:
            CstoreError: the layer itself is missing.
        """

    def has_files_for_marks(self) -> bool:
        """Return whether files may be marks, because a mount program has written layers here."""

    def has_marks_of_users(self, layer: str) -> bool:
        """Return whether marks of mounts in user namespaces count in a layer's chain. Reads the whole chain.

        Raises:
            CstoreError: the chain cannot be read.
        """

    def flaws(self, layer: str, ancestors: Sequence[str]) -> list[Flaw]:
        """Return the flaws around a layer that has a directory. `ancestors` are those in its record, nearest first."""

    def strays(self) -> list[Flaw]:
        """Return parts that belong to no layer."""

    def bears_marks(self, layer: str) -> bool:
        """Return whether a layer's directory has marks that prove that a driver created it under this name.

        A directory that an administrator created beside the layers has none, nor has the copy of a layer.
        """

    def mounts(self, mount_points: Sequence[str]) -> dict[str, str]:
        """Return the mount points that are layers of this store: path → layer."""


class WholeTrees:
    """The inspector of drivers that have only trees."""

    whole = True

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def own_roots(self, layer: str) -> Sequence[str]:
        """See `Inspector.own_roots`."""
        return self._driver.content_roots(layer)[:1]

    def seen_roots(self, layer: str) -> Sequence[str]:
        """See `Inspector.seen_roots`."""
        del layer
        return ()

    def not_read(self, layer: str) -> str:
        """See `Inspector.not_read`: every tree can be read."""
        del layer
        return ""

    def parts(self, layer: str, ancestors: Callable[[], Sequence[str]]) -> list[Part]:
        """See `Inspector.parts`: each tree is whole, so a missing one does not affect the others."""
        found = [Part(layer, tuple(self.own_roots(layer)))]
        for ancestor in ancestors():
            try:
                found.append(Part(ancestor, tuple(self.own_roots(ancestor))))
            except errors.CstoreError as error:
                found.append(Part(ancestor, (), error.message))
        return found

    def has_files_for_marks(self) -> bool:
        """See `Inspector.has_files_for_marks`: whole trees have no marks."""
        return False

    def has_marks_of_users(self, layer: str) -> bool:
        """See `Inspector.has_marks_of_users`: whole trees have no marks."""
        del layer
        return False

    def flaws(self, layer: str, ancestors: Sequence[str]) -> list[Flaw]:
        """See `Inspector.flaws`."""
        del layer, ancestors
        return []

    def strays(self) -> list[Flaw]:
        """See `Inspector.strays`."""
        return []

    def bears_marks(self, layer: str) -> bool:
        """See `Inspector.bears_marks`: any program could have created an ordinary directory."""
        del layer
        return False

    def mounts(self, mount_points: Sequence[str]) -> dict[str, str]:
        """See `Inspector.mounts`: a whole tree needs no mount."""
        del mount_points
        return {}


if TYPE_CHECKING:
    _: type[Inspector] = WholeTrees


def open_inspector(driver: Driver, place: DriverPlace) -> Inspector:
    """Create the inspector of a driver: its package's own, or that for whole trees."""
    from cstore.drivers.registry import package_of

    own: Callable[[Driver, DriverPlace], Inspector] | None = getattr(package_of(driver.name), "open_inspector", None)
    return own(driver, place) if own else WholeTrees(driver)
