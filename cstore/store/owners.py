"""Owners of the directories above a mount that the layer's ID maps do not cover (semantics 15)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cstore.errors import InvalidIDMap, LayerNotMounted
from cstore.idmap import map_in
from cstore.store.lookup import get_own_layer
from cstore.store.mounting import mount_point
from cstore.store.session import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cstore.idmap import IDRange
    from cstore.store.context import Context


def parent_owners(context: Context, word: str) -> tuple[list[int], list[int]]:
    """Return the UIDs and GIDs, sorted, that own directories above a layer's mount point and are outside its maps.

    Raises:
        LayerUnknown: there is no such layer.
        LayerNotMounted: the layer has maps and is not mounted.
    """
    layer = get_own_layer(Reader(context), word)
    if not layer.id_map:
        return [], []
    path = mount_point(context, layer.id)
    if not path:
        raise LayerNotMounted(layer.id)
    uids: set[int] = set()
    gids: set[int] = set()
    above = os.path.dirname(path)
    while above != "/":
        for status in (os.stat(above), os.lstat(above)):
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
