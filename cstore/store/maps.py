"""Which ID map a new layer gets, and how a record spells a map."""

from __future__ import annotations

from cstore.idmap import IDENTITY, IDMap
from cstore.records.model import to_entries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cstore.drivers.contract import Driver
    from cstore.records.model import Layer
    from cstore.store.creation import NewLayer


def layer_map(request: NewLayer, parent: Layer | None, driver: Driver) -> IDMap:
    """Choose the maps of a new layer, each kind by itself: the given one, none if a host flag says so, or the parent's.

    (semantics 5.2)
    """
    inherited = IDENTITY if parent is None else parent.id_map
    given = request.id_map or IDENTITY
    chosen = IDMap(
        uids=() if request.host_uids else given.uids or inherited.uids,
        gids=() if request.host_gids else given.gids or inherited.gids,
    )
    return map_on_disk(driver, chosen)


def map_on_disk(driver: Driver, wanted: IDMap) -> IDMap:
    """The map that a layer gets for containers with the map `wanted`.

    Where the driver can show other owners at the mount, layers keep the owners that their archives name, and no map.
    Maps with holes are not shown so, though they could be: peers up to containers/storage 1.43 would not mount that.
    """
    return IDENTITY if not wanted or (wanted.is_contiguous and driver.can_shift(wanted)) else wanted


def map_fields(id_map: IDMap) -> dict[str, Any]:
    """Write a map as record fields."""
    return {"uid_map": to_entries(id_map.uids), "gid_map": to_entries(id_map.gids)}
