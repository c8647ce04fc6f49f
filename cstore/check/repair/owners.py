"""Detect an unrecorded ID map of a layer from the owners of its files and those in its archive."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore import presence
from cstore.archive.tar.reader import TarReader
from cstore.check.expected import ExpectedTree
from cstore.check.layer_stream import LayerStream
from cstore.errors import CstoreError

if TYPE_CHECKING:
    from cstore.check.repair.survivors import Survivors


def read_headers(tar_split: str) -> ExpectedTree:
    """Read the headers of an archive, without file contents.

    Raises:
        CstoreError: the tar-split cannot be read.
    """
    tree = ExpectedTree()
    with LayerStream(tar_split, ()) as stream:
        reader = TarReader(stream, lambda _raw: None)
        while (entry := reader.next()) is not None:
            tree.add(entry)
        tree.settle(stream.checksums)
    return tree


def owners_shifted_to(survivors: Survivors, layer: str) -> tuple[int, int] | None:
    """Return the host IDs of root in a layer, if all owners differ from the archive's by the same shift; else None.

    One changed owner is damage; the same shift for all files is an ID map.
    """
    try:
        nodes = read_headers(survivors.snapshot.layout.tar_split(layer)).nodes
        roots = [os.fsencode(root) for root in survivors.snapshot.inspector.own_roots(layer)]
    except (CstoreError, LookupError):
        return None
    shifts: set[tuple[int, int]] = set()
    for path, node in nodes.items():
        places = (os.path.join(root, path) for root in roots)
        there = next(filter(presence.is_there, places), None)
        if there is None:
            continue
        status = os.lstat(there)
        _, uid, gid, _ = node.looks[-1]
        shifts.add((status.st_uid - uid, status.st_gid - gid))
    found = shifts.pop() if len(shifts) == 1 and len(nodes) > 1 else (0, 0)
    return found if min(found) >= 0 and any(found) else None
