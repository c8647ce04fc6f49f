"""Inspect the layers of a btrfs store: each must be a subvolume."""

from __future__ import annotations

import os

from cstore.drivers.inspection import NO_SUBVOLUME, Flaw, WholeTrees

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.drivers.inspection import Inspector


class BtrfsInspector(WholeTrees):
    """Layers that must be btrfs subvolumes."""

    def flaws(self, layer: str, ancestors: Sequence[str]) -> list[Flaw]:
        """See `Inspector.flaws`: an ordinary directory, such as one copied by hand, cannot have children."""
        from cstore.kernel.btrfs import is_subvolume

        del ancestors
        path = self._driver.path_of(layer)
        try:
            status = os.lstat(path)
        except OSError:
            return []  # another finding reports it
        return [] if is_subvolume(status) else [Flaw(layer, "subvolume", path, NO_SUBVOLUME)]

    def bears_marks(self, layer: str) -> bool:
        """See `Inspector.bears_marks`: hardly any other program creates subvolumes there."""
        from cstore.kernel.btrfs import is_subvolume

        try:
            return is_subvolume(os.lstat(self._driver.path_of(layer)))
        except OSError:
            return False


if TYPE_CHECKING:
    _: type[Inspector] = BtrfsInspector
