"""Map the owners of entries to owners on the host, with errors and hints if that fails."""

from __future__ import annotations

from cstore import errors
from cstore.archive.names import show_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cstore.archive.tar.header import Entry
    from cstore.idmap import IDMap

_LARGEST = 2**32 - 2
"""The next ID is -1, which tells chown(2) to keep the owner."""

_USUAL_COUNT = 65536


class Owners:
    """Maps owners.

    Attributes:
        known: all owners of the archive so far, except those of whiteouts, and what they are on the host.
    """

    def __init__(self, id_map: IDMap) -> None:
        self._id_map = id_map
        self.known: dict[tuple[int, int], tuple[int, int]] = {}

    def add(self, entry: Entry) -> tuple[int, int]:
        """Map an entry's owner and record it.

        Raises:
            EntryFailed: the ID map does not cover it, or it is outside the valid IDs.
        """
        owner = self.known[entry.uid, entry.gid] = self.map(entry)
        return owner

    def map(self, entry: Entry) -> tuple[int, int]:
        """Map an entry's owner to the host's.

        Raises:
            EntryFailed: as `add`.
        """
        if not (0 <= entry.uid <= _LARGEST and 0 <= entry.gid <= _LARGEST):
            reason = f"its owner {entry.uid}:{entry.gid} is outside the IDs from 0 to {_LARGEST}"
            raise errors.EntryFailed(show_name(entry.name), reason)
        try:
            return self._id_map.to_host(entry.uid, entry.gid)
        except errors.InvalidIDMap as error:
            owner = (entry.uid, entry.gid)
            reason = f"its owner is {entry.uid}:{entry.gid}, but in the ID map {error.reason}"
            hint = subordinate_hint(*owner)
            raise errors.EntryFailed(
                show_name(entry.name), reason, hint=hint, owner=owner, needs="the ID map"
            ) from error


def subordinate_hint(uid: int, gid: int) -> str:
    """Return a hint on how to give a user enough subordinate IDs to cover these."""
    count = max(_USUAL_COUNT, uid + 1, gid + 1)
    return (
        f"give the user IDs up to {max(uid, gid)}: a line like USER:100000:{count}, with your user name for USER, "
        "in /etc/subuid and in /etc/subgid"
    )
