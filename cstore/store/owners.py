"""Owners of the directories above a mount that the layer's ID maps do not cover (semantics 15)."""

from __future__ import annotations

import os

from cstore.errors import InvalidIDMap, LayerNotMounted, LayerUnknown, SystemFailure
from cstore.idmap import map_in
from cstore.store.lookup import find_own_layer
from cstore.store.mounting import mount_point
from cstore.store.reading import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.idmap import IDRange
    from cstore.store.context import Context


def parent_owners(context: Context, ref: str) -> tuple[list[int], list[int]]:
    """Return the UIDs and GIDs, sorted, of owners of a layer's mount point's parent directories that its maps lack.

    Raises:
        LayerUnknown: there is no such layer.
        LayerNotMounted: the layer has an ID map and is not mounted.
    """
    layer = find_own_layer(Reader(context), ref)
    if layer is None:
        raise LayerUnknown(ref)
    if not layer.id_map:
        return [], []
    path = mount_point(context, layer.id)
    if not path:
        raise LayerNotMounted(layer.id)
    uids: set[int] = set()
    gids: set[int] = set()
    above = os.path.dirname(os.path.abspath(path))  # an untrusted path from a record
    while above != os.path.dirname(above):  # the root is left out; the parent of "//" is "//"
        try:
            statuses = (os.stat(above), os.lstat(above))
        except OSError as error:
            raise SystemFailure("examine", above, error) from None
        for status in statuses:
            if not _covers(layer.id_map.uids, status.st_uid):
                uids.add(status.st_uid)
            if not _covers(layer.id_map.gids, status.st_gid):
                gids.add(status.st_gid)
        above = os.path.dirname(above)
    return sorted(uids), sorted(gids)


def _covers(ranges: Sequence[IDRange], number: int) -> bool:
    try:
        map_in(ranges, number, "ID")
    except InvalidIDMap:
        return False
    return True
