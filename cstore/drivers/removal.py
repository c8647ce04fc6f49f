"""The two ways in which a removal is concluded once the locks are free."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.drivers.contract import Removal
    from cstore.fs.staging import StagingDirectory


class StagedRemoval:
    """What is to go lies in a staging directory, and is deleted with it."""

    def __init__(self, staging: StagingDirectory) -> None:
        self._staging = staging

    def finish(self) -> None:
        """See `Removal.finish`."""
        self._staging.remove()


class NoRemoval:
    """There was nothing to remove."""

    def finish(self) -> None:
        """See `Removal.finish`."""


if TYPE_CHECKING:
    _: tuple[type[Removal], type[Removal]] = (StagedRemoval, NoRemoval)
