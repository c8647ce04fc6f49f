"""The contract for checking a driver's own files, apart from the contents of layers. Changes nothing.

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
"""The possible flaws of a part."""


class Flaw(Value):
    """A part of a layer that is not as the driver makes it.

    Attributes:
        layer: whose part it is; "" for something that belongs to no layer.
        part: a word of the driver's, such as `link`.
        path: where it is, or should be.
        problem: one of the words above.
        found, expected: what it says, and what it should say, where that can be told.
    """

    layer: str
    part: str
    path: str
    problem: str
    found: str = ""
    expected: str = ""


class Part(Value):
    """A layer of a chain, as the driver keeps it: its own directories, nearest first; or why they cannot be read."""

    layer: str
    roots: tuple[str, ...]
    problem: str = ""


class Inspector(Protocol):
    """Looks at what one driver keeps.

    Attributes:
        whole: whether a layer's directory holds all that is below it, too.
    """

    whole: bool

    def own_roots(self, layer: str) -> Sequence[str]:
        """The directories with what the layer itself changes, nearest first; with `whole`, its tree."""

    def seen_roots(self, layer: str) -> Sequence[str]:
        """The directories and images that show all of a layer to who reads them by name, nearest first.

        None if `Driver.tree_of` shows it without a mount, or nothing but a mount does.

        Raises:
            DriverError: it, or something below it, cannot be read.
        """

    def not_read(self, layer: str) -> str:
        """Return a description of a layer that cstore cannot read; "" if it can."""

    def parts(self, layer: str, ancestors: Callable[[], Sequence[str]]) -> list[Part]:
        """Return a layer and its ancestors, nearest first. `ancestors` returns those of its record, if needed.

        Raises:
            CstoreError: the layer itself is missing.
        """

    def has_files_for_marks(self) -> bool:
        """Whether files may be marks, because a program that mounts wrote layers here."""

    def has_marks_of_users(self, layer: str) -> bool:
        """Whether the marks of a user namespace's mounts count in a layer's chain. Reads all of it.

        Raises:
            CstoreError: it cannot be read.
        """

    def flaws(self, layer: str, ancestors: Sequence[str]) -> list[Flaw]:
        """Yield the flaws of a layer that has a directory. `ancestors` are those of its record, nearest first."""

    def strays(self) -> list[Flaw]:
        """Yield the parts that belong to no layer."""

    def bears_marks(self, layer: str) -> bool:
        """Whether a layer's directory has evidence, besides its name, that a driver made it under this name.

        An administrator's directory has none, and neither does a copy of a layer.
        """

    def mounts(self, mount_points: Sequence[str]) -> dict[str, str]:
        """Which of the system's mount points are layers of this store: path → layer."""


class WholeTrees:
    """Nothing but trees."""

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
        """See `Inspector.not_read`: a tree is a tree."""
        del layer
        return ""

    def parts(self, layer: str, ancestors: Callable[[], Sequence[str]]) -> list[Part]:
        """See `Inspector.parts`: each is whole, so one that is lost says nothing of the others."""
        found = [Part(layer, tuple(self.own_roots(layer)))]
        for ancestor in ancestors():
            try:
                found.append(Part(ancestor, tuple(self.own_roots(ancestor))))
            except errors.CstoreError as error:
                found.append(Part(ancestor, (), error.message))
        return found

    def has_files_for_marks(self) -> bool:
        """See `Inspector.has_files_for_marks`: there are no marks."""
        return False

    def has_marks_of_users(self, layer: str) -> bool:
        """See `Inspector.has_marks_of_users`: likewise."""
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
        """See `Inspector.bears_marks`: an ordinary directory may be anybody's."""
        del layer
        return False

    def mounts(self, mount_points: Sequence[str]) -> dict[str, str]:
        """See `Inspector.mounts`: a tree is there, mounted or not."""
        del mount_points
        return {}


if TYPE_CHECKING:
    _: type[Inspector] = WholeTrees


def open_inspector(driver: Driver, place: DriverPlace) -> Inspector:
    """Make the inspector for the layers of a driver: its package's own, or one for nothing but trees."""
    from cstore.drivers.registry import package_of

    own: Callable[[Driver, DriverPlace], Inspector] | None = getattr(package_of(driver.name), "open_inspector", None)
    return own(driver, place) if own else WholeTrees(driver)
