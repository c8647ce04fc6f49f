"""What may differ between a layer's directory and its archive without being damage."""

from __future__ import annotations

from cstore.idmap import IDENTITY, IDMap
from cstore.values import Value


class Tolerance(Value):
    """What may differ, because of who wrote a layer, and how.

    Attributes:
        owners: IDs that could not be set (`ignore_chown_errors`).
        masked: owners, modes and types are in attributes (`force_mask`, a mount program).
        times: links to files of other stores have the times of those (`use_hard_links`).
        partial: a partial pull made it, which leaves other times on directories and links.
        users: an ordinary user wrote it, who can make no device, and may have had no other ID than their own.
        reach: the IDs that there are in the namespace that this process is in; no ranges for all.
    """

    owners: bool = False
    masked: bool = False
    times: bool = False
    partial: bool = False
    users: bool = False
    reach: IDMap = IDENTITY
