"""What may differ between a layer's directory and its archive without being damage."""

from __future__ import annotations

import stat

from cstore.archive.names import split_name
from cstore.idmap import IDENTITY, IDMap
from cstore.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from cstore.check.expected import Node

_DEVICES = frozenset({stat.S_IFCHR, stat.S_IFBLK})
_NODES = _DEVICES | {stat.S_IFIFO}


class Tolerance(Value):
    """What may differ, because of who wrote a layer, and how.

    Attributes:
        owners: IDs that could not be set (`ignore_chown_errors`).
        masked: owners, modes and types are in attributes (`force_mask`, a mount program).
        times: links to files of other stores have the times of those (`use_hard_links`).
        partial: a partial pull made it, which leaves other times on directories and links.
        users: an ordinary user wrote it, or root of a user namespace, who can make no device, and may have had no other
            ID than their own.
        reach: the IDs that there are in the namespace that this process is in; no ranges for all.
    """

    owners: bool = False
    masked: bool = False
    times: bool = False
    partial: bool = False
    users: bool = False
    reach: IDMap = IDENTITY

    def unmakeable(
        self, nodes: Mapping[bytes, Node], seen: Container[bytes], changed: Container[bytes]
    ) -> frozenset[int]:
        """The types of files that whoever wrote a layer could not make, told by what was found of its `nodes`.

        Root of a user namespace may seem to be the host's. But then no device is there at all, and no directory that
        should have one was `changed` since: removing a device would have done that.
        """
        if self.users:
            return _NODES
        devices = [path for path, node in nodes.items() if node.format in _DEVICES]
        told = any(path in seen or split_name(path)[0] in changed for path in devices)
        return frozenset() if told else _DEVICES
